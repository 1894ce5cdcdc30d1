/** Which addresses are this machine's own, so that nobody can aim the server at its own listener. */
import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";

/** A connection to "this host" (0.0.0.0, ::) ends on loopback. */
const ALWAYS_OWN: readonly [address: string, bits: number, family: "ipv4" | "ipv6"][] = [
  ["0.0.0.0", 8, "ipv4"],
  ["127.0.0.0", 8, "ipv4"],
  // Loopback as well, and IPv4 in its old form (RFC 4291 2.5.5.1), in which nobody else can be reached either.
  ["::", 96, "ipv6"],
];

/**
 * True for loopback and for every address of an interface as it stands now, IPv4 also in IPv6's mapped form. Asks the
 * operating system each time (some 50 us): interfaces come and go.
 */
export function isOwnAddress(address: string): boolean {
  const plain = withoutZone(address);
  const family = isIP(plain);
  if (family === 0) return false;
  const own = new BlockList();
  for (const [network, bits, ofFamily] of ALWAYS_OWN) own.addSubnet(network, bits, ofFamily);
  for (const { address: ofInterface } of Object.values(networkInterfaces()).flatMap((list) => list ?? [])) {
    const listed = withoutZone(ofInterface);
    own.addAddress(listed, isIP(listed) === 4 ? "ipv4" : "ipv6");
  }
  return own.check(plain, family === 4 ? "ipv4" : "ipv6");
}

function withoutZone(address: string): string {
  return address.split("%")[0] ?? "";
}

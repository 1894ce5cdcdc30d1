/**
 * Which addresses a stranger's URL may never reach. Sources: the IANA special-purpose address registries for IPv4 and
 * IPv6 (everything there that is not globally reachable, and what tunnels or translates to it), RFC 6761, 6762, 7686,
 * 8375, 9476 for names, and 168.63.129.16, Azure's host agent behind a public address.
 */
import { BlockList, isIP } from "node:net";
import { PosthornError } from "../base/errors.ts";

const BLOCKED_IPV4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8",
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8",
  "168.63.129.16/32",
  "169.254.0.0/16", // link-local, and every cloud's metadata service
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24", // documentation, with 198.51.100/24 and 203.0.113/24
  "192.31.196.0/24", // AS112
  "192.52.193.0/24", // AMT
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16",
  "192.175.48.0/24", // AS112
  "198.18.0.0/15", // benchmarking
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
];

/** Of IPv6 only global unicast is let through at all: loopback, mapped, NAT64, unique local and the rest lie outside of it. */
const GLOBAL_IPV6 = ["2000::/3"];
const BLOCKED_IPV6 = [
  "2001::/23", // Teredo, benchmarking, ORCHID
  "2001:db8::/32", // documentation, with 3fff::/20
  "2002::/16", // 6to4
  "2620:4f:8000::/48", // AS112
  "3fff::/20",
];

/** Names that mean something only inside of a network. A name without a dot is one, too. */
const PRIVATE_SUFFIXES = [
  ".localhost",
  ".localdomain",
  ".local",
  ".internal",
  ".home.arpa",
  ".lan",
  ".intranet",
  ".corp",
  ".test",
  ".invalid",
  ".example",
  ".onion",
  ".arpa",
  ".svc",
];

const blockedIpv4 = networkList(BLOCKED_IPV4, "BLOCKED_IPV4");
const globalIpv6 = networkList(GLOBAL_IPV6, "GLOBAL_IPV6");
const blockedIpv6 = networkList(BLOCKED_IPV6, "BLOCKED_IPV6");

/** True for an address that is public by the lists above. False for anything that is not an address. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !blockedIpv4.check(address, "ipv4");
    case 6:
      return !hasZone(address) && globalIpv6.check(address, "ipv6") && !blockedIpv6.check(address, "ipv6");
    default:
      return false;
  }
}

/** True when the address lies in one of the networks; an IPv4 network also holds its addresses in IPv6's mapped form. */
export function isInNetworks(networks: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && !hasZone(address) && networks.check(address, family === 4 ? "ipv4" : "ipv6");
}

/** `name` in lower case, without a dot at its end. */
export function isPrivateName(name: string): boolean {
  return !name.includes(".") || PRIVATE_SUFFIXES.some((suffix) => name.endsWith(suffix));
}

export function isLoopbackName(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost");
}

/**
 * Networks in CIDR form as a list to check against; `field` is where they were given.
 * @throws PosthornError `invalid_field` naming the entry that is not a network.
 */
export function networkList(networks: readonly string[], field: string): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", prefix = "", ...rest] = network.split("/");
    const family = isIP(address);
    const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    const fits = bits <= (family === 4 ? 32 : 128);
    if (family === 0 || hasZone(address) || rest.length > 0 || !fits) {
      throw new PosthornError(
        "invalid_field",
        `${field}: "${network}" is not a network; write it like 10.0.0.0/8 or fd00::/8.`,
        { pointer: `/${field}`, value: network },
      );
    }
    list.addSubnet(address, bits, family === 4 ? "ipv4" : "ipv6");
  }
  return list;
}

/** `fe80::1%eth0`: isIP takes it, but a zone is a fact of this machine and no business of a stranger. */
function hasZone(address: string): boolean {
  return address.includes("%");
}

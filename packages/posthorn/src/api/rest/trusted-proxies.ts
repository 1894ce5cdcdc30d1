/**
 * Who asks: the client's address, and the scheme and host it used. Behind a proxy only its headers know, and anybody can
 * write those: they count when the connection comes from a proxy that the operator named, and from nobody else (ASVS 4.1.3).
 */
import type { IncomingMessage } from "node:http";
import { isIP, isIPv6 } from "node:net";
import type { FastifyInstance } from "fastify";
import { isInNetworks, networkList } from "../../security/address-blocks.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** For logs, the audit log and limits: without port, zone and brackets, IPv4 as such; `unknown` when the connection is gone. */
    readonly clientAddress: string;
    /** What the client used; a trusted proxy may have used another one towards us. */
    readonly clientScheme: "http" | "https";
    /** Host and port as the client wrote them, in lower case; empty when it sent none. */
    readonly clientHost: string;
  }
}

export type FromClient = Pick<IncomingMessage, "headers" | "socket">;

export interface TrustedProxies {
  addressOf(request: FromClient): string;
  schemeOf(request: FromClient): "http" | "https";
  hostOf(request: FromClient): string;
}

/**
 * @param networks in CIDR form; empty: nobody is trusted
 * @throws PosthornError `invalid_field` for what is no network
 */
export function createTrustedProxies(networks: readonly string[]): TrustedProxies {
  const list = networkList(networks, "trustedProxies");
  const isTrusted = (address: string): boolean => isInNetworks(list, address);
  const comesFromProxy = ({ socket }: FromClient): boolean =>
    networks.length > 0 && isTrusted(peerOf(socket.remoteAddress));

  return {
    /**
     * Each proxy appends whom it heard from, so the list is read from its end: the first that is no trusted proxy is the
     * client, and what stands before it is whatever the client wrote.
     */
    addressOf(request) {
      let address = peerOf(request.socket.remoteAddress);
      if (!comesFromProxy(request)) return address;
      for (const written of listOf(request.headers["x-forwarded-for"]).reverse()) {
        const before = addressIn(written);
        if (before === undefined) return address;
        address = before;
        if (!isTrusted(address)) return address;
      }
      return address;
    },
    schemeOf(request) {
      const own = "encrypted" in request.socket && request.socket.encrypted === true ? "https" : "http";
      if (!comesFromProxy(request)) return own;
      const written = listOf(request.headers["x-forwarded-proto"]).at(-1)?.toLowerCase();
      return written === "http" || written === "https" ? written : own;
    },
    hostOf(request) {
      const written = comesFromProxy(request)
        ? listOf(request.headers["x-forwarded-host"]).at(-1)
        : undefined;
      return (written ?? request.headers.host ?? "").toLowerCase();
    },
  };
}

export function decorateWithClient(fastify: FastifyInstance, proxies: TrustedProxies): void {
  fastify.decorateRequest("clientAddress", {
    getter() {
      return proxies.addressOf(this.raw);
    },
  });
  fastify.decorateRequest("clientScheme", {
    getter() {
      return proxies.schemeOf(this.raw);
    },
  });
  fastify.decorateRequest("clientHost", {
    getter() {
      return proxies.hostOf(this.raw);
    },
  });
}

function peerOf(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return "unknown";
  // Node writes addresses in one form already; but for these two.
  if (!remoteAddress.startsWith("::ffff:") && !remoteAddress.includes("%")) return remoteAddress;
  return addressIn(remoteAddress) ?? "unknown";
}

/** Node joins the lines of a header that came several times; some header that is not in its list comes as an array. */
function listOf(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(",") : (header ?? "");
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** Of `203.0.113.7`, `203.0.113.7:1234`, `2001:db8::7`, `[2001:db8::7]:1234`, `::ffff:203.0.113.7`, `fe80::1%eth0`. */
function addressIn(written: string): string | undefined {
  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(written) ?? [];
  const [, withPort] = /^([\d.]+):\d{1,5}$/.exec(written) ?? [];
  const [address = ""] = (bracketed ?? withPort ?? written).split("%");
  const [, mapped] = /^::ffff:([\d.]+)$/i.exec(address) ?? [];
  if (mapped !== undefined && isIP(mapped) === 4) return mapped;
  if (isIP(address) === 0) return undefined;
  // One form for one address: `2001:DB8:0::7` and `2001:db8::7` are the same client.
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

/**
 * The one guard of every URL that a user gave (server-side request forgery). It is asked twice: `checkUrl` when the URL
 * is registered, for a good error; and at connect time, which alone protects: `checkTarget` before, `lookupFor` for the
 * addresses (all of them are checked, and only checked ones are dialled, so that a name cannot change between check and
 * use), `admits` for the address that the socket really has.
 *
 * What the operator lists opens networks, names and ports. It never opens this server's own listener: that takes
 * `allowSelf`.
 */
import { isIP, type LookupFunction } from "node:net";
import { PosthornError } from "../base/errors.ts";
import {
  isInNetworks,
  isLoopbackName,
  isPrivateName,
  isPublicAddress,
  networkList,
} from "./address-blocks.ts";
import { isOwnAddress } from "./own-addresses.ts";
import { createResolver, type Resolver } from "./resolver.ts";

export interface AddressGuardOptions {
  /** CIDR networks that may be reached although they are not public; names that resolve wholly into them, too. */
  readonly allowNetworks: readonly string[];
  /** In addition to 80, 443, 8080 and 8443. */
  readonly allowPorts: readonly number[] | "any";
  /** Exact names that may be reached whatever they resolve to. */
  readonly allowHosts?: readonly string[];
  /** Whether a connection may lead back to this server's own listener. */
  readonly allowSelf?: boolean;
  /** False when a proxy resolves names: private ones then pass only if `allowHosts` has them, whatever networks are listed. */
  readonly resolvesNames?: boolean;
  readonly resolver?: Resolver;
  /** For all addresses of one name, in milliseconds. */
  readonly resolveTimeoutMs?: number;
}

export interface UrlRules {
  /** The field that holds the URL; `/url` unless given. */
  readonly pointer?: string;
  /** `required`: `https://`, unless `allowHosts` has the very host, or `allowNetworks` the literal address. */
  readonly tls?: "optional" | "required";
}

export interface AddressGuard {
  /**
   * The parsed URL, when its form, scheme, port, literal address or name may be used. Resolves nothing.
   * @throws PosthornError `invalid_url` naming the field, the value and what to do.
   */
  checkUrl(url: string, rules?: UrlRules): URL;
  /** True when a connection may be made to this address. */
  isAllowed(address: string): boolean;
  /**
   * Before connecting: the port, a literal address, for which a lookup is never called, and the name when a proxy
   * resolves it.
   * @throws AddressRefusedError
   */
  checkTarget(hostname: string, port: number): void;
  /** For net.connect. Fails with AddressRefusedError if any address is refused, with NameUnresolvedError if there is none. */
  lookupFor(port: number): LookupFunction;
  /** After connecting: whether the socket for this host may talk to this address and port. */
  admits(hostname: string, address: string, port: number): boolean;
  /** This server listens on that port: from now on no connection to it, on any address of this machine, is let through. */
  ownListener(port: number): void;
}

/** Towards apps this is shown like a refused connection: whether an internal address exists is not theirs to learn. */
export class AddressRefusedError extends Error {
  override readonly name = "AddressRefusedError";
  readonly code = "POSTHORN_ADDRESS_REFUSED";
}

export class NameUnresolvedError extends Error {
  override readonly name = "NameUnresolvedError";
  readonly code = "POSTHORN_NAME_UNRESOLVED";
}

const PORTS = [80, 443, 8080, 8443];
const URL_LENGTH_MAX = 2048;
/** Of a name with more addresses than this all are checked, but no more are tried. */
const ADDRESSES_PER_FAMILY_MAX = 4;

export function createAddressGuard({
  allowNetworks,
  allowPorts,
  allowHosts = [],
  allowSelf = false,
  resolvesNames = true,
  resolver = createResolver(),
  resolveTimeoutMs = 4000,
}: AddressGuardOptions): AddressGuard {
  const networks = networkList(allowNetworks, "allowNetworks");
  const ports = allowPorts === "any" ? undefined : portSet(allowPorts);
  const hosts = new Set(allowHosts.map(plainName));

  const ownPorts = new Set<number>();

  const isListed = (address: string): boolean => isInNetworks(networks, address);
  const isAllowed = (address: string): boolean => isPublicAddress(address) || isListed(address);
  /** Asked for few connections: hardly any goes to such a port. */
  const isOwnListener = (address: string, port: number): boolean =>
    !allowSelf && ownPorts.has(port) && isOwnAddress(address);
  /** A name that means nothing in public and that no listed network can vouch for. */
  const isRefusedName = (name: string): boolean =>
    isPrivateName(name) && !hosts.has(name) && (allowNetworks.length === 0 || !resolvesNames);

  function admitsAddress(name: string, address: string): boolean {
    if (hosts.has(name)) return true;
    return isIP(name) === 0 && isPrivateName(name) ? isListed(address) : isAllowed(address);
  }

  function admits(hostname: string, address: string, port: number): boolean {
    return admitsAddress(plainName(hostname), address) && !isOwnListener(address, port);
  }

  function checkTarget(hostname: string, port: number): void {
    if (ports !== undefined && !ports.has(port))
      throw new AddressRefusedError(`The port ${port} is not allowed.`);
    if (hasEmptyLabel(hostname)) throw new AddressRefusedError(`${hostname} has an empty label.`);
    const name = plainName(hostname);
    if (isIP(name) === 0) {
      if (isRefusedName(name)) throw new AddressRefusedError(`${name} is not a public name.`);
    } else if (!admits(name, name, port)) {
      throw new AddressRefusedError(`The address ${name} is not allowed.`);
    }
  }

  /** Addresses of a host, all of them checked. */
  async function resolve(hostname: string, port: number): Promise<readonly string[]> {
    const name = plainName(hostname);
    if (isRefusedName(name)) throw new AddressRefusedError(`${name} is not a public name.`);
    const system = isPrivateName(name) || hosts.has(name);
    // A name that is loopback by definition (RFC 6761, 6.3): no server is asked, and the listed part of it is enough.
    const found = isLoopbackName(name)
      ? ["127.0.0.1", "::1"].filter((address) => admitsAddress(name, address))
      : await within(resolver(name, { system }), resolveTimeoutMs, name);
    const refused = found.find((address) => !admits(name, address, port));
    if (found.length === 0 || refused !== undefined) {
      throw new AddressRefusedError(`${name} resolves to an address that is not allowed.`);
    }
    return found;
  }

  function lookupFor(port: number): LookupFunction {
    return (hostname, options, callback) => {
      resolve(hostname, port).then(
        (addresses) => {
          const answer = dialOrder(addresses).map((address) => ({ address, family: isIP(address) }));
          if (options.all) callback(null, answer);
          else callback(null, answer[0]?.address ?? "", answer[0]?.family);
        },
        (error: Error) => callback(error, options.all ? [] : ""),
      );
    };
  }

  /** Whether the operator vouches for the way to this very host; localhost is what it is by definition. */
  function isVouchedFor(name: string): boolean {
    return hosts.has(name) || isListed(isLoopbackName(name) ? "127.0.0.1" : name);
  }

  function checkUrl(url: string, { pointer = "/url", tls = "optional" }: UrlRules = {}): URL {
    const refuse = (why: string): never => refuseUrl(url, why, pointer);
    const parsed = parseUrl(url, refuse);
    const port = portOf(parsed);
    if (ports !== undefined && !ports.has(port)) {
      refuse(
        `the port ${port} is not allowed; use ${[...ports].join(", ")}, or have the operator list it in POSTHORN_ALLOW_PORTS`,
      );
    }
    const name = plainName(parsed.hostname);
    const isLiteral = isIP(name) !== 0;
    if (isLiteral && !admitsAddress(name, name)) {
      refuse(
        `the address ${name} is not public; use a public one, or have the operator list its network in POSTHORN_ALLOW_NETWORKS`,
      );
    }
    if (!isLiteral && isRefusedName(name)) {
      const remedy = resolvesNames
        ? "list its network in POSTHORN_ALLOW_NETWORKS"
        : "list it in POSTHORN_ALLOW_HOSTS";
      refuse(
        `the name "${name}" is not a public one; use a full public name, or have the operator ${remedy}`,
      );
    }
    if (tls === "required" && parsed.protocol !== "https:" && !isVouchedFor(name)) {
      refuse(
        `a secret is sent to it, in clear; use https://, or have the operator list ${name} in ${isLiteral ? "POSTHORN_ALLOW_NETWORKS" : "POSTHORN_ALLOW_HOSTS"}`,
      );
    }
    const address = isLoopbackName(name) ? "127.0.0.1" : name;
    if (isOwnListener(address, port)) {
      refuse(
        "it leads back to this server; use another address, or have the operator set POSTHORN_ALLOW_SELF",
      );
    }
    return parsed;
  }

  return {
    checkUrl,
    isAllowed,
    checkTarget,
    lookupFor,
    admits,
    ownListener(port) {
      ownPorts.add(port);
    },
  };
}

function portSet(allowPorts: readonly number[]): ReadonlySet<number> {
  for (const port of allowPorts) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new PosthornError(
        "invalid_field",
        `allowPorts: ${port} is not a port; use 1 to 65535, or "any".`,
        {
          pointer: "/allowPorts",
          value: port,
        },
      );
    }
  }
  return new Set([...PORTS, ...allowPorts]);
}

/** The URL by the WHATWG parser, refused where other parsers read it in another way. */
function parseUrl(url: string, refuse: (why: string) => never): URL {
  if (url.length > URL_LENGTH_MAX) refuse(`it is longer than ${URL_LENGTH_MAX} characters`);
  if (/[\p{Cc}\s\\]/u.test(url)) {
    refuse("it holds a space, a backslash or a control character; percent-encode it");
  }
  if (!/^https?:\/\//i.test(url)) refuse("it must begin with https:// or http://");
  const authority = /^[a-z]+:\/\/([^/?#]*)/i.exec(url)?.[1] ?? "";
  if (authority.includes("@")) {
    refuse("it holds a user name or password; send credentials in a header of the endpoint");
  }
  if (url.includes("#")) refuse("it has a fragment (#...), which is never sent; remove it");
  const parsed = authority === "" ? null : URL.parse(url);
  if (parsed === null || parsed.hostname === "") {
    return refuse("it is not a URL; write it like https://example.com/hooks");
  }
  if (hasEmptyLabel(parsed.hostname)) {
    refuse("its host has an empty label (two dots in a row, or one in front); remove it");
  }
  return parsed;
}

function refuseUrl(url: string, why: string, pointer: string): never {
  const shown = url.replace(/\/\/[^/?#]*@/, "//***@").slice(0, 200);
  throw new PosthornError("invalid_url", `${pointer}: ${why} (got ${JSON.stringify(shown)}).`, {
    pointer,
    value: shown,
  });
}

/** The port of a URL, its scheme's default included. */
export function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

/** What resolvers and proxies do with it differs: some leave dots out, and `127.0.0.1..` would be an address to them. */
function hasEmptyLabel(hostname: string): boolean {
  return hostname.startsWith(".") || hostname.includes("..");
}

/** Lower case, without brackets around IPv6 and without the dot at the end. */
function plainName(hostname: string): string {
  const name = hostname.toLowerCase();
  if (name.startsWith("[")) return name.slice(1, -1);
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

/**
 * IPv6 first, and never more of it than of IPv4: node:net gives each address but the last 250 ms, so the last must be one
 * that a broken IPv6 path cannot swallow.
 */
function dialOrder(addresses: readonly string[]): readonly string[] {
  const ipv4 = addresses.filter((address) => isIP(address) === 4).slice(0, ADDRESSES_PER_FAMILY_MAX);
  const ipv6 = addresses.filter((address) => isIP(address) === 6).slice(0, ADDRESSES_PER_FAMILY_MAX);
  if (ipv4.length === 0) return ipv6;
  // 127.0.0.1 before ::1: a development server listens there more often.
  if (ipv4[0] === "127.0.0.1") return [...ipv4, ...ipv6];
  return [...ipv6.slice(0, ipv4.length), ...ipv4];
}

async function within(
  question: Promise<readonly string[]>,
  timeoutMs: number,
  name: string,
): Promise<readonly string[]> {
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    deadline.reject(new NameUnresolvedError(`No name server answered for ${name} within ${timeoutMs} ms.`));
  }, timeoutMs);
  // Whoever waits for the name has a deadline of its own, and may have gone.
  timer.unref();
  try {
    return await Promise.race([question, deadline.promise]);
  } catch (error) {
    if (error instanceof NameUnresolvedError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "no answer";
    throw new NameUnresolvedError(`${name} has no address (${code}).`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

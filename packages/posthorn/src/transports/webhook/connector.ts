/**
 * Opens one connection to where the address guard lets us: the port and a literal address are checked before, every
 * address of a name while it is looked up, and the socket's own address once more when it is connected.
 *
 * undici's own connector is not used: it keeps TLS sessions by weak reference only, so that the garbage collector throws
 * them away between two deliveries (a new handshake costs 1.6 ms, thirty times a whole request), and its connect
 * timeout is up to a second late.
 */
import net from "node:net";
import tls from "node:tls";
import type { buildConnector } from "undici";
import { type AddressGuard, AddressRefusedError } from "../../security/address-guard.ts";

/** Starts to connect, and hands the socket out at once so that the caller can give up; calls back exactly once unless given up. */
export type Connector = (
  options: buildConnector.Options,
  callback: buildConnector.Callback,
) => net.Socket | undefined;

export interface ConnectorOptions {
  readonly guard: AddressGuard;
  /** In total: name, TCP and TLS. */
  readonly connectTimeoutMs: number;
  /** In place of the system's certificate authorities, PEM. */
  readonly certificateAuthorities?: readonly string[];
  /** TLS sessions kept for resumption, one per host and port, about 2 KiB each. */
  readonly tlsSessionsMax?: number;
}

export class ConnectTimeoutError extends Error {
  override readonly name = "ConnectTimeoutError";
  readonly code = "POSTHORN_CONNECT_TIMEOUT";
}

/** How long one address may take before the next is tried (RFC 8305 asks for 250 ms). The last has all the time left. */
const NEXT_ADDRESS_MS = 250;
/** Probes on an idle connection find out that a NAT has forgotten it. */
const TCP_KEEP_ALIVE_MS = 30_000;

export function createConnector({
  guard,
  connectTimeoutMs,
  certificateAuthorities,
  tlsSessionsMax = 4096,
}: ConnectorOptions): Connector {
  const sessions = createSessionCache(tlsSessionsMax);
  // One context for all: building one reads every certificate authority of the system anew.
  let context: tls.SecureContext | undefined;

  function open(hostname: string, port: number, isTls: boolean): net.Socket {
    const options = {
      host: hostname,
      port,
      lookup: guard.lookup,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
    };
    if (!isTls) return net.connect(options);
    context ??= tls.createSecureContext({
      minVersion: "TLSv1.2",
      ...(certificateAuthorities && { ca: [...certificateAuthorities] }),
    });
    const sessionKey = `${hostname}:${port}`;
    const socket = tls.connect({
      ...options,
      secureContext: context,
      // The certificate must name the host of the URL, whatever address is dialled; whatever the environment says.
      rejectUnauthorized: true,
      servername: net.isIP(hostname) === 0 ? hostname.replace(/\.$/, "") : "",
      ALPNProtocols: ["http/1.1"],
      session: sessions.get(sessionKey),
    });
    socket.on("session", (session) => sessions.set(sessionKey, session));
    return socket;
  }

  return ({ hostname, protocol, port: portText }, callback) => {
    const isTls = protocol === "https:";
    const port = portText === "" ? (isTls ? 443 : 80) : Number(portText);
    try {
      guard.checkTarget(hostname, port);
    } catch (error) {
      // Never before the caller has returned.
      process.nextTick(callback, error, null);
      return undefined;
    }
    const socket = open(hostname, port, isTls);
    const timer = setTimeout(() => {
      socket.destroy(new ConnectTimeoutError(`no connection within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs);
    let isCalled = false;
    const done = (error: Error | null): void => {
      clearTimeout(timer);
      if (isCalled) return;
      isCalled = true;
      if (error === null) callback(null, socket);
      else callback(error, null);
    };
    socket.once("connect", () => {
      if (guard.admits(hostname, socket.remoteAddress ?? "")) return;
      socket.destroy(new AddressRefusedError(`connected to ${socket.remoteAddress}, which is not allowed`));
    });
    socket.once(isTls ? "secureConnect" : "connect", () => {
      if (!socket.destroyed) done(null);
    });
    socket.on("error", done);
    // Given up by the caller: no error is shown, but the timer must go.
    socket.once("close", () => clearTimeout(timer));
    return socket;
  };
}

/** The newest TLS session of each host, the least recently used dropped first. */
function createSessionCache(max: number): {
  get(key: string): Buffer | undefined;
  set(key: string, session: Buffer): void;
} {
  const sessions = new Map<string, Buffer>();
  function set(key: string, session: Buffer): void {
    sessions.delete(key);
    sessions.set(key, session);
    if (sessions.size > max) sessions.delete(sessions.keys().next().value ?? "");
  }
  return {
    get(key) {
      const session = sessions.get(key);
      if (session !== undefined) set(key, session);
      return session;
    },
    set,
  };
}

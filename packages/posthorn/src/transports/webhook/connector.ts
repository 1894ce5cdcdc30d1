/**
 * Opens one connection to where the address guard lets us: the port and a literal address are checked before, every
 * address of a name while it is looked up, and the socket's own address once more when it is connected. With an outbound
 * proxy the proxy looks names up and dials; it is never gone around.
 *
 * undici's own connector is not used: it keeps TLS sessions by weak reference only, so that the garbage collector throws
 * them away between two deliveries (a new handshake costs 1.6 ms, thirty times a whole request), and its connect
 * timeout is up to a second late.
 */
import net from "node:net";
import tls from "node:tls";
import type { buildConnector } from "undici";
import { type AddressGuard, AddressRefusedError } from "../../security/address-guard.ts";
import type { ShipmentAccess } from "../transport.ts";
import { ClientCertificateError, ConnectTimeoutError, isReset } from "./failure.ts";
import { createProxy } from "./proxy.ts";
import { createTlsContexts } from "./tls-contexts.ts";

/** A connection that is being made, or was. */
export interface Dial {
  /** Destroying it gives up. */
  socket: net.Socket | undefined;
  /** What carries it, below TLS: every byte that the other side sends is counted there. */
  wire: net.Socket | undefined;
  /** What it waits for: in `handshake` TCP stands, in `response` there is nothing left to make. */
  phase: "connect" | "handshake" | "response";
  /** The alert with which the receiver ended TLS; the socket itself may only say that it was closed. */
  alert: Error | undefined;
}

/** Starts to connect, and returns at once so that the caller can give up; calls back exactly once unless given up. */
export type Connector = (
  target: buildConnector.Options,
  access: ShipmentAccess | undefined,
  callback: buildConnector.Callback,
) => Dial;

export interface ConnectorOptions {
  readonly guard: AddressGuard;
  /** In total: proxy, name, TCP and TLS. */
  readonly connectTimeoutMs: number;
  /** In place of Node's certificate authorities, PEM. */
  readonly certificateAuthorities?: readonly string[];
  /** TLS sessions kept for resumption, one per host, port and access, about 2 KiB each. */
  readonly tlsSessionsMax?: number;
  /** Monotonic, in milliseconds. */
  readonly now?: () => number;
  /** Through which every connection goes: `http://` or `https://`, with user and password if it wants them. */
  readonly outboundProxy?: string;
  /** Opens the TCP connection; for tests that may not dial. */
  readonly dial?: (options: net.TcpNetConnectOpts) => net.Socket;
}

/** How long one address may take before the next is tried (RFC 8305 asks for 250 ms). The last has all the time left. */
const NEXT_ADDRESS_MS = 250;
/** Probes on an idle connection find out that a NAT has forgotten it. */
const TCP_KEEP_ALIVE_MS = 30_000;
const SOCKET_OPTIONS = {
  autoSelectFamily: true,
  autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
} as const;
/** Of a record with an alert and nothing else (RFC 8446 5.1 and 6). */
const ALERT_RECORD_BYTES = 7;

export function createConnector({
  guard,
  connectTimeoutMs,
  certificateAuthorities,
  tlsSessionsMax = 4096,
  now = () => performance.now(),
  outboundProxy,
  dial: connect = net.connect,
}: ConnectorOptions): Connector {
  const contexts = createTlsContexts({ certificateAuthorities, sessionsMax: tlsSessionsMax, now });
  const proxy =
    outboundProxy === undefined
      ? undefined
      : createProxy(outboundProxy, {
          ...SOCKET_OPTIONS,
          reachTimeoutMs: connectTimeoutMs / 2,
          certificateAuthorities,
        });

  /** A way to the target, still without TLS; `done` is called when it stands, or will not. */
  function open(hostname: string, port: number, done: (error: Error | null) => void): net.Socket {
    if (proxy !== undefined) return proxy(hostname, port, done);
    const socket = connect({ ...SOCKET_OPTIONS, host: hostname, port, lookup: guard.lookupFor(port) });
    socket.once("connect", () => {
      const address = socket.remoteAddress ?? "";
      if (guard.admits(hostname, address, port)) done(null);
      else done(new AddressRefusedError(`connected to ${address}, which is not allowed`));
    });
    return socket.on("error", done);
  }

  /** @throws TlsAccessError */
  function secure(
    socket: net.Socket,
    hostname: string,
    port: number,
    access: ShipmentAccess | undefined,
  ): tls.TLSSocket {
    const place = `${hostname}:${port} ${access?.tls ? access.id : ""}`;
    const kept = contexts.sessionFor(place);
    const startedAtMs = now();
    const secured = tls.connect({
      socket,
      secureContext: contexts.contextFor(access),
      // The certificate must name the host of the URL, whatever address is dialled; whatever the environment says.
      rejectUnauthorized: true,
      host: hostname,
      servername: net.isIP(hostname) === 0 ? hostname.replace(/\.$/, "") : "",
      ALPNProtocols: ["http/1.1"],
      session: kept?.session,
    });
    // Not before the certificate was checked: node holds a session back until then.
    return secured.on("session", (session) => {
      const checkedAtMs = kept !== undefined && secured.isSessionReused() ? kept.checkedAtMs : startedAtMs;
      contexts.keepSession(place, { session, checkedAtMs });
    });
  }

  return ({ hostname, protocol, port: portText }, access, callback) => {
    const isTls = protocol === "https:";
    const port = portText === "" ? (isTls ? 443 : 80) : Number(portText);
    const dial: Dial = { socket: undefined, wire: undefined, phase: "connect", alert: undefined };
    try {
      guard.checkTarget(hostname, port);
    } catch (error) {
      // Never before the caller has returned.
      process.nextTick(callback, error, null);
      return dial;
    }
    let isCalled = false;
    const settle = (error: Error | null, socket?: net.Socket): void => {
      clearTimeout(timer);
      if (isCalled) return;
      isCalled = true;
      if (error === null && socket !== undefined) {
        dial.phase = "response";
        callback(null, socket);
        return;
      }
      dial.socket?.destroy();
      callback(error ?? new Error("no socket"), null);
    };
    const timer = setTimeout(() => {
      const phase = dial.phase === "handshake" ? "handshake" : "connect";
      settle(new ConnectTimeoutError(phase, connectTimeoutMs));
    }, connectTimeoutMs);
    const socket = open(hostname, port, (error) => {
      if (error !== null || !isTls) {
        settle(error, socket);
        return;
      }
      dial.phase = "handshake";
      const bytesBefore = socket.bytesRead;
      try {
        const secured = secure(socket, hostname, port, access);
        dial.socket = secured;
        secured.once("secureConnect", () => settle(null, secured));
        // node reports the end of the stream before the alert that made it (and documents no event for that one): who
        // closes the socket at its end, as undici does, misses why. Without it we would only say "reset".
        secured.on("_tlsError", (alert: Error) => {
          dial.alert = alert;
        });
        secured.on("error", (failure) => {
          const bytes = socket.bytesRead - bytesBefore;
          settle(
            isAboutClientCertificate(failure, bytes, access) ? new ClientCertificateError(failure) : failure,
          );
        });
      } catch (failure) {
        settle(failure as Error);
      }
    });
    // Given up by the caller: no error is shown, but the timer must go.
    socket.once("close", () => clearTimeout(timer));
    dial.socket = socket;
    dial.wire = socket;
    return dial;
  };
}

/**
 * TLS 1.2 has no alert of its own for a certificate that is missing: the receiver says "handshake failure", as it does
 * when no cipher suits it; but only then before it has said anything else. And some servers just hang up.
 */
function isAboutClientCertificate(
  error: Error & { code?: string },
  bytesRead: number,
  access: ShipmentAccess | undefined,
): boolean {
  if (bytesRead <= ALERT_RECORD_BYTES) return false;
  if (error.code?.endsWith("ALERT_HANDSHAKE_FAILURE")) return true;
  return access?.tls?.clientCertificate != null && isReset(error);
}

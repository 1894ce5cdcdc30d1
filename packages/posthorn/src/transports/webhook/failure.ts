/** What an exchange that got no answer came to: errors of node, OpenSSL, undici, the address guard and the proxy, by their codes. */
import { isIP } from "node:net";
import type { AttemptOutcome, UnreachableCause } from "../../domain/attempt.ts";

const CAUSE_BY_CODE: Readonly<Record<string, UnreachableCause>> = {
  POSTHORN_ADDRESS_REFUSED: "address_refused",
  POSTHORN_NAME_UNRESOLVED: "dns",
  POSTHORN_PROXY: "proxy",
  ECONNREFUSED: "connection_refused",
  ECONNRESET: "connection_reset",
  ECONNABORTED: "connection_reset",
  EPIPE: "connection_reset",
  UND_ERR_SOCKET: "connection_reset",
  CERT_HAS_EXPIRED: "tls_expired",
  CERT_NOT_YET_VALID: "tls_expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "tls_wrong_host",
  HOSTNAME_MISMATCH: "tls_wrong_host",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls_self_signed",
  POSTHORN_CLIENT_CERTIFICATE: "tls_client_certificate",
  // OpenSSL's word for an answer that is not TLS.
  EPROTO: "tls",
  UND_ERR_HEADERS_OVERFLOW: "protocol",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "protocol",
  POSTHORN_PROTOCOL: "protocol",
};
/** node's codes for what OpenSSL says (`ERR_SSL_` and its words), and X509_V_ERR_... without its prefix. The first that fits counts. */
const TLS_CAUSES: readonly [code: RegExp, cause: UnreachableCause][] = [
  // Alerts that a receiver sends about our certificate, or because there was none (RFC 8446 6.2).
  [
    /^ERR_SSL_.*ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REQUIRED|REVOKED|EXPIRED|UNKNOWN)|UNKNOWN_CA|ACCESS_DENIED)$/,
    "tls_client_certificate",
  ],
  // A handshake failure before the receiver's first word is about versions and ciphers; a later one never comes here.
  [
    /^ERR_SSL_.*(ALERT_PROTOCOL_VERSION|ALERT_INSUFFICIENT_SECURITY|ALERT_HANDSHAKE_FAILURE|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW|DH_KEY_TOO_SMALL)$/,
    "tls_version",
  ],
  [
    /^(SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|CRL_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_)/,
    "tls_untrusted",
  ],
  [/^ERR_(TLS|SSL|OSSL)/, "tls"],
];
const TLS_SENTENCES: Partial<Record<UnreachableCause, string>> = {
  tls_expired: "The receiver's certificate has expired, or is not valid yet",
  tls_wrong_host: "The receiver's certificate names another host than its URL",
  tls_self_signed: "The receiver's certificate is signed by itself",
  tls_untrusted: "The receiver's certificate leads to no authority that is trusted here",
  tls_version: "The receiver speaks no version and cipher of TLS in common with us; TLS 1.2 is the least",
  tls_client_certificate:
    "The receiver wants a client certificate, or does not accept the one of the endpoint",
  tls: "The TLS connection failed",
};
const DETAIL_LENGTH_MAX = 200;

/** `address`: what was dialled. */
type Failure = Error & { readonly code?: string; readonly reason?: string; readonly address?: string };

/** An answer that breaks the rules of HTTP in a way that undici's parser lets through. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code = "POSTHORN_PROTOCOL";
}

/** Time ran out before there was a connection: in `handshake` TCP stood, and TLS did not. */
export class ConnectTimeoutError extends Error {
  override readonly name = "ConnectTimeoutError";
  readonly code = "POSTHORN_CONNECT_TIMEOUT";
  readonly phase: "connect" | "handshake";

  constructor(phase: "connect" | "handshake", timeoutMs: number) {
    super(`no connection within ${timeoutMs} ms`);
    this.phase = phase;
  }
}

/** The outbound proxy is down, refuses, or answers nonsense. Its message never holds the proxy's password or address. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly code = "POSTHORN_PROXY";
}

/** The receiver broke off where it reads the client certificate. */
export class ClientCertificateError extends Error {
  override readonly name = "ClientCertificateError";
  readonly code = "POSTHORN_CLIENT_CERTIFICATE";

  constructor(cause: Error) {
    super(
      "The receiver wants a client certificate, or closed the connection on being shown the endpoint's.",
      {
        cause,
      },
    );
  }
}

/** The endpoint's own certificate, key or authorities cannot be read. */
export class TlsAccessError extends Error {
  override readonly name = "TlsAccessError";
  readonly code = "POSTHORN_TLS_ACCESS";
}

/** The outcome of an exchange that failed before a status line was read. */
export function outcomeOfError(error: Failure): AttemptOutcome {
  if (error instanceof ConnectTimeoutError) return { kind: "timed_out", phase: error.phase };
  const code = error.code ?? "";
  // The kernel gave up, or every address of the host took too long.
  if (code === "ETIMEDOUT") return { kind: "timed_out", phase: "connect" };
  // undici refuses a header or path before anything is sent.
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED" || code === "POSTHORN_TLS_ACCESS") {
    return { kind: "invalid", detail: detailOf(error) };
  }
  const cause = causeOf(error, code);
  return { kind: "unreachable", cause, detail: detailOf(error, cause) };
}

function causeOf(error: Error, code: string): UnreachableCause {
  // undici has one code for a closed socket and for an answer that nobody asked for.
  if (code === "UND_ERR_SOCKET" && /^bad (response|upgrade)/.test(error.message)) return "protocol";
  const known = CAUSE_BY_CODE[code] ?? TLS_CAUSES.find(([pattern]) => pattern.test(code))?.[1];
  if (known !== undefined) return known;
  return error.name === "HTTPParserError" ? "protocol" : "network";
}

function detailOf(error: Failure, cause?: UnreachableCause): string {
  const sentence = cause && TLS_SENTENCES[cause];
  // OpenSSL's own message is a line of its source; what it means stands in `reason`, or in the code.
  if (sentence !== undefined && !(error instanceof ClientCertificateError)) {
    return `${sentence} (${error.reason ?? error.code}).`.slice(0, DETAIL_LENGTH_MAX);
  }
  // When every address of a host failed, node's error has no message of its own.
  const inner = error instanceof AggregateError ? (error.errors as Error[]) : [error];
  const messages = inner.map(({ message }) => message).filter((message) => message !== "");
  return (messages.join("; ") || error.code || error.name).slice(0, DETAIL_LENGTH_MAX);
}

/** The other side closed the connection, in whatever words of node or undici. */
export function isReset(error: Failure): boolean {
  return causeOf(error, error.code ?? "") === "connection_reset";
}

/** This machine is out of file descriptors, ports or buffers: nothing is wrong with the receiver. */
export function isExhausted(error: Failure): boolean {
  if (error instanceof AggregateError) return (error.errors as Failure[]).some(isExhausted);
  // What a machine without IPv6 says of every such address, in good health.
  if (error.code === "EADDRNOTAVAIL") return isIP(error.address ?? "") === 4;
  return ["EMFILE", "ENFILE", "ENOBUFS"].includes(error.code ?? "");
}

/** What an exchange that got no answer came to: errors of node, OpenSSL, undici and the address guard, by their codes. */
import type { AttemptOutcome, UnreachableCause } from "../../domain/attempt.ts";

const CAUSE_BY_CODE: Readonly<Record<string, UnreachableCause>> = {
  POSTHORN_ADDRESS_REFUSED: "address_refused",
  POSTHORN_NAME_UNRESOLVED: "dns",
  ECONNREFUSED: "connection_refused",
  ECONNRESET: "connection_reset",
  ECONNABORTED: "connection_reset",
  EPIPE: "connection_reset",
  UND_ERR_SOCKET: "connection_reset",
  // OpenSSL's word for an answer that is not TLS, and for a version or cipher that the two sides do not share.
  EPROTO: "tls",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "tls",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls",
  SELF_SIGNED_CERT_IN_CHAIN: "tls",
  UND_ERR_HEADERS_OVERFLOW: "protocol",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "protocol",
  POSTHORN_PROTOCOL: "protocol",
};
const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|CRL_|UNABLE_TO_|INVALID_CA|HOSTNAME_MISMATCH|PATH_LENGTH_)/;
const DETAIL_LENGTH_MAX = 200;

/** An answer that breaks the rules of HTTP in a way that undici's parser lets through. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code = "POSTHORN_PROTOCOL";
}

/** The outcome of an exchange that failed before a status line was read. */
export function outcomeOfError(error: Error & { code?: string }): AttemptOutcome {
  const code = error.code ?? "";
  // The last two: the kernel gave up, or every address of the host took too long.
  if (code === "POSTHORN_CONNECT_TIMEOUT" || code === "ETIMEDOUT")
    return { kind: "timed_out", phase: "connect" };
  // undici refuses a header or path before anything is sent.
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") {
    return { kind: "invalid", detail: detailOf(error) };
  }
  return { kind: "unreachable", cause: causeOf(error, code), detail: detailOf(error) };
}

function causeOf(error: Error, code: string): UnreachableCause {
  // undici has one code for a closed socket and for an answer that nobody asked for.
  if (code === "UND_ERR_SOCKET" && /^bad (response|upgrade)/.test(error.message)) return "protocol";
  const known = CAUSE_BY_CODE[code];
  if (known !== undefined) return known;
  if (TLS_CODE.test(code)) return "tls";
  return error.name === "HTTPParserError" ? "protocol" : "network";
}

/** When every address of a host failed, node's error has no message of its own. */
function detailOf(error: Error & { code?: string }): string {
  const inner = error instanceof AggregateError ? (error.errors as Error[]) : [error];
  const messages = inner.map(({ message }) => message).filter((message) => message !== "");
  return (messages.join("; ") || error.code || error.name).slice(0, DETAIL_LENGTH_MAX);
}

/** This machine is out of file descriptors, ports or buffers: nothing is wrong with the receiver. */
export function isExhausted(error: Error & { code?: string }): boolean {
  return ["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS"].includes(error.code ?? "");
}

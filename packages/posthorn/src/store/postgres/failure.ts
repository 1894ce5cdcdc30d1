/** What an error of the database or of its connection means for us. Codes: PostgreSQL's "Appendix A. Error Codes". */
import { PosthornError, unreachable } from "../../base/errors.ts";
import { maskSecrets } from "../../base/masking.ts";
import type { FailureKind } from "./connections.ts";

/** Of the connection itself: see FailureKind. `cause` is what the driver said. */
export class ConnectionFailure extends Error {
  override readonly name = "ConnectionFailure";
  readonly kind: "lost" | "unavailable";

  constructor(kind: "lost" | "unavailable", cause: unknown) {
    super(maskSecrets(textOf(cause)), { cause });
    this.kind = kind;
  }
}

const AGAIN = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "55P03", // lock_not_available
  "57014", // query_canceled: statement_timeout
]);
const UNAVAILABLE = new Set([
  "53300", // too_many_connections
  "57P03", // cannot_connect_now: it starts or stops
  "57P04", // database_dropped
  "25006", // read_only_sql_transaction: after a failover this is the standby now
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);
const LOST = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P05", // idle_session_timeout
  "25P03", // idle_in_transaction_session_timeout
  "ECONNRESET",
  "ETIMEDOUT",
  "EPIPE",
]);
const DISK_FULL = "53100";
const CHECK_VIOLATION = "23514";

export function failureOf(error: unknown): FailureKind {
  if (error instanceof ConnectionFailure) return error.kind;
  const code = codeOf(error);
  if (AGAIN.has(code)) return "again";
  if (UNAVAILABLE.has(code)) return "unavailable";
  if (LOST.has(code) || code.startsWith("08")) return "lost";
  if (code === DISK_FULL) return "full";
  // Class 53: resources are short. Class 58: the system below failed. Both pass, or are for an operator to mend.
  if (code.startsWith("53") || code.startsWith("58")) return "unavailable";
  if (code === CHECK_VIOLATION && textOf(error).startsWith("no partition of relation")) return "no_partition";
  return "other";
}

/** SQLSTATE, or the code of the operating system's error; empty: none. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return typeof code === "string" ? code : "";
}

/** Whether the session is of no use after this error: the server ended it, or is a standby now. */
export function endsSession(error: unknown): boolean {
  const severity = error instanceof Error && "severity" in error ? error.severity : "";
  return severity === "FATAL" || severity === "PANIC" || codeOf(error) === "25006";
}

/** What callers of the store may see. What is no failure of the database's stays as it is. */
export function toPosthornError(error: unknown): unknown {
  const kind = failureOf(error);
  const retryAfterSeconds = 1;
  const unavailable = (message: string): PosthornError =>
    new PosthornError("store_unavailable", message, { retryAfterSeconds, cause: error });
  switch (kind) {
    case "lost":
      return unavailable(
        "The connection to the database broke. What was asked may or may not have been done: ask again.",
      );
    case "unavailable":
      return unavailable("The database cannot be reached. Nothing was stored: try again in a moment.");
    case "again":
      return unavailable("The database is too busy. Nothing was stored: try again in a moment.");
    case "no_partition":
      return unavailable(
        "The database has no partition for this day yet. Nothing was stored: try again in a moment.",
      );
    case "full":
      return new PosthornError("storage_full", "The database's disk is full. Nothing was stored.", {
        retryAfterSeconds: 60,
        cause: error,
      });
    case "other":
      return error;
    default:
      return unreachable(kind, "failure");
  }
}

/** An AggregateError (one refusal for each address of a host) has no message of its own. */
function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") {
    return error.errors.map((each: unknown) => textOf(each)).join("; ");
  }
  return error instanceof Error ? error.message : String(error);
}

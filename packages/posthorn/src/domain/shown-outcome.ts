/**
 * What the owner of an app may know of an attempt that reached nobody. Blocked, refused and unresolvable addresses look
 * alike, or endpoints would be a port scanner: whoever names an address would learn what is behind it.
 */
import type { Attempt, AttemptOutcome, UnreachableCause } from "./attempt.ts";

/** What the others are shown as. */
export const NOBODY_REACHED = {
  kind: "unreachable",
  cause: "unreachable",
  detail:
    "No connection could be made. Check that the URL is right and that its host and port can be reached from the internet.",
} as const;

/** Causes that come from a receiver, or a token endpoint, that answered: its owner needs them, and they say nothing of anyone else. */
type AnsweredCause = Extract<UnreachableCause, `tls${string}` | "protocol" | "authorization">;

export type ShownOutcome =
  | Exclude<AttemptOutcome, { kind: "unreachable" }>
  | { readonly kind: "unreachable"; readonly cause: AnsweredCause; readonly detail: string }
  | typeof NOBODY_REACHED;

/** The outcome as the owner of the endpoint may see it. */
export function shownOutcome(outcome: AttemptOutcome): ShownOutcome {
  if (outcome.kind !== "unreachable") return outcome;
  const { kind, cause, detail } = outcome;
  switch (cause) {
    case "tls":
    case "tls_expired":
    case "tls_wrong_host":
    case "tls_self_signed":
    case "tls_untrusted":
    case "tls_version":
    case "tls_client_certificate":
    case "protocol":
    case "authorization":
      return { kind, cause, detail };
    case "address_refused":
    case "connection_refused":
    case "connection_reset":
    case "dns":
    case "network":
    case "proxy":
      return NOBODY_REACHED;
    default:
      cause satisfies never;
      // Written by a newer version: nobody here knows what it gives away.
      return NOBODY_REACHED;
  }
}

export interface ShownAttempt extends Omit<Attempt, "outcome" | "durationMs"> {
  readonly outcome: ShownOutcome;
  /** null: it would tell what the outcome does not. A refusal takes a millisecond, a name that is not there takes longer. */
  readonly durationMs: number | null;
}

/** The attempt as the owner of the endpoint may see it. */
export function shownAttempt(attempt: Attempt): ShownAttempt {
  const outcome = shownOutcome(attempt.outcome);
  return outcome !== NOBODY_REACHED
    ? { ...attempt, outcome }
    : { ...attempt, outcome, durationMs: null, responseBody: null };
}

/** An attempt's outcome in columns: its kind, the HTTP status, and JSON for what only some kinds have. */

import { unreachable } from "../base/errors.ts";
import type { AttemptOutcome, OutcomeKind } from "../domain/attempt.ts";

export interface OutcomeColumns {
  readonly status: number | null;
  readonly facts: string | null;
}

export function outcomeColumns(outcome: AttemptOutcome): OutcomeColumns {
  switch (outcome.kind) {
    case "succeeded":
      return {
        status: outcome.status,
        facts: outcome.control === null ? null : JSON.stringify({ control: outcome.control }),
      };
    case "rejected": {
      const { status, retryAfterMs, control, cause } = outcome;
      const isPlain = retryAfterMs === null && control === null && cause === undefined;
      return { status, facts: isPlain ? null : JSON.stringify({ retryAfterMs, control, cause }) };
    }
    case "timed_out":
      return { status: null, facts: JSON.stringify({ phase: outcome.phase }) };
    case "unreachable":
      return { status: null, facts: JSON.stringify({ cause: outcome.cause, detail: outcome.detail }) };
    case "invalid":
      return { status: null, facts: JSON.stringify({ detail: outcome.detail }) };
    case "unknown":
      return { status: null, facts: null };
    default:
      return unreachable(outcome, "outcome");
  }
}

export function outcomeOf(kind: OutcomeKind, status: number | null, facts: string | null): AttemptOutcome {
  const known = facts === null ? {} : JSON.parse(facts);
  switch (kind) {
    case "succeeded":
      return { kind, status: status ?? 0, control: known.control ?? null };
    case "rejected":
      return {
        kind,
        status: status ?? 0,
        retryAfterMs: known.retryAfterMs ?? null,
        control: known.control ?? null,
        ...(known.cause === undefined ? {} : { cause: known.cause }),
      };
    case "timed_out":
      return { kind, phase: known.phase };
    case "unreachable":
      return { kind, cause: known.cause, detail: known.detail };
    case "invalid":
      return { kind, detail: known.detail };
    case "unknown":
      return { kind };
    default:
      return unreachable(kind, "outcome");
  }
}

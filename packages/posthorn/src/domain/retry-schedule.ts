/**
 * When the next attempt is due: pure arithmetic. A schedule is a list of delays in seconds, one after each failed attempt;
 * its length + 1 is the number of attempts.
 */
import { z } from "zod";
import type { AttemptOutcome } from "./attempt.ts";
import { DEFAULTS, LIMITS } from "./defaults.ts";

export const retryScheduleSchema = z
  .array(
    z
      .number()
      .min(0)
      .max(LIMITS.retryScheduleMsMax / 1000),
  )
  .max(LIMITS.retryScheduleLengthMax)
  .refine((schedule) => schedule.reduce((sum, delay) => sum + delay, 0) * 1000 <= LIMITS.retryScheduleMsMax, {
    message: "must add up to at most 10 days (864000 seconds)",
    params: { code: "invalid_retry_schedule" },
  });

/** What the schedule says after a failed attempt. */
export type RetryDecision =
  | { readonly kind: "retry"; readonly delayMs: number }
  | { readonly kind: "exhausted" };

export interface RetryQuestion {
  readonly schedule: readonly number[];
  /** Failed attempts so far that count, this one included: 1 after the first failure. */
  readonly failures: number;
  readonly outcome: AttemptOutcome;
  /** Uniform in [0, 1). */
  readonly random: number;
  /** The least delay after a 429 or a timeout. */
  readonly overloadDelayMs: number;
}

/**
 * The jittered delay of the schedule; at least `overloadDelayMs` after a 429 or a timeout; `Retry-After` in full when it is longer, up to 24 h.
 */
export function decideRetry({
  schedule,
  failures,
  outcome,
  random,
  overloadDelayMs,
}: RetryQuestion): RetryDecision {
  const delaySeconds = schedule[failures - 1];
  if (delaySeconds === undefined) return { kind: "exhausted" };
  const jittered = delaySeconds * 1000 * (1 + DEFAULTS.retryJitter * (2 * random - 1));
  return { kind: "retry", delayMs: Math.ceil(Math.max(jittered, askedDelayMs(outcome, overloadDelayMs))) };
}

/** The least delay that the receiver's answer asks for, in milliseconds. */
function askedDelayMs(outcome: AttemptOutcome, overloadDelayMs: number): number {
  switch (outcome.kind) {
    case "rejected": {
      const retryAfterMs = Math.min(outcome.retryAfterMs ?? 0, LIMITS.retryAfterMsMax);
      return outcome.status === 429 ? Math.max(retryAfterMs, overloadDelayMs) : retryAfterMs;
    }
    case "timed_out":
      return overloadDelayMs;
    default:
      return 0;
  }
}

/** IMF-fixdate, and the two obsolete forms of a date that RFC 9110 5.6.7 wants accepted; all are in GMT. */
const HTTP_DATE = /^[A-Z][a-z]{2,8},? [A-Za-z0-9: -]{16,32}$/;

/**
 * Milliseconds of a `Retry-After` value, either form of RFC 9110 10.2.3 (fractions of seconds accepted; a date in the
 * past is 0); null for anything else and for negative values. Clamped to 24 h.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(Number(text) * 1000, LIMITS.retryAfterMsMax);
  if (!HTTP_DATE.test(text)) return null;
  const at = Date.parse(text.endsWith(" GMT") ? text : `${text} GMT`);
  if (Number.isNaN(at)) return null;
  return Math.min(Math.max(0, at - nowMs), LIMITS.retryAfterMsMax);
}

/** The longest that a whole schedule can take, jitter included, in milliseconds. */
export function scheduleMsMax(schedule: readonly number[]): number {
  return schedule.reduce((sum, delay) => sum + delay, 0) * 1000 * (1 + DEFAULTS.retryJitter);
}

/** What follows from the outcome of an attempt: for the delivery, and for the endpoint. Pure. */
import { unreachable } from "../base/errors.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import { LIMITS } from "../domain/defaults.ts";
import type { DeadLetterReason } from "../domain/delivery.ts";
import type { DisableReason } from "../domain/endpoint.ts";
import { decideRetry } from "../domain/retry-schedule.ts";
import type { NextStep } from "../store/store.ts";

export interface OutcomeQuestion {
  readonly outcome: AttemptOutcome;
  /** Failed attempts that count, before this one. */
  readonly failures: number;
  readonly retrySchedule: readonly number[];
  readonly overloadDelayMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

export function nextStep(question: OutcomeQuestion): NextStep {
  const { outcome } = question;
  switch (outcome.kind) {
    case "succeeded":
      return { kind: "delivered" };
    case "rejected":
      if (outcome.control === "abort-message") return { kind: "dead_lettered", reason: "refused" };
      return retryOr("attempts_exhausted", question);
    case "timed_out":
    case "unreachable":
      return retryOr("attempts_exhausted", question);
    case "invalid":
      // Retried like any failure: a wrong master key is an operator's mistake, and must not cost the events.
      return retryOr("invalid", question);
    case "unknown":
      throw new Error("an attempt that ended cannot be unknown");
    default:
      return unreachable(outcome, "outcome");
  }
}

function retryOr(reason: DeadLetterReason, question: OutcomeQuestion): NextStep {
  const decision = decideRetry({
    schedule: question.retrySchedule,
    failures: question.failures + 1,
    outcome: question.outcome,
    random: question.random,
    overloadDelayMs: question.overloadDelayMs,
  });
  if (decision.kind === "exhausted") return { kind: "dead_lettered", reason };
  return { kind: "retry", inMs: decision.delayMs, expiresInMs: decision.delayMs + LIMITS.waitMsMax };
}

/** Whether the receiver's answer disables its endpoint: 410 (Standard Webhooks), or the header `webhook-delivery: disable`. */
export function disablesEndpoint(outcome: AttemptOutcome): DisableReason | null {
  if (outcome.kind !== "succeeded" && outcome.kind !== "rejected") return null;
  if (outcome.control === "disable") return "receiver_asked";
  return outcome.status === 410 ? "gone" : null;
}

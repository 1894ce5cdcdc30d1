import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AttemptOutcome, ReceiverControl } from "../domain/attempt.ts";
import { LIMITS } from "../domain/defaults.ts";
import type { NextStep } from "../store/store.ts";
import { disablesEndpoint, nextStep } from "./next-step.ts";

function succeeded(status = 200, control: ReceiverControl | null = null): AttemptOutcome {
  return { kind: "succeeded", status, control };
}
function rejected(
  status: number,
  control: ReceiverControl | null = null,
  retryAfterMs: number | null = null,
): AttemptOutcome {
  return { kind: "rejected", status, retryAfterMs, control };
}
const TIMED_OUT: AttemptOutcome = { kind: "timed_out", phase: "connect" };
const UNREACHABLE: AttemptOutcome = { kind: "unreachable", cause: "dns", detail: "" };
const INVALID: AttemptOutcome = { kind: "invalid", detail: "the secret cannot be opened" };

/** With a schedule of 10 s and 200 s, without jitter, after so many failures before. */
function next(outcome: AttemptOutcome, failures = 0): NextStep {
  return nextStep({ outcome, failures, retrySchedule: [10, 200], overloadDelayMs: 60_000, random: 0.5 });
}
const retryIn = (inMs: number): NextStep => ({ kind: "retry", inMs, expiresInMs: inMs + LIMITS.waitMsMax });
const deadLettered = (reason: "attempts_exhausted" | "invalid" | "refused"): NextStep => ({
  kind: "dead_lettered",
  reason,
});

describe("what follows for the delivery", () => {
  for (const [what, outcome, first, last] of [
    ["200", succeeded(), { kind: "delivered" }, { kind: "delivered" }],
    ["204, with any control", succeeded(204, "abort-message"), { kind: "delivered" }, { kind: "delivered" }],
    ["200 that asks to be disabled", succeeded(200, "disable"), { kind: "delivered" }, { kind: "delivered" }],
    ["500", rejected(500), retryIn(10_000), deadLettered("attempts_exhausted")],
    ["302, never followed", rejected(302), retryIn(10_000), deadLettered("attempts_exhausted")],
    ["410", rejected(410), retryIn(10_000), deadLettered("attempts_exhausted")],
    ["429", rejected(429), retryIn(60_000), deadLettered("attempts_exhausted")],
    [
      "503 with Retry-After",
      rejected(503, null, 77_000),
      retryIn(77_000),
      deadLettered("attempts_exhausted"),
    ],
    [
      "400 that wants it no more",
      rejected(400, "abort-message"),
      deadLettered("refused"),
      deadLettered("refused"),
    ],
    [
      "500 that asks to be disabled",
      rejected(500, "disable"),
      retryIn(10_000),
      deadLettered("attempts_exhausted"),
    ],
    ["a timeout", TIMED_OUT, retryIn(60_000), deadLettered("attempts_exhausted")],
    ["no connection", UNREACHABLE, retryIn(10_000), deadLettered("attempts_exhausted")],
    ["a request that could not be built", INVALID, retryIn(10_000), deadLettered("invalid")],
  ] as const satisfies [string, AttemptOutcome, NextStep, NextStep][]) {
    test(what, () => {
      assert.deepEqual(next(outcome), first);
      assert.deepEqual(next(outcome, 2), last);
    });
  }

  test("the second failure waits by the second delay, and may wait 7 days past it", () => {
    assert.deepEqual(next(rejected(500), 1), {
      kind: "retry",
      inMs: 200_000,
      expiresInMs: 200_000 + 7 * 86_400_000,
    });
  });

  test("unknown is for the store to decide, and anything that the types say cannot be fails closed", () => {
    assert.throws(() => next({ kind: "unknown" }), /unknown/);
    assert.throws(() => next({ kind: "vanished" } as never), /outcome: unknown value/);
  });
});

test("the endpoint is disabled by 410, and where the receiver asks for it at any status", () => {
  const reasons = [
    succeeded(),
    rejected(404),
    rejected(410),
    succeeded(202, "disable"),
    rejected(500, "disable"),
  ];
  assert.deepEqual(reasons.map(disablesEndpoint), [null, null, "gone", "receiver_asked", "receiver_asked"]);
  assert.equal(disablesEndpoint(rejected(410, "disable")), "receiver_asked");
  assert.equal(disablesEndpoint(rejected(410, "abort-message")), "gone");
  for (const outcome of [TIMED_OUT, UNREACHABLE, INVALID, { kind: "unknown" } as const])
    assert.equal(disablesEndpoint(outcome), null);
});

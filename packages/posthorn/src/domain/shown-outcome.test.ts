import assert from "node:assert/strict";
import { test } from "node:test";
import { type Attempt, type AttemptOutcome, UNREACHABLE_CAUSES } from "./attempt.ts";
import { shownAttempt, shownOutcome } from "./shown-outcome.ts";

const attemptOf = (outcome: AttemptOutcome, durationMs: number): Attempt => ({
  id: "att_1",
  deliveryId: "dlv_1",
  endpointId: "ep_1",
  eventId: "evt_1",
  appId: "app_1",
  number: 1,
  startedAtMs: 0,
  durationMs,
  outcome,
  responseBody: null,
  url: "https://receiver.example/hook",
});

test("a blocked, a refusing and an unresolvable address look the same to the owner of an app, to the byte", () => {
  const shown = (
    ["address_refused", "connection_refused", "dns", "network", "connection_reset", "proxy"] as const
  ).map((cause, index) =>
    JSON.stringify(
      shownAttempt(
        attemptOf({ kind: "unreachable", cause, detail: `10.0.0.${index}: ${cause}` }, index * 100),
      ),
    ),
  );
  assert.equal(new Set(shown).size, 1, shown.join("\n"));
  assert.doesNotMatch(shown[0] ?? "", /10\.0\.0|refused|dns/);
});

test("what a receiver that answered did wrong is shown as it is", () => {
  const answered: AttemptOutcome[] = [
    ...UNREACHABLE_CAUSES.filter((cause) => /^(tls|protocol|authorization)/.test(cause)).map(
      (cause) => ({ kind: "unreachable", cause, detail: `what ${cause} is` }) as const,
    ),
    { kind: "succeeded", status: 204, control: null },
    { kind: "rejected", status: 500, retryAfterMs: null, control: null },
    { kind: "timed_out", phase: "response" },
    { kind: "invalid", detail: "no secret" },
    { kind: "unknown" },
  ];
  assert.equal(answered.length, 14);
  for (const outcome of answered) {
    assert.deepEqual(shownOutcome(outcome), outcome);
    assert.deepEqual(shownAttempt(attemptOf(outcome, 12)), attemptOf(outcome, 12));
  }
});

test("a cause that this version does not know is hidden", () => {
  const outcome = { kind: "unreachable", cause: "someday", detail: "10.0.0.1" } as unknown as AttemptOutcome;
  assert.doesNotMatch(JSON.stringify(shownOutcome(outcome)), /someday|10\.0\.0/);
});

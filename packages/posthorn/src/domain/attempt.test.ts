import assert from "node:assert/strict";
import { test } from "node:test";
import { type AttemptOutcome, isFailure, OUTCOME_KINDS } from "./attempt.ts";

test("all outcomes but success and unknown count against the endpoint", () => {
  const outcomes: AttemptOutcome[] = [
    { kind: "succeeded", status: 204, control: null },
    { kind: "rejected", status: 500, retryAfterMs: null, control: null },
    { kind: "timed_out", phase: "connect" },
    { kind: "unreachable", cause: "dns", detail: "" },
    { kind: "invalid", detail: "" },
    { kind: "unknown" },
  ];
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    OUTCOME_KINDS,
  );
  assert.deepEqual(outcomes.map(isFailure), [false, true, true, true, true, false]);
});

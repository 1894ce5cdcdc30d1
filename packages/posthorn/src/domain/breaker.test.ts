import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BREAKER_POLICY, BREAKER_STATES, Breaker, type BreakerState } from "./breaker.ts";

const MINUTE_MS = 60_000;
const SLICE_MS = BREAKER_POLICY.windowMs / 10;

/** A string of attempts, `x` failed and `.` succeeded, all at one time; gives the states in between. */
function record(breaker: Breaker, attempts: string, nowMs = 0): BreakerState[] {
  return [...attempts].map((attempt) => {
    const before = breaker.state;
    const changed = breaker.record(attempt === "x", nowMs);
    assert.equal(changed, breaker.state !== before);
    return breaker.state;
  });
}

describe("a closed breaker", () => {
  test("opens at 70 % failures of at least 10 attempts", () => {
    const breaker = new Breaker("closed");
    assert.deepEqual(new Set(record(breaker, "...xxxxxx")), new Set(["closed"]));
    assert.deepEqual(record(breaker, "x"), ["open"]);
  });

  test("stays closed at less, and with fewer attempts", () => {
    assert.equal(record(new Breaker("closed"), "xxxxxxxxx").at(-1), "closed");
    assert.equal(record(new Breaker("closed"), "....xxxxxx".repeat(20)).at(-1), "closed");
  });

  test("forgets what is over 5 minutes old, and remembers what is younger than 4.5", () => {
    for (const [afterMs, state] of [
      [4.5 * MINUTE_MS - 1, "open"],
      [5 * MINUTE_MS, "closed"],
    ] as const) {
      const breaker = new Breaker("closed");
      record(breaker, "xxxxxxxxx", 0);
      assert.deepEqual(record(breaker, "x", afterMs), [state]);
    }
  });

  test("is opened by failures only: old successes that fall out of the window open nothing", () => {
    const breaker = new Breaker("closed");
    record(breaker, "..........", 0);
    record(breaker, "xxxxxxxxxxxx", 4 * MINUTE_MS);
    assert.deepEqual(record(breaker, ".", 6 * MINUTE_MS), ["closed"]);
    assert.deepEqual(record(breaker, "x", 6 * MINUTE_MS), ["open"]);
  });
});

describe("a breaker that is not closed", () => {
  test("half opens with the first success and closes with the fifth", () => {
    const breaker = new Breaker("open");
    assert.deepEqual(record(breaker, "....."), [
      "half_open",
      "half_open",
      "half_open",
      "half_open",
      "closed",
    ]);
  });

  test("opens again with a failure, and begins to count anew", () => {
    const breaker = new Breaker("open");
    assert.deepEqual(record(breaker, "x....x....").slice(4), [
      "half_open",
      "open",
      ...Array(4).fill("half_open"),
    ]);
    assert.deepEqual(record(breaker, "."), ["closed"]);
  });

  test("knows nothing of the failures before once it has closed, even on a machine that has just started", () => {
    const breaker = new Breaker("closed");
    record(breaker, "xxxxxxxxxx", 10);
    record(breaker, ".....", MINUTE_MS);
    assert.deepEqual(new Set(record(breaker, "xxxxxxxxx", MINUTE_MS)), new Set(["closed"]));
    assert.deepEqual(record(breaker, "x", MINUTE_MS), ["open"]);
  });

  test("goes on where the lane's row says it was", () => {
    for (const state of BREAKER_STATES) assert.equal(new Breaker(state).state, state);
    assert.deepEqual(record(new Breaker("half_open"), "....."), [...Array(4).fill("half_open"), "closed"]);
  });
});

test("over any history it opens just when the window holds 10 attempts with 70 % failures", () => {
  const attempts = fc.array(fc.record({ failed: fc.boolean(), afterMs: fc.nat(40_000) }), { maxLength: 120 });
  const mostlyFailing = fc.array(
    fc.record({ failed: fc.nat(9).map((n) => n < 7), afterMs: fc.nat(20_000) }),
    { maxLength: 120 },
  );
  fc.assert(
    fc.property(fc.oneof(attempts, mostlyFailing), fc.nat(10 * MINUTE_MS), (history, startMs) => {
      const breaker = new Breaker("closed");
      let seen: { failed: boolean; atMs: number }[] = [];
      let nowMs = startMs;
      for (const { failed, afterMs } of history) {
        nowMs += afterMs;
        seen.push({ failed, atMs: nowMs });
        const wasClosed = breaker.state === "closed";
        breaker.record(failed, nowMs);
        if (!wasClosed) {
          if (breaker.state === "closed") seen = [];
          continue;
        }
        const oldestSlice = Math.floor(nowMs / SLICE_MS) - 9;
        const within = seen.filter(({ atMs }) => Math.floor(atMs / SLICE_MS) >= oldestSlice);
        const failures = within.filter((attempt) => attempt.failed).length;
        const opens = failed && within.length >= 10 && failures / within.length >= 0.7;
        assert.equal(breaker.state, opens ? "open" : "closed", `${failures} of ${within.length}`);
      }
    }),
    { numRuns: 300 },
  );
});

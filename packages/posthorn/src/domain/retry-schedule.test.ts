import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { AttemptOutcome } from "./attempt.ts";
import { DEFAULTS, LIMITS } from "./defaults.ts";
import {
  decideRetry,
  parseRetryAfter,
  type RetryQuestion,
  retryScheduleSchema,
  scheduleMsMax,
} from "./retry-schedule.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function rejected(status: number, retryAfterMs: number | null = null): AttemptOutcome {
  return { kind: "rejected", status, retryAfterMs, control: null };
}
const TIMED_OUT: AttemptOutcome = { kind: "timed_out", phase: "response" };
const RESET: AttemptOutcome = { kind: "unreachable", cause: "connection_reset", detail: "" };

/** The delay decided, without jitter unless asked for; undefined: no attempt is left. */
function delayMs(question: Partial<RetryQuestion>): number | undefined {
  const decision = decideRetry({
    schedule: DEFAULTS.retrySchedule,
    failures: 1,
    outcome: rejected(500),
    random: 0.5,
    overloadDelayMs: DEFAULTS.overloadDelayMs,
    ...question,
  });
  return decision.kind === "retry" ? decision.delayMs : undefined;
}

const schedules = fc.array(fc.double({ min: 0, max: 17_280, noNaN: true }), { maxLength: 50 });
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const outcomes = fc.oneof(
  fc.constant(TIMED_OUT),
  fc.constant(RESET),
  fc.record({
    kind: fc.constant("rejected" as const),
    status: fc.constantFrom(302, 400, 410, 429, 500, 503),
    retryAfterMs: fc.option(fc.double({ min: 0, max: 2 * DAY_MS, noNaN: true })),
    control: fc.constant(null),
  }),
);

describe("the default schedule", () => {
  test("is 10 attempts over 75 h 35 min 5 s", () => {
    const delays: number[] = [];
    for (let failures = 1; ; failures++) {
      const delay = delayMs({ failures });
      if (delay === undefined) break;
      delays.push(delay);
    }
    assert.equal(delays.length + 1, 10);
    assert.equal(
      delays.reduce((sum, delay) => sum + delay, 0),
      75 * HOUR_MS + 35 * 60_000 + 5000,
    );
    assert.deepEqual(delays.slice(0, 3), [5000, 300_000, 1_800_000]);
  });
});

describe("the next attempt", () => {
  test("is up to 20 % earlier or later than the schedule says, so that what failed together is not tried together", () => {
    assert.equal(delayMs({ failures: 2, random: 0 }), 240_000);
    assert.equal(delayMs({ failures: 2, random: 1 - 2 ** -53 }), 360_000);
    fc.assert(
      fc.property(schedules, fc.nat(60), random, (schedule, nth, chance) => {
        const seconds = schedule[nth];
        const delay = delayMs({ schedule, failures: nth + 1, random: chance });
        if (seconds === undefined) assert.equal(delay, undefined);
        else assert.ok(delay! >= seconds * 800 && delay! <= seconds * 1200 + 1, `${delay} for ${seconds} s`);
      }),
    );
  });

  test("fails exactly length + 1 times before the schedule is used up, whatever the outcomes", () => {
    fc.assert(
      fc.property(schedules, outcomes, random, (schedule, outcome, chance) => {
        let attempts = 1;
        while (delayMs({ schedule, failures: attempts, outcome, random: chance }) !== undefined)
          attempts += 1;
        assert.equal(attempts, schedule.length + 1);
      }),
    );
    assert.equal(delayMs({ schedule: [] }), undefined);
  });

  test("is a whole number of milliseconds, never earlier than Retry-After asked, up to 24 h", () => {
    fc.assert(
      fc.property(schedules, fc.nat(50), outcomes, random, (schedule, nth, outcome, chance) => {
        const delay = delayMs({ schedule, failures: nth + 1, outcome, random: chance });
        if (delay === undefined) return;
        assert.ok(Number.isInteger(delay) && delay >= 0);
        const asked = outcome.kind === "rejected" ? (outcome.retryAfterMs ?? 0) : 0;
        assert.ok(delay >= Math.min(asked, DAY_MS), `${delay} < ${asked}`);
        assert.ok(delay <= Math.max(DAY_MS, (schedule[nth] ?? 0) * 1200 + 1));
      }),
    );
  });

  test("waits for Retry-After when it is longer than the schedule, not when it is shorter", () => {
    assert.equal(delayMs({ outcome: rejected(503, 90_000) }), 90_000);
    assert.equal(delayMs({ outcome: rejected(503, 1000) }), 5000);
    assert.equal(delayMs({ outcome: rejected(503, 365 * DAY_MS) }), DAY_MS);
  });

  test("waits at least a minute after a 429 or a timeout, and no longer than the schedule after others", () => {
    assert.equal(delayMs({ outcome: rejected(429) }), 60_000);
    assert.equal(delayMs({ outcome: rejected(429, 1000) }), 60_000);
    assert.equal(delayMs({ outcome: rejected(429, 120_000) }), 120_000);
    assert.equal(delayMs({ outcome: TIMED_OUT }), 60_000);
    assert.equal(delayMs({ outcome: TIMED_OUT, failures: 2 }), 300_000);
    assert.equal(delayMs({ outcome: TIMED_OUT, overloadDelayMs: 10 }), 5000);
    for (const outcome of [rejected(500), rejected(302), rejected(504), RESET])
      assert.equal(delayMs({ outcome }), 5000);
  });
});

describe("Retry-After", () => {
  const NOW = Date.parse("1994-11-06T08:49:07Z");
  const parsed = (value: string | undefined) => parseRetryAfter(value, NOW);

  test("in seconds, fractions too", () => {
    assert.deepEqual(["0", "120", " 7 ", "1.5", "0086400"].map(parsed), [0, 120_000, 7000, 1500, DAY_MS]);
  });

  test("as a date, in all three forms that RFC 9110 5.6.7 asks for", () => {
    assert.equal(parsed("Sun, 06 Nov 1994 08:49:37 GMT"), 30_000);
    assert.equal(parsed("Sunday, 06-Nov-94 08:49:37 GMT"), 30_000);
    assert.equal(parsed("Sun Nov  6 08:49:37 1994"), 30_000);
  });

  test("a date that is over asks for nothing", () => {
    assert.equal(parsed("Sun, 06 Nov 1994 08:00:00 GMT"), 0);
  });

  test("is clamped to 24 h, however it says ten years", () => {
    for (const value of ["315360000", "9".repeat(300), "Mon, 06 Nov 2004 08:49:37 GMT"]) {
      assert.equal(parsed(value), DAY_MS, value);
    }
  });

  test("nonsense and negative values are as good as none", () => {
    const nonsense = [
      "",
      " ",
      "-5",
      "-0",
      "+5",
      "NaN",
      "Infinity",
      "1e3",
      "0x10",
      "5 s",
      "1,5",
      "5.",
      ".5",
      "soon",
      "2026-01-31",
    ];
    for (const value of [undefined, ...nonsense, "Sun, banana", "Mon, 1", "Sun, 99 Nov 1994 08:49:37 GMT"]) {
      assert.equal(parsed(value), null, `${value}`);
    }
  });

  test("no text makes it throw or leave 0 to 24 h", () => {
    const pieces = fc.constantFrom(
      "Sun, ",
      "06 Nov ",
      "1994",
      " 08:49:37",
      " GMT",
      "-",
      "9",
      ".",
      "\u0000",
      "é",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(pieces).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(text, (value) => {
        const ms = parsed(value);
        assert.ok(ms === null || (ms >= 0 && ms <= LIMITS.retryAfterMsMax), `${value}: ${ms}`);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a schedule of one's own", () => {
  const taken = (schedule: unknown) => retryScheduleSchema.safeParse(schedule).success;

  test("is a list of up to 50 delays in seconds that add up to at most 10 days", () => {
    for (const schedule of [
      [],
      [0],
      [0.5, 1.25],
      [864_000],
      new Array(50).fill(17_280),
      [...DEFAULTS.retrySchedule],
    ]) {
      assert.ok(taken(schedule), JSON.stringify(schedule));
    }
    const refused = [[864_000.1], [432_000, 432_001], [-1], [-0.001], new Array(51).fill(1), [Number.NaN]];
    for (const schedule of [...refused, [Number.POSITIVE_INFINITY], ["5"], [null], [[5]], "5", 5, null, {}]) {
      assert.ok(!taken(schedule), JSON.stringify(schedule));
    }
  });

  test("can take 20 % longer than its sum", () => {
    assert.equal(scheduleMsMax([10, 20.5]), 36_600);
    assert.equal(scheduleMsMax([]), 0);
  });
});

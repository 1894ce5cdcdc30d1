import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createSteadyClock, monotonicMs } from "./clock.ts";

const HOUR_MS = 3_600_000;
const START_MS = 1_800_000_000_000;

function fakeTime() {
  const time = { wall: START_MS, monotonic: 5000 };
  return {
    time,
    sources: { wallMs: () => time.wall, monotonicMs: () => time.monotonic },
    pass(ms: number, wallStepMs = 0) {
      time.monotonic += ms;
      time.wall += ms + wallStepMs;
    },
  };
}

describe("the steady clock", () => {
  test("runs with the wall clock", () => {
    const { sources, pass } = fakeTime();
    const clock = createSteadyClock(sources);
    assert.equal(clock.nowMs(), START_MS);
    pass(1234);
    assert.equal(clock.nowMs(), START_MS + 1234);
  });

  test("a wall clock set forward by an hour makes no jump: 1 % faster until it has caught up", () => {
    const { sources, pass } = fakeTime();
    const clock = createSteadyClock(sources);
    pass(0, HOUR_MS);
    assert.equal(clock.nowMs(), START_MS);
    pass(1000);
    assert.equal(clock.nowMs(), START_MS + 1010);
    pass(200 * HOUR_MS);
    assert.equal(clock.nowMs(), START_MS + 201 * HOUR_MS + 1000);
  });

  test("a wall clock set back by an hour makes no stall: 1 % slower until it has waited enough", () => {
    const { sources, pass } = fakeTime();
    const clock = createSteadyClock(sources);
    pass(1000, -HOUR_MS);
    assert.equal(clock.nowMs(), START_MS + 990);
    pass(200 * HOUR_MS);
    assert.equal(clock.nowMs(), START_MS + 199 * HOUR_MS + 1000);
  });

  test("never starts before what an earlier process had reached", () => {
    const { sources, pass } = fakeTime();
    const clock = createSteadyClock({ ...sources, notBeforeMs: START_MS + HOUR_MS });
    assert.equal(clock.nowMs(), START_MS + HOUR_MS);
    pass(1000);
    assert.equal(clock.nowMs(), START_MS + HOUR_MS + 990);
  });

  test("does not go back even if the monotonic clock did", () => {
    const { sources, time } = fakeTime();
    const clock = createSteadyClock(sources);
    time.monotonic -= 1000;
    assert.equal(clock.nowMs(), START_MS);
  });

  test("tests move it forward, and it stays there", () => {
    const { sources, pass } = fakeTime();
    const clock = createSteadyClock(sources);
    clock.advance(HOUR_MS);
    pass(1);
    assert.equal(clock.nowMs(), START_MS + HOUR_MS + 1);
  });

  test("whatever the wall does, it goes forward at 99 to 101 % of real time", () => {
    const moves = fc.array(
      fc.record({ pass: fc.nat(60_000), step: fc.integer({ min: -2 * HOUR_MS, max: 2 * HOUR_MS }) }),
    );
    fc.assert(
      fc.property(moves, (steps) => {
        const { sources, pass } = fakeTime();
        const clock = createSteadyClock(sources);
        let before = clock.nowMs();
        for (const { pass: ms, step } of steps) {
          pass(ms, step);
          const moved = clock.nowMs() - before;
          assert.ok(moved >= ms * 0.99 - 1 && moved <= ms * 1.01 + 1, `${moved} in ${ms}`);
          before += moved;
        }
      }),
    );
  });
});

test("the monotonic clock has fractions of milliseconds and does not go back", () => {
  const first = monotonicMs();
  let latest = first;
  for (let i = 0; i < 10_000; i++) {
    const now = monotonicMs();
    assert.ok(now >= latest);
    latest = now;
  }
  assert.ok(latest > first && latest - first < 60_000);
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { addFigures, emptyFigures, LATENCY_BOUNDS_MS, latencyBucket, latencyQuantile } from "./figures.ts";

const durations = fc.array(fc.double({ min: 0, max: 40_000, noNaN: true }), { minLength: 1, maxLength: 50 });

function histogram(durationsMs: readonly number[]): number[] {
  const { latency } = emptyFigures();
  for (const ms of durationsMs) latency[latencyBucket(ms)]! += 1;
  return latency;
}

describe("latency", () => {
  test("goes into the bucket whose bound is the first that it does not exceed", () => {
    assert.deepEqual([0, 1, 1.01, 2, 29_999, 30_000, 30_001, 1e9].map(latencyBucket), [
      0,
      0,
      1,
      1,
      LATENCY_BOUNDS_MS.length - 1,
      LATENCY_BOUNDS_MS.length - 1,
      LATENCY_BOUNDS_MS.length,
      LATENCY_BOUNDS_MS.length,
    ]);
    for (const [bucket, bound] of LATENCY_BOUNDS_MS.entries()) assert.equal(latencyBucket(bound), bucket);
  });

  test("bounds rise", () => {
    assert.deepEqual(
      [...LATENCY_BOUNDS_MS].sort((a, b) => a - b),
      LATENCY_BOUNDS_MS,
    );
  });

  test("a quantile is the bound above the duration at that rank, at most 30 s", () => {
    assert.equal(latencyQuantile(histogram([1, 9, 90, 900]), 0.5), 10);
    assert.equal(latencyQuantile(histogram([1, 9, 90, 900]), 0.99), 1000);
    assert.equal(latencyQuantile(histogram([60_000]), 0.5), 30_000);
    assert.equal(latencyQuantile(emptyFigures().latency, 0.5), null);
    fc.assert(
      fc.property(durations, fc.constantFrom(0.5, 0.95, 0.99, 1), (durationsMs, q) => {
        const exact = durationsMs.toSorted((a, b) => a - b)[Math.ceil(q * durationsMs.length) - 1]!;
        const bound = LATENCY_BOUNDS_MS[latencyBucket(exact)] ?? 30_000;
        assert.equal(latencyQuantile(histogram(durationsMs), q), bound);
      }),
    );
  });
});

test("figures add up: two minutes make one sum", () => {
  const sum = emptyFigures();
  for (const [index, outcome] of (["succeeded", "rejected"] as const).entries()) {
    const minute = emptyFigures();
    minute.created = 3;
    minute.filterErrors = 1;
    minute.finals.dead_lettered = 2;
    minute.attempts[outcome] = 5;
    minute.latency[index] = 5;
    addFigures(sum, minute);
  }
  assert.deepEqual(sum, {
    ...emptyFigures(),
    created: 6,
    filterErrors: 2,
    finals: { delivered: 0, dead_lettered: 4, cancelled: 0 },
    attempts: { ...emptyFigures().attempts, succeeded: 5, rejected: 5 },
    latency: histogram([1, 1, 1, 1, 1, 2, 2, 2, 2, 2]),
  });
});

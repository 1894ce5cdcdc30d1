import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Pace } from "./pace.ts";

const WINDOW_MS = 10_000;

/**
 * Sends with work always waiting, as the dispatcher does: it sends what may go now, then sets a timer in whole
 * milliseconds, which is late by `latenessMs()`.
 */
function simulate(perSecond: number, forMs: number, latenessMs: () => number, startMs = 0): number[] {
  const pace = new Pace(perSecond);
  const sentAtMs: number[] = [];
  let nowMs = startMs;
  while (nowMs < startMs + forMs) {
    const inMs = pace.waitMs(nowMs);
    if (inMs > 0) nowMs += Math.ceil(inMs) + latenessMs();
    else {
      pace.take(nowMs);
      sentAtMs.push(nowMs);
    }
  }
  return sentAtMs;
}

/** The most sends in any 10 s. */
function mostIn10s(sentAtMs: readonly number[]): number {
  let most = 0;
  let first = 0;
  for (const [last, atMs] of sentAtMs.entries()) {
    while (sentAtMs[first]! <= atMs - WINDOW_MS) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** The fewest in any 10 s that lie wholly within the run: from just after one send on. */
function fewestIn10s(sentAtMs: readonly number[]): number {
  let fewest = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const [index, atMs] of sentAtMs.entries()) {
    if (atMs + WINDOW_MS > sentAtMs.at(-1)!) break;
    while (sentAtMs[end]! <= atMs + WINDOW_MS) end += 1;
    fewest = Math.min(fewest, end - index - 1);
  }
  return fewest;
}

/** At most 1 % over; where that is no whole number of sends more, never more than a perfect clock would show. */
function atMost(perSecond: number): number {
  return Math.max(Math.ceil(10 * perSecond), Math.floor(10.1 * perSecond));
}

const rates = fc.oneof(
  fc.constantFrom(0.5, 1, 2, 5, 9.9, 10, 10.2, 19, 20, 50, 100, 1000, 5000),
  fc.double({ min: 0.5, max: 300, noNaN: true }),
);

describe("the pace of a rate-limited lane, over any 10 s, with timers up to 1.2 ms late", () => {
  test("is at most 1 % over and 1 % under while work is waiting", () => {
    const lateness = fc.infiniteStream(fc.double({ min: 0, max: 1.2, noNaN: true }));
    const starts = fc.double({ min: 0, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(rates, lateness, starts, (perSecond, late, startMs) => {
        const sentAtMs = simulate(perSecond, 25_000, () => late.next().value as number, startMs);
        const [most, fewest] = [mostIn10s(sentAtMs), fewestIn10s(sentAtMs)];
        assert.ok(most <= atMost(perSecond), `${most} in 10 s at ${perSecond}/s`);
        assert.ok(fewest >= Math.floor(9.9 * perSecond), `only ${fewest} in 10 s at ${perSecond}/s`);
      }),
      { numRuns: 40 },
    );
  });

  test("holds as well when the loop is busy and timers are up to 20 ms late", () => {
    for (const perSecond of [0.5, 3, 7.5, 9.9, 10, 30, 400]) {
      let nth = 0;
      const sentAtMs = simulate(perSecond, 60_000, () => (nth++ * 7.3) % 20);
      assert.ok(mostIn10s(sentAtMs) <= atMost(perSecond), `${mostIn10s(sentAtMs)} at ${perSecond}/s`);
      assert.ok(
        fewestIn10s(sentAtMs) >= Math.floor(9.9 * perSecond),
        `${fewestIn10s(sentAtMs)} at ${perSecond}/s`,
      );
    }
  });

  test("is at most 1 % over whatever comes when: bursts, pauses, stalls", () => {
    const gaps = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 300, noNaN: true })), {
      maxLength: 400,
    });
    fc.assert(
      fc.property(rates, gaps, (perSecond, gapsMs) => {
        const pace = new Pace(perSecond);
        const sentAtMs: number[] = [];
        let nowMs = 0;
        for (const gapMs of gapsMs) {
          nowMs += gapMs;
          if (pace.waitMs(nowMs) > 0) continue;
          pace.take(nowMs);
          sentAtMs.push(nowMs);
        }
        assert.ok(mostIn10s(sentAtMs) <= atMost(perSecond));
      }),
    );
  });
});

describe("after an idle time", () => {
  const burst = (perSecond: number): number => {
    const pace = new Pace(perSecond);
    pace.take(0);
    let count = 0;
    while (pace.waitMs(3_600_000) <= 0) {
      pace.take(3_600_000);
      count += 1;
    }
    return count;
  };

  test("a slow lane sends one and waits: nothing was saved up", () => {
    for (const perSecond of [0.01, 0.5, 1, 5, 10]) assert.equal(burst(perSecond), 1, `${perSecond}/s`);
  });

  test("no lane sends more at once than 0.15 s are worth", () => {
    for (const perSecond of [20, 100, 1000, 10_000]) {
      assert.ok(burst(perSecond) <= Math.ceil(0.15 * perSecond), `${burst(perSecond)} at ${perSecond}/s`);
    }
  });

  test("the first send of all goes at once", () => {
    assert.ok(new Pace(0.01).waitMs(0) <= 0);
  });
});

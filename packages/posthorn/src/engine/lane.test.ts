import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { laneOf, readyOf, runtimeOf } from "../../test/lanes.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import type { Lane } from "./lane.ts";

const SUCCEEDED: AttemptOutcome = { kind: "succeeded", status: 200, control: null };
const TIMED_OUT: AttemptOutcome = { kind: "timed_out", phase: "response" };
const PROBE_MS = 30_000;

function rejected(status: number): AttemptOutcome {
  return { kind: "rejected", status, retryAfterMs: null, control: null };
}

interface Attempts {
  readonly outcome?: AttemptOutcome;
  readonly nowMs?: number;
  readonly durationMs?: number;
}

/** Starts an attempt; the call that comes back ends it. */
function start(lane: Lane, nowMs = 0): (ended?: Attempts) => boolean {
  const ready = readyOf(lane);
  lane.started(ready, nowMs, PROBE_MS);
  return ({ outcome = SUCCEEDED, nowMs: endMs = nowMs, durationMs = 5 } = {}) =>
    lane.ended(ready, outcome, durationMs, endMs);
}

/** As many attempts as may be under way at once, all with the same end. */
function round(lane: Lane, ended: Attempts = {}): void {
  const ends = Array.from({ length: lane.cap }, () => start(lane, ended.nowMs));
  for (const end of ends) end(ended);
}

function change(lane: Lane, changes: Partial<Endpoint>): void {
  const { endpoint } = lane.runtime;
  lane.change(runtimeOf({ ...endpoint, ...changes, version: endpoint.version + 1 }));
}

/** Fails ten times at a time: that opens the breaker. */
function breakDown(lane: Lane, nowMs = 0): void {
  for (let i = 0; i < 10; i++) start(lane, nowMs)({ outcome: rejected(500) });
  assert.equal(lane.breaker.state, "open");
}

describe("the in-flight cap", () => {
  test("starts at 16, or at the endpoint's own maximum", () => {
    assert.equal(laneOf().cap, 16);
    assert.equal(laneOf({ inFlightMax: 3 }).cap, 3);
  });

  test("grows by one with each round of successes, up to the maximum", () => {
    const lane = laneOf({ inFlightMax: 20 });
    const caps = Array.from({ length: 8 }, () => {
      round(lane);
      return lane.cap;
    });
    assert.ok(
      caps.every((cap, index) => cap - (caps[index - 1] ?? 16) <= 1),
      String(caps),
    );
    assert.equal(caps.at(-1), 20);
    start(lane)({ outcome: rejected(429) });
    assert.equal(lane.cap, 10);
  });

  test("is halved by 429, 502, 504 and timeouts, once for all answers of the same moment, never below 1", () => {
    for (const outcome of [rejected(429), rejected(502), rejected(504), TIMED_OUT]) {
      const lane = laneOf();
      round(lane, { outcome, nowMs: 0 });
      lane.breaker.state = "closed";
      assert.equal(lane.cap, 8, JSON.stringify(outcome));
      start(lane, 999)({ outcome, nowMs: 999 });
      lane.breaker.state = "closed";
      assert.equal(lane.cap, 8);
      for (let second = 1; second < 9; second++) start(lane)({ outcome, nowMs: second * 1000 });
      lane.breaker.state = "closed";
      assert.equal(lane.cap, 1);
    }
  });

  test("is left alone by other failures", () => {
    const lane = laneOf();
    for (const outcome of [rejected(500), rejected(410), rejected(302)]) start(lane)({ outcome });
    start(lane)({ outcome: { kind: "unreachable", cause: "connection_reset", detail: "" } });
    assert.equal(lane.cap, 16);
  });

  test("obeys a lowered maximum at once", () => {
    const lane = laneOf();
    change(lane, { inFlightMax: 2 });
    assert.equal(lane.cap, 2);
    start(lane);
    start(lane);
    assert.equal(lane.maySend(0).kind, "no");
  });
});

describe("the ramp, so that a lane that comes back is no herd", () => {
  const ramped = (lane: Lane): number[] =>
    Array.from({ length: 6 }, () => {
      const { cap } = lane;
      round(lane);
      return cap;
    });

  test("goes 1, 2, 4, 8, 16 after a pause, then slowly", () => {
    const lane = laneOf({ status: "paused" });
    assert.equal(lane.maySend(0).kind, "no");
    change(lane, { status: "enabled" });
    assert.deepEqual(ramped(lane).slice(0, 5), [1, 2, 4, 8, 16]);
    assert.ok(lane.cap <= 18);
  });

  test("goes so after the breaker has closed", () => {
    const lane = laneOf({}, "half_open");
    for (let i = 0; i < 5; i++) {
      assert.equal(lane.cap, 1);
      start(lane)();
    }
    assert.equal(lane.breaker.state, "closed");
    assert.deepEqual(ramped(lane).slice(0, 5), [1, 2, 4, 8, 16]);
  });

  test("ends when the receiver asks to slow down", () => {
    const lane = laneOf({ status: "disabled" });
    change(lane, { status: "enabled" });
    for (let i = 0; i < 3; i++) round(lane);
    assert.equal(lane.cap, 8);
    start(lane)({ outcome: rejected(429) });
    assert.equal(lane.cap, 4);
    round(lane);
    assert.ok(lane.cap <= 5);
  });

  test("does not begin for a change that is no resumption", () => {
    const lane = laneOf();
    change(lane, { description: "new" });
    assert.equal(lane.cap, 16);
  });
});

describe("whether a lane may send", () => {
  test("up to its cap at once", () => {
    const lane = laneOf({ inFlightMax: 2 });
    const end = start(lane);
    assert.equal(lane.maySend(0).kind, "now");
    start(lane);
    assert.equal(lane.maySend(0).kind, "no");
    end();
    assert.equal(lane.maySend(0).kind, "now");
  });

  test("not while its endpoint is paused, disabled, unverified or being removed", () => {
    for (const status of ["paused", "disabled", "unverified"] as const) {
      assert.equal(laneOf({ status }).maySend(0).kind, "no");
      assert.equal(laneOf({ status }).open, false);
    }
    const lane = laneOf();
    lane.closed = true;
    assert.equal(lane.maySend(0).kind, "no");
  });

  test("later, when its rate limit says so", () => {
    const lane = laneOf({ rateLimitPerSecond: 1 });
    assert.deepEqual(lane.maySend(0), { kind: "now" });
    start(lane, 0);
    const may = lane.maySend(0);
    assert.ok(may.kind === "later" && may.inMs > 900 && may.inMs <= 1010, JSON.stringify(may));
    change(lane, { description: "the same rate" });
    assert.equal(lane.maySend(0).kind, "later");
    change(lane, { rateLimitPerSecond: null });
    assert.equal(lane.maySend(0).kind, "now");
  });

  test("fresh deliveries are handed over only if nothing is before them and the breaker is closed", () => {
    const lane = laneOf();
    assert.ok(lane.open);
    lane.backlog = true;
    assert.ok(!lane.open);
    lane.backlog = false;
    breakDown(lane);
    assert.ok(!lane.open);
  });
});

describe("an open breaker", () => {
  test("lets one delivery through every 30 s and nothing in between", () => {
    const lane = laneOf();
    breakDown(lane, 1000);
    assert.deepEqual(lane.maySend(1000), { kind: "later", inMs: PROBE_MS });
    assert.deepEqual(lane.maySend(30_999), { kind: "later", inMs: 1 });
    assert.deepEqual(lane.maySend(31_000), { kind: "now" });
    const end = start(lane, 31_000);
    assert.deepEqual(lane.maySend(31_000), { kind: "no" });
    assert.equal(end({ outcome: TIMED_OUT, nowMs: 46_000 }), false);
    assert.deepEqual(lane.maySend(46_000), { kind: "later", inMs: 15_000 });
  });

  test("waits again when a half open one fails", () => {
    const lane = laneOf();
    breakDown(lane, 0);
    start(lane, PROBE_MS)({ nowMs: PROBE_MS });
    assert.equal(lane.breaker.state, "half_open");
    const late = PROBE_MS * 3;
    assert.equal(start(lane, late)({ outcome: rejected(500), nowMs: late }), true);
    assert.deepEqual(lane.maySend(late), { kind: "later", inMs: PROBE_MS });
  });

  test("waits as long as the option says", () => {
    const lane = laneOf();
    for (let i = 0; i < 10; i++) {
      const ready = readyOf(lane);
      lane.started(ready, 0, 50);
      lane.ended(ready, rejected(500), 1, 0);
    }
    assert.deepEqual(lane.maySend(0), { kind: "later", inMs: 50 });
  });

  test("of a lane that a restart found open probes at once: the store said that it is due", () => {
    const lane = laneOf({}, "open");
    assert.equal(lane.maySend(0).kind, "now");
    start(lane, 0);
    assert.equal(lane.maySend(PROBE_MS).kind, "no");
  });
});

describe("a slow lane", () => {
  test("is one whose last attempt timed out or took over a second, until one is quick again", () => {
    const lane = laneOf();
    start(lane)({ durationMs: 1000 });
    assert.equal(lane.slow, false);
    start(lane)({ durationMs: 1001 });
    assert.equal(lane.slow, true);
    start(lane)({ durationMs: 5 });
    assert.equal(lane.slow, false);
    start(lane)({ outcome: TIMED_OUT, durationMs: 5 });
    assert.equal(lane.slow, true);
  });

  test("is one with an attempt under way for over a second, however quick the others are", () => {
    const lane = laneOf();
    const end = start(lane, 0);
    assert.equal(lane.hasOld(1000), false);
    assert.equal(lane.hasOld(1001), true);
    start(lane, 1500)({ nowMs: 1505 });
    assert.equal(lane.slow, true);
    end({ nowMs: 1600, durationMs: 1600 });
    start(lane, 1700)({ nowMs: 1705 });
    assert.equal(lane.slow, false);
  });
});

test("what ended elsewhere is taken out of what waits, whatever its class", () => {
  const lane = laneOf();
  const readies = ([0, 1, 0, 2] as const).map((deliveryClass) => readyOf(lane, deliveryClass));
  for (const ready of readies) lane.push(ready);
  const [first, second, third, fourth] = readies;
  assert.deepEqual(lane.takeEnded(new Set([first!.id, second!.id, readyOf(lane).id])), [first, second]);
  assert.deepEqual(lane.drain(), [third, fourth]);
});

test("what waits is counted by class, taken in order, and handed back when it may not be sent", () => {
  const lane = laneOf();
  const readies = ([0, 2, 0, 1] as const).map((deliveryClass) => readyOf(lane, deliveryClass));
  for (const ready of readies) lane.push(ready);
  lane.reserved = 2;
  start(lane);
  assert.equal(lane.window, 7);
  assert.deepEqual(
    [0, 1, 2].map((nth) => lane.waitingOf(nth as 0 | 1 | 2)),
    [2, 1, 1],
  );
  assert.equal(lane.take(0), readies[0]);
  assert.deepEqual(lane.drain(), [readies[2], readies[3], readies[1]]);
  assert.equal(lane.waiting, 0);
  assert.equal(lane.take(0), undefined);
});

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { laneOf, readyOf } from "../../test/lanes.ts";
import { monotonicMs } from "../base/clock.ts";
import { newId } from "../base/ids.ts";
import { silentLogger } from "../base/logger.ts";
import type { BreakerChange, Settlement, SettleResult } from "../store/store.ts";
import { type Outcome, Settler } from "./settler.ts";

const lane = laneOf();
const incarnation = newId("inc");
const SETTLED: SettleResult = { kind: "settled", lane: null, released: false };

function outcomeOf(breaker: BreakerChange | null = null, startedAtMs = monotonicMs()): Outcome {
  const { id, appId, endpointId, eventId } = readyOf(lane);
  return {
    settlement: {
      incarnation,
      deliveryId: id,
      appId,
      endpointId,
      eventId,
      next: { kind: "delivered" },
      recovers: false,
    },
    attempt: {
      id: newId("att"),
      number: 1,
      startedAtMs,
      durationMs: 3,
      outcome: { kind: "succeeded", status: 200, control: null },
      responseBody: null,
      url: "https://example.com/hook",
    },
    breaker,
  };
}

/** A store that answers with what the test says, and keeps what it was given. */
function storeThat(
  answer: (call: number) => SettleResult[] | Error | Promise<SettleResult[]>,
  queueMax = 10,
) {
  const calls: { settlements: readonly Settlement[]; breakers: readonly BreakerChange[] }[] = [];
  const errors: object[] = [];
  const called: (() => void)[] = [];
  const settle = async (settlements: readonly Settlement[], breakers: readonly BreakerChange[]) => {
    calls.push({ settlements, breakers });
    for (const wake of called.splice(0)) wake();
    const result = await answer(calls.length);
    if (result instanceof Error) throw result;
    return result;
  };
  const logger = { ...silentLogger, error: (fields: object) => errors.push(fields) };
  const settler = new Settler({ settle }, logger, queueMax, 1);
  const nextCall = (): Promise<void> => new Promise((resolve) => called.push(resolve));
  return { settler, calls, errors, nextCall };
}

describe("the settler", { timeout: 10_000 }, () => {
  // Its own timers do not keep a process alive, so the test does.
  let alive: NodeJS.Timeout;
  before(() => {
    alive = setInterval(() => {}, 1000);
  });
  after(() => clearInterval(alive));

  test("brings outcomes into the store together, each answered by itself", async () => {
    const fenced: SettleResult = { kind: "fenced", finished: true };
    const { settler, calls } = storeThat(() => [SETTLED, fenced]);
    const [one, other] = [outcomeOf(), outcomeOf()];
    assert.deepEqual(await Promise.all([one, other].map((outcome) => settler.settle(outcome))), [
      SETTLED,
      fenced,
    ]);
    assert.deepEqual(
      calls[0]?.settlements.map(({ deliveryId }) => deliveryId),
      [one, other].map(({ settlement }) => settlement.deliveryId),
    );
  });

  test("tells the store how long ago an attempt began, seen from the call", async () => {
    const { settler, calls } = storeThat(() => [SETTLED, SETTLED]);
    const released: Outcome = { ...outcomeOf(), attempt: null };
    await Promise.all([settler.settle(outcomeOf(null, monotonicMs() - 4000)), settler.settle(released)]);
    const [sent, unsent] = calls[0]?.settlements ?? [];
    const ago = sent?.attempt?.startedAgoMs ?? 0;
    assert.ok(Number.isInteger(ago) && ago >= 4000 && ago < 14_000, String(ago));
    assert.equal(unsent?.attempt, null);
  });

  test("of several changes of one breaker in a batch the last one counts", async () => {
    const change = (state: "open" | "half_open", endpointId = lane.id) => ({
      incarnation,
      epoch: 1,
      endpointId,
      state,
      probeInMs: 0,
    });
    const other = newId("ep");
    const { settler, calls } = storeThat(() => Array(4).fill(SETTLED));
    const breakers = [change("open"), change("open", other), null, change("half_open")];
    await Promise.all(breakers.map((breaker) => settler.settle(outcomeOf(breaker))));
    assert.deepEqual(calls[0]?.breakers, [change("half_open"), change("open", other)]);
  });

  test("tries the same batch until the store takes it, and lets nothing new start meanwhile", async () => {
    const { settler, calls, errors, nextCall } = storeThat((call) =>
      call < 4 ? new Error("disk full") : [SETTLED],
    );
    const outcome = outcomeOf();
    const settled = settler.settle(outcome);
    await nextCall();
    assert.ok(settler.accepting);
    await nextCall();
    assert.deepEqual([settler.accepting, settler.failing], [false, true]);
    const late = settler.settle(outcomeOf());
    assert.deepEqual(await settled, SETTLED);
    assert.deepEqual([settler.accepting, settler.failing], [true, false]);
    assert.deepEqual(await late, SETTLED);
    await settler.idle();
    const ids = calls.map(({ settlements }) => settlements.map(({ deliveryId }) => deliveryId));
    assert.deepEqual(ids.slice(0, 4), Array(4).fill([outcome.settlement.deliveryId]));
    assert.deepEqual(errors, [{ outcomes: 1, error: "disk full" }], "logged once for the whole outage");
  });

  test("lets nothing new start while too many outcomes wait", async () => {
    const held = Promise.withResolvers<SettleResult[]>();
    const { settler, nextCall } = storeThat((call) => (call === 1 ? held.promise : [SETTLED, SETTLED]), 2);
    const first = settler.settle(outcomeOf());
    await nextCall();
    const second = settler.settle(outcomeOf());
    assert.ok(settler.accepting);
    const third = settler.settle(outcomeOf());
    assert.ok(!settler.accepting);
    held.resolve([SETTLED]);
    await Promise.all([first, second, third]);
    assert.ok(settler.accepting);
  });

  test("stops trying when told to give up: the next start finds the deliveries leased", async () => {
    const { settler, nextCall } = storeThat(() => new Error("disk full"));
    const settled = settler.settle(outcomeOf());
    await nextCall();
    await nextCall();
    settler.giveUp();
    await assert.rejects(settled, /disk full/);
    await settler.idle();
  });
});

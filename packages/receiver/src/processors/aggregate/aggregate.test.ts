import assert from "node:assert/strict";
import { test } from "node:test";
import { PoisonError } from "../../receiver/control.ts";
import type { ReceivedEvent } from "../../receiver/event.ts";
import type { Processor } from "../processor.ts";
import { type AggregateSnapshot, aggregate, type WindowResult } from "./aggregate.ts";

const minute = { kind: "tumbling", sizeMs: 60_000 } as const;
const start = Date.parse("2026-01-31T08:00:00Z");

/** An order signed as many seconds after eight o'clock. */
function order(atSeconds: number, data: unknown, more: Partial<ReceivedEvent> = {}): ReceivedEvent {
  return {
    id: `evt_${atSeconds}`,
    type: "order.created",
    data,
    timestampSeconds: start / 1000 + atSeconds,
    payload: new TextEncoder().encode(JSON.stringify(data)),
    headers: {},
    receivedAtMs: start + atSeconds * 1000 + 250,
    ...more,
  };
}

/** As the receiver does: what was put off for the commit runs after it, and not at all without it. */
async function process(
  processor: Processor,
  events: readonly ReceivedEvent[],
  end: "commit" | "rollback" = "commit",
): Promise<void> {
  const effects: (() => void)[] = [];
  await processor.process(events, {
    transaction: undefined,
    onCommit: (effect) => effects.push(effect),
    signal: new AbortController().signal,
  });
  if (end === "commit") for (const effect of effects) effect();
}

test("orders and revenue per shop and minute come out when the minute is over", async () => {
  const results: string[] = [];
  const perShop = aggregate({
    window: minute,
    by: "$.data.shop",
    values: {
      orders: "count",
      revenue: { sum: "$.data.amount" },
      largest: { max: (event) => (event.data as { amount?: number }).amount },
    },
    onWindow({ key, startMs, endMs, count, values }) {
      const orders: number = values.orders;
      const revenue: number = values.revenue;
      const largest: number | null = values.largest;
      results.push(`${(startMs - start) / 1000}-${(endMs - start) / 1000} ${key}`);
      assert.equal(orders, count);
      results.push(`${orders} ${revenue} ${largest}`);
    },
  });
  await process(perShop, [order(1, { shop: "b", amount: 10 }), order(59, { shop: "a", amount: "2.50" })]);
  await process(perShop, [order(30, { shop: "b", amount: 5 }), order(31, { shop: "b" })]);
  assert.deepEqual(results, []);
  await process(perShop, [order(60, { shop: "a", amount: 1 })]);
  await perShop.flush();
  assert.deepEqual(results, ["0-60 a", "1 2.5 2.5", "0-60 b", "3 15 10", "60-120 a", "1 1 1"]);
});

test("a batch that is rolled back and comes again counts once", async () => {
  const counts: number[] = [];
  const processor = aggregate({
    window: minute,
    values: {},
    onWindow: ({ count }) => void counts.push(count),
  });
  await process(processor, [order(1, {}), order(2, {})], "rollback");
  await process(processor, [order(1, {}), order(2, {})]);
  await processor.close();
  assert.deepEqual(counts, [2]);
});

test("what comes after its window is over is counted as late and handed over, and changes no window", async () => {
  const counts: number[] = [];
  const late: string[] = [];
  const processor = aggregate({
    window: { kind: "sliding", sizeMs: 60_000, everyMs: 30_000 },
    values: {},
    allowedLatenessMs: 10_000,
    onWindow: ({ count }) => void counts.push(count),
    onLate: ({ id }, missed) => void late.push(`${id} missed ${missed.length}`),
  });
  await process(processor, [order(1, {}), order(69, {}), order(2, {}), order(70, {}), order(3, {})]);
  assert.deepEqual(late, ["evt_2 missed 1", "evt_3 missed 2"]);
  await process(processor, [order(35, {})]);
  await processor.flush();
  // From -30, 0, 30 and 60 on: evt_2 is in the second, evt_35 in the third, which was still open.
  assert.deepEqual(counts, [1, 2, 3, 2]);
  assert.equal(processor.status().late, 3);
  await process(processor, [order(75, {})]);
  assert.equal(processor.status().late, 4, "flush ends windows for good");
});

test("keys beyond keysMax are counted together, and none is lost", async () => {
  const results: unknown[] = [];
  const processor = aggregate({
    window: minute,
    by: "$.data.user",
    values: { spent: { sum: "$.data.spent" } },
    keysMax: 2,
    onWindow: ({ key, overflow, count, values }) => void results.push([key, overflow, count, values.spent]),
  });
  const users = ["b", "a", "c", "b", "d", null];
  await process(
    processor,
    users.map((user, index) => order(index, { user, spent: 10 ** index })),
  );
  await processor.close();
  assert.deepEqual(results, [
    ["a", false, 1, 10],
    ["b", false, 2, 1001],
    [null, true, 3, 110_100],
  ]);
});

test("a result that onWindow refuses is kept, and given again before anything else is taken", async () => {
  const taken: number[] = [];
  let isDown = true;
  const open = () =>
    aggregate({
      window: minute,
      values: {},
      async onWindow({ startMs }) {
        if (isDown) throw new Error("the warehouse is closed");
        taken.push((startMs - start) / 60_000);
      },
    });
  const processor = open();
  await process(processor, [order(0, {}), order(60, {}), order(120, {})]);
  await assert.rejects(process(processor, [order(180, {})]), /the warehouse is closed/);
  assert.equal(processor.status().waiting, 2);
  const restarted = open();
  restarted.restore(processor.snapshot());
  isDown = false;
  for (const one of [processor, restarted]) {
    await process(one, [order(180, {})]);
    await one.close();
    assert.deepEqual(taken.splice(0), [0, 1, 2, 3]);
  }
});

test("windows survive a restart through a snapshot", async () => {
  const results: WindowResult[] = [];
  const open = (by: string) =>
    aggregate({
      window: minute,
      by,
      values: { mean: { avg: "$.data.ms" }, p90: { percentile: 90, of: "$.data.ms" } },
      atClose: "keep",
      onWindow: (result) => void results.push(result),
    });
  const before = open("$.type");
  await process(before, [order(-1, {}), order(1, { ms: 100 }), order(2, { ms: 200 }), order(-2, {})]);
  assert.equal(results.splice(0).length, 1);
  await before.close();
  const file = JSON.stringify(before.snapshot());
  assert.equal(results.length, 0);

  const after = open("$.type");
  after.restore(JSON.parse(file) as AggregateSnapshot);
  assert.equal(after.status().late, 1);
  await process(after, [order(3, { ms: 300 }), order(61, { ms: 1 })]);
  assert.equal(results.length, 1);
  assert.deepEqual([results[0]?.count, results[0]?.values.mean], [3, 200]);
  assert.ok(Math.abs(results[0]!.values.p90! - 300) <= 3);
  assert.throws(() => after.restore(JSON.parse(file)), /before the first event/);
  const other = aggregate({ window: minute, values: {}, onWindow() {} });
  assert.throws(() => other.restore(JSON.parse(file)), /other options/);
  assert.throws(() => open("$.id").restore(JSON.parse(file)), /other options/);
});

test("a snapshot of sums beyond the doubles goes on with the largest double", async () => {
  const sums: number[] = [];
  const open = () =>
    aggregate({
      window: minute,
      values: { total: { sum: "$.data.n" } },
      onWindow: ({ values }) => void sums.push(values.total),
    });
  const before = open();
  await process(before, [order(1, { n: 1.7e308 }), order(2, { n: 1.7e308 })]);
  const after = open();
  after.restore(JSON.parse(JSON.stringify(before.snapshot())));
  await process(after, [order(3, { n: 1 })]);
  await after.close();
  assert.deepEqual(sums, [Number.MAX_VALUE]);
});

test("time is when it occurred, else when it was signed, else when it arrived, or what a path says", async () => {
  const standard = { type: "t", timestamp: "2026-01-31T08:02:30+00:00", data: {} };
  const payload = new TextEncoder().encode(JSON.stringify(standard));
  const atMinute = async (event: ReceivedEvent, time?: string): Promise<number> => {
    let startMs = Number.NaN;
    const onWindow = (result: WindowResult) => {
      startMs = result.startMs;
    };
    const processor = aggregate({
      window: minute,
      values: {},
      onWindow,
      ...(time === undefined ? {} : { time }),
    });
    await process(processor, [event]);
    await processor.close();
    return (startMs - start) / 60_000;
  };
  assert.equal(await atMinute(order(3600, {}, { headers: { "webhook-id": "evt_1" }, payload })), 2);
  const local = new TextEncoder().encode('{"type":"t","timestamp":"2026-01-31T08:02:30","data":{}}');
  assert.equal(await atMinute(order(3600, {}, { headers: { "webhook-id": "evt_1" }, payload: local })), 60);
  assert.equal(await atMinute(order(3600, {}, { payload, receivedAtMs: start + 7_200_000 })), 60);
  assert.equal(await atMinute(order(3600, {}, { timestampSeconds: null, receivedAtMs: start + 61_000 })), 1);
  assert.equal(await atMinute(order(3600, { at: "2026-01-31T10:03:00+02:00" }), "$.data.at"), 3);
  assert.equal(await atMinute(order(3600, { at: start / 1000 + 240 }), "$.data.at"), 4);
  assert.equal(await atMinute(order(3600, { at: start + 300_000 }), "$.data.at"), 5);
});

test("an event whose time, key or value cannot be used is poison, and its batch counts nothing", async () => {
  const processor = aggregate({
    window: minute,
    by: "$.data.key",
    time: "$.data.at",
    values: { total: { sum: "$.data.amount" } },
    onWindow() {},
  });
  const at = "2026-01-31T08:00:00Z";
  for (const [data, reason] of [
    [{ at, amount: "12 EUR" }, /value for total is "12 EUR"/],
    [{ at, key: ["a"] }, /key is \["a"\]/],
    [{ at: "2026-01-31T08:00:00" }, /its time is "2026-01-31T08:00:00": expected/],
    [{}, /its time is undefined/],
    [{ at: start + 90_000_000 }, /too far ahead/],
  ] as const) {
    const isPoison = (error: unknown) => error instanceof PoisonError && reason.test(error.message);
    await assert.rejects(process(processor, [order(1, { at }), order(2, data)]), isPoison);
  }
  assert.deepEqual(processor.status(), { openWindows: 0, late: 0, waiting: 0 });
});

test("options that cannot be are refused with what to do", () => {
  const onWindow = () => undefined;
  for (const [options, reason] of [
    [{ window: minute, groupBy: "$.id" }, /aggregate: groupBy is unknown; use window, values, by/],
    [{ window: { kind: "tumbling", sizeMs: 0 } }, /window.sizeMs is a whole number of milliseconds/],
    [{ window: { kind: "hopping", sizeMs: 1 } }, /"tumbling" or "sliding"/],
    [{ window: { kind: "sliding", sizeMs: 10, everyMs: 11 } }, /would be lost/],
    [{ window: { kind: "sliding", sizeMs: 86_400_000, everyMs: 1 } }, /at least 86400/],
    [{ window: { kind: "tumbling", sizeMs: 1 }, allowedLatenessMs: 86_400_000 }, /open at once/],
    [{ window: minute, aheadMaxMs: Number.NaN }, /aheadMaxMs is at least 0, not NaN/],
    [{ window: minute, keysMax: 0 }, /keysMax is at least 1/],
    [{ window: minute, values: { p: { percentile: 101, of: "$.id" } } }, /values.p.percentile/],
    [{ window: minute, values: { p: { total: "$.id" } } }, /values.p is no measure/],
    [{ window: minute, by: "data.shop" }, /begins with \$/],
  ] as const) {
    assert.throws(() => aggregate({ values: {}, onWindow, ...options } as never), reason);
  }
});

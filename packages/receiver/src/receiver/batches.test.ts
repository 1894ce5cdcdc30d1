import assert from "node:assert/strict";
import { test } from "node:test";
import { Batches } from "./batches.ts";

/** Batches whose runs end when the test says so. */
function held(options: { sizeMax: number; waitMs?: number; concurrencyMax?: number }) {
  const runs: { items: readonly number[]; end: () => void; fail: (error: Error) => void }[] = [];
  const batches = new Batches<number, string>({
    waitMs: 0,
    concurrencyMax: 1,
    ...options,
    run: (items) =>
      new Promise((resolve, reject) => {
        runs.push({ items, end: () => resolve(items.map((item) => `did ${item}`)), fail: reject });
      }),
  });
  return { batches, runs };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("the first runs at once and alone; what comes meanwhile is the next batch", async () => {
  const { batches, runs } = held({ sizeMax: 3 });
  const results = [0, 1, 2, 3, 4].map((item) => batches.add(item));
  assert.deepEqual(
    runs.map(({ items }) => items),
    [[0]],
  );
  runs[0]?.end();
  assert.equal(await results[0], "did 0");
  await settled();
  assert.deepEqual(runs[1]?.items, [1, 2, 3], "never more than sizeMax");
  runs[1]?.end();
  await settled();
  runs[2]?.end();
  assert.deepEqual(await Promise.all(results), ["did 0", "did 1", "did 2", "did 3", "did 4"]);
});

test("several batches run at the same time where that is allowed", () => {
  const { batches, runs } = held({ sizeMax: 1, concurrencyMax: 2 });
  for (const item of [0, 1, 2]) void batches.add(item);
  assert.equal(runs.length, 2);
});

test("a batch that rejects rejects its items, and the next one runs", async () => {
  const { batches, runs } = held({ sizeMax: 3 });
  const [first, second] = [batches.add(0), batches.add(1)];
  runs[0]?.fail(new Error("no"));
  await assert.rejects(first, /no/);
  await settled();
  runs[1]?.end();
  assert.equal(await second, "did 1");
});

test("with waitMs an idle queue waits for company, and no longer once the batch is full", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { batches, runs } = held({ sizeMax: 3, waitMs: 50 });
  void batches.add(0);
  context.mock.timers.tick(49);
  void batches.add(1);
  assert.equal(runs.length, 0);
  context.mock.timers.tick(1);
  assert.deepEqual(runs[0]?.items, [0, 1]);
  runs[0]?.end();
  await settled();
  for (const item of [2, 3, 4]) void batches.add(item);
  assert.deepEqual(runs[1]?.items, [2, 3, 4]);
});

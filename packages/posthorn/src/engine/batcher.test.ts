import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Batcher } from "./batcher.ts";

/** A store that keeps each batch until the test lets it go; it answers each item with its double. */
function heldStore(limits: { itemsMax?: number; weightMax?: number } = {}) {
  const batches: { items: number[]; commit(): void; fail(error: Error): void }[] = [];
  const batcher = new Batcher<number, number>({
    itemsMax: 1000,
    weightMax: 1e9,
    ...limits,
    run: (items) =>
      new Promise((resolve, reject) => {
        batches.push({ items, commit: () => resolve(items.map((item) => item * 2)), fail: reject });
      }),
  });
  return { batcher, batches, items: () => batches.map((batch) => batch.items) };
}

/** Lets everything that waits for nothing else run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a batcher", () => {
  test("the elements of one turn go together, each gets its own answer", async () => {
    const { batcher, batches, items } = heldStore();
    const answers = Promise.all([1, 2, 3].map((item) => batcher.push(item, 1)));
    await settled();
    assert.deepEqual(items(), [[1, 2, 3]]);
    batches[0]?.commit();
    assert.deepEqual(await answers, [2, 4, 6]);
    await batcher.idle();
  });

  test("does not linger, has one batch under way, and the next is what queued meanwhile", async () => {
    const { batcher, batches, items } = heldStore();
    const first = batcher.push(1, 10);
    await settled();
    const others = [2, 3].map((item) => batcher.push(item, 10));
    await settled();
    const last = batcher.push(4, 10);
    await settled();
    assert.deepEqual(items(), [[1]]);
    assert.deepEqual([batcher.waiting, batcher.waitingWeight], [3, 30]);
    batches[0]?.commit();
    assert.equal(await first, 2);
    await settled();
    assert.deepEqual(items(), [[1], [2, 3, 4]]);
    assert.deepEqual([batcher.waiting, batcher.waitingWeight], [0, 0]);
    batches[1]?.commit();
    assert.deepEqual(await Promise.all([...others, last]), [4, 6, 8]);
  });

  test("what throws reaches each element of that batch, and no other", async () => {
    const { batcher, batches } = heldStore();
    const broken = Promise.allSettled([batcher.push(1, 1), batcher.push(2, 1)]);
    await settled();
    const fine = batcher.push(3, 1);
    batches[0]?.fail(new Error("disk I/O error"));
    for (const result of await broken) {
      assert.equal(result.status === "rejected" && result.reason.message, "disk I/O error");
    }
    await settled();
    batches[1]?.commit();
    assert.equal(await fine, 6);
  });

  test("so does what is thrown before there is a promise", async () => {
    const batcher = new Batcher<number, number>({
      itemsMax: 1,
      weightMax: 1,
      run() {
        throw new Error("closed");
      },
    });
    await assert.rejects(batcher.push(1, 1), /closed/);
    await assert.rejects(batcher.push(2, 1), /closed/);
    await batcher.idle();
  });

  test("idle waits for what is under way and what is pushed meanwhile", async () => {
    const { batcher, batches } = heldStore();
    await batcher.idle();
    let idle = false;
    const first = batcher.push(1, 1);
    const waited = batcher.idle().then(() => {
      idle = true;
    });
    await settled();
    const second = batcher.push(2, 1);
    batches[0]?.commit();
    await first;
    await settled();
    assert.equal(idle, false);
    batches[1]?.commit();
    await second;
    await waited;
  });

  test("a caller that pushes again when answered is served", async () => {
    const batcher = new Batcher<number, number>({ itemsMax: 9, weightMax: 9, run: async (items) => items });
    let item = 0;
    while (item < 5) item = (await batcher.push(item, 1)) + 1;
    assert.equal(item, 5);
  });

  test("batches keep the order and the bounds; what is too heavy by itself goes alone", async () => {
    const weights = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(weights, fc.integer({ min: 1, max: 8 }), async (weightOf, itemsMax) => {
        const batches: number[][] = [];
        const batcher = new Batcher<number, number>({
          itemsMax,
          weightMax: 20,
          run: async (items) => {
            batches.push(items);
            return items;
          },
        });
        const answers = await Promise.all(weightOf.map((weight, item) => batcher.push(item, weight)));
        assert.deepEqual(
          answers,
          weightOf.map((_, item) => item),
        );
        assert.deepEqual(batches.flat(), answers);
        for (const [index, items] of batches.entries()) {
          const weight = items.reduce((sum, item) => sum + weightOf[item]!, 0);
          assert.ok(items.length <= itemsMax && (weight <= 20 || items.length === 1));
          const next = batches[index + 1]?.[0];
          if (next !== undefined)
            assert.ok(items.length === itemsMax || weight + weightOf[next]! > 20, "could hold more");
        }
        assert.deepEqual([batcher.waiting, batcher.waitingWeight], [0, 0]);
      }),
    );
  });
});

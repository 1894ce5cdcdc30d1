/** What every dedupe store does. Run by each implementation's test file. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { DEDUPE_WINDOW_MS, type DedupeStore, type OnceOutcome } from "./dedupe.ts";

export interface DedupeOptions {
  readonly windowMs?: number;
}

/** A place for marks of its own, gone with the test. */
export interface DedupeHarness<Transaction = unknown> {
  /** A store as another process would have it; where marks cannot be shared, an empty one. */
  open(options?: DedupeOptions): Promise<DedupeStore<Transaction>>;
  /** What a handler writes. */
  write(transaction: Transaction, row: string): Promise<void>;
  /** What was written and committed, as another connection sees it. */
  written(): Promise<readonly string[]>;
  /** How many marks take up room. */
  marks(): Promise<number>;
  /** Moves the clock of the marks. */
  advance(ms: number): Promise<void>;
  destroy(): Promise<void>;
}

export interface DedupeTraits {
  /** Handler's writes and mark are one commit. */
  readonly isTransactional: boolean;
  /** Several processes can share the marks. */
  readonly isShared: boolean;
  /** Its marks can be counted from outside. */
  readonly isCountable: boolean;
  /** What a call answers while another process works on its key. */
  readonly meanwhile: "waits" | "busy";
}

class Deliberate extends Error {}

export function exerciseDedupe<Transaction>(
  name: string,
  createHarness: () => DedupeHarness<Transaction>,
  traits: DedupeTraits,
): void {
  describe(`dedupe store: ${name}`, () => {
    let harness: DedupeHarness<Transaction>;
    let store: DedupeStore<Transaction>;

    beforeEach(async () => {
      harness = createHarness();
      store = await harness.open();
    });
    afterEach(() => harness.destroy());

    /** Writes each fresh key. */
    const handle = (keys: readonly string[], by = store): Promise<readonly OnceOutcome[]> =>
      by.once(keys, async (transaction, fresh) => {
        for (const index of fresh) await harness.write(transaction, keys[index]!);
      });

    /** A call whose work has begun, and ends when it is told to. */
    async function begun(keys: readonly string[], by = store) {
      const started = Promise.withResolvers<void>();
      const end = Promise.withResolvers<void>();
      const outcome = by.once(keys, async (transaction, fresh) => {
        for (const index of fresh) await harness.write(transaction, keys[index]!);
        started.resolve();
        await end.promise;
      });
      outcome.catch(() => undefined);
      await Promise.race([started.promise, outcome]);
      return { outcome, succeed: () => end.resolve(), fail: (error: Error) => end.reject(error) };
    }

    test("works on a key once", async () => {
      assert.deepEqual(await handle(["a"]), ["done"]);
      assert.deepEqual(await handle(["a"]), ["duplicate"]);
      assert.deepEqual(await harness.written(), ["a"]);
    });

    test("hands over the indices of what is new, ascending, and each key once", async () => {
      await handle(["b", "d"]);
      const seen: (readonly number[])[] = [];
      const outcomes = await store.once(["c", "b", "a", "c", "d", "a"], async (_, fresh) => {
        seen.push(fresh);
      });
      assert.deepEqual(seen, [[0, 2]]);
      assert.deepEqual(outcomes, ["done", "duplicate", "done", "duplicate", "duplicate", "duplicate"]);
    });

    test("runs no work without a new key", async () => {
      await handle(["a", "b"]);
      const never = async (): Promise<void> => assert.fail("there was nothing to do");
      assert.deepEqual(await store.once(["b", "a"], never), ["duplicate", "duplicate"]);
      assert.deepEqual(await store.once([], never), []);
    });

    test("leaves no mark when the work throws, and rejects with what it threw", async () => {
      const error = new Deliberate("no");
      const failing = store.once(["a", "b"], async (transaction) => {
        if (traits.isTransactional) await harness.write(transaction, "half");
        throw error;
      });
      await assert.rejects(failing, (thrown) => thrown === error);
      assert.deepEqual(await harness.written(), []);
      assert.deepEqual(await handle(["b", "a"]), ["done", "done"]);
    });

    test("lets a second call with a key wait for the first in the same process", async () => {
      const first = await begun(["a"]);
      let isSecondThrough = false;
      const second = handle(["x", "a"]).finally(() => {
        isSecondThrough = true;
      });
      for (let turn = 0; turn < 5; turn += 1) await tick();
      assert.equal(isSecondThrough, false);
      first.succeed();
      assert.deepEqual(await first.outcome, ["done"]);
      assert.deepEqual(await second, ["done", "duplicate"]);
      assert.deepEqual(await harness.written(), ["a", "x"]);
    });

    test("gives a key to the next when the first call fails", async () => {
      const first = await begun(["a"]);
      const others = [handle(["a"]), handle(["a"])];
      first.fail(new Deliberate());
      await assert.rejects(first.outcome, Deliberate);
      assert.deepEqual((await Promise.all(others)).flat().toSorted(), ["done", "duplicate"]);
      if (traits.isTransactional) assert.deepEqual(await harness.written(), ["a"]);
    });

    test("has no two calls wait for each other, whatever the order of their keys", async () => {
      const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
      const other = traits.isShared ? await harness.open() : store;
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          index % 2 === 0 ? handle(keys) : handle(keys.toReversed(), other),
        ),
      );
      const done = outcomes.flat().filter((outcome) => outcome === "done");
      assert.equal(done.length, keys.length);
      assert.deepEqual((await harness.written()).toSorted(), keys.toSorted());
    });

    test("bears as many calls at a time as it says", async () => {
      assert(store.onceMax >= 1);
      const calls = Array.from({ length: Math.min(store.onceMax, 20) }, (_, index) => [`k${index}`]);
      const begins = calls.map(() => Promise.withResolvers<void>());
      const allHaveBegun = Promise.all(begins.map(({ promise }) => promise));
      await Promise.all(
        calls.map((keys, index) =>
          store.once(keys, async () => {
            begins[index]?.resolve();
            await allHaveBegun;
          }),
        ),
      );
    });

    test("marks for the window, and not longer", async () => {
      const short = await harness.open({ windowMs: 60_000 });
      await handle(["a"], short);
      await harness.advance(59_000);
      assert.deepEqual(await handle(["a", "b"], short), ["duplicate", "done"]);
      await harness.advance(2_000);
      assert.deepEqual(await handle(["a", "b"], short), ["done", "duplicate"]);
      await harness.advance(59_000);
      assert.deepEqual(await handle(["a"], short), ["duplicate"], "from when it was handled again");
    });

    test("marks for 7 days unless told otherwise", async () => {
      await handle(["a"]);
      await harness.advance(DEDUPE_WINDOW_MS - 60_000);
      assert.deepEqual(await handle(["a"]), ["duplicate"]);
      await harness.advance(120_000);
      assert.deepEqual(await handle(["a"]), ["done"]);
    });

    if (traits.isCountable)
      test("removes old marks in passing", async () => {
        const keysOf = (round: number) => Array.from({ length: 40 }, (_, index) => `${round}-${index}`);
        for (let round = 0; round < 5; round += 1) await handle(keysOf(round));
        assert.equal(await harness.marks(), 200);
        await harness.advance(DEDUPE_WINDOW_MS + 1000);
        for (let round = 5; round < 15; round += 1) await handle(keysOf(round));
        assert.equal(await harness.marks(), 400, "and keeps the young ones");
      });

    test("tells keys apart by each character", async () => {
      const keys = ["a", "A", "a ", "é", "e\u0301", "ß", "ss", "🦊", "'; --", "%", "k".repeat(512)];
      assert(new Set(await handle(keys)).size === 1);
      assert.deepEqual((await harness.written()).toSorted(), keys.toSorted());
    });

    test("refuses a key that it could not keep as it is", async () => {
      for (const key of ["", "k".repeat(513), "a\0b", "a\ud800b"]) {
        await assert.rejects(handle(["good", key]), RangeError);
      }
      assert.deepEqual(await harness.written(), []);
    });

    test("close waits for work under way, and refuses what comes later", async () => {
      const first = await begun(["a"]);
      let isClosed = false;
      const closing = store.close().then(() => {
        isClosed = true;
      });
      for (let turn = 0; turn < 5; turn += 1) await tick();
      assert.equal(isClosed, false);
      await assert.rejects(handle(["b"]), /closed/);
      first.succeed();
      await closing;
      assert.deepEqual(await first.outcome, ["done"]);
      assert.deepEqual(await handle(["a"], await harness.open()), [traits.isShared ? "duplicate" : "done"]);
    });

    if (traits.isShared)
      test("of two processes one works on a key", async () => {
        const other = await harness.open();
        const first = await begun(["a"]);
        const second = handle(["a"], other);
        if (traits.meanwhile === "busy") assert.deepEqual(await second, ["busy"]);
        first.succeed();
        assert.deepEqual(await first.outcome, ["done"]);
        if (traits.meanwhile === "waits") assert.deepEqual(await second, ["duplicate"]);
        assert.deepEqual(await handle(["a"], other), ["duplicate"]);
        assert.deepEqual(await harness.written(), ["a"]);
      });

    if (traits.isTransactional)
      test("shows mark and writes at once", async () => {
        const first = await begun(["a", "b"]);
        assert.deepEqual([await harness.written(), await harness.marks()], [[], 0]);
        first.succeed();
        await first.outcome;
        assert.deepEqual([await harness.written(), await harness.marks()], [["a", "b"], 2]);
      });
  });
}

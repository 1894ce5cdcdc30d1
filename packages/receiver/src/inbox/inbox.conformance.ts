/** What every inbox does. Run by each implementation's test file. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { DEDUPE_WINDOW_MS } from "../dedupe/dedupe.ts";
import { eventOf, type InboxHarness, RECEIVER } from "./inbox.harness.conformance.ts";
import { exerciseRandomly } from "./inbox.state-machine.conformance.ts";
import type { Inbox, InboxEntry } from "./inbox.ts";

class Deliberate extends Error {}

export function exerciseInbox<Transaction>(
  name: string,
  createHarness: () => InboxHarness<Transaction>,
): void {
  describe(`inbox: ${name}`, () => {
    let harness: InboxHarness<Transaction>;
    let inbox: Inbox<Transaction>;

    beforeEach(async () => {
      harness = createHarness();
      inbox = await harness.open();
    });
    afterEach(() => harness.destroy());

    const put = (...keys: string[]) => inbox.put(keys.map((key) => eventOf(key)));
    const status = async (receiver = RECEIVER) => ({
      waiting: await inbox.waiting(receiver),
      nextDueInMs: await inbox.nextDueInMs(receiver),
    });

    async function writeAll(transaction: Transaction, entries: readonly InboxEntry[]): Promise<void> {
      for (const { key } of entries) await harness.write(transaction, key);
    }

    /** Takes what is due, and answers its keys. */
    async function takeKeys(
      limit = 100,
      { by = inbox, receiver = RECEIVER } = {},
    ): Promise<readonly string[]> {
      const keys: string[] = [];
      const count = await by.take({ receiver, limit }, async (transaction, entries) => {
        await writeAll(transaction, entries);
        keys.push(...entries.map(({ key }) => key));
      });
      assert.equal(count, keys.length);
      return keys;
    }

    async function failToTake(error: Error = new Deliberate()): Promise<void> {
      const failing = inbox.take({ receiver: RECEIVER, limit: 100 }, async (transaction, entries) => {
        await writeAll(transaction, entries);
        throw error;
      });
      await assert.rejects(failing, (thrown) => thrown === error);
    }

    test("gives back what was put, byte for byte", async () => {
      const events = [
        eventOf("all bytes", { payload: Uint8Array.from({ length: 256 }, (_, index) => index) }),
        eventOf("empty", { payload: new Uint8Array(), headers: {}, timestampSeconds: null }),
        eventOf("odd", { id: "a\0b\ud800", type: 'ü"\\🦊', headers: { "x-odd": "\\x00 {}\t'" } }),
        eventOf("part of a buffer", { payload: Buffer.from("0123456789").subarray(3, 6) }),
      ];
      await inbox.put(events);
      await inbox.take({ receiver: RECEIVER, limit: 100 }, async (_, entries) => {
        const plain = entries.map((entry) => ({ ...entry, payload: new Uint8Array(entry.payload) }));
        const expected = events.map((event) => ({
          ...event,
          payload: new Uint8Array(event.payload),
          failures: 0,
        }));
        assert.deepEqual(plain, expected);
      });
      assert.deepEqual(await status(), { waiting: 0, nextDueInMs: null });
    });

    test("stores a key once, while it waits and after it was processed", async () => {
      assert.deepEqual(await put("a", "b", "a"), ["stored", "stored", "duplicate"]);
      const same = eventOf("c");
      assert.deepEqual(await inbox.put([same, same]), ["stored", "duplicate"]);
      assert.deepEqual(await put("b"), ["duplicate"]);
      assert.deepEqual(await takeKeys(), ["a", "b", "c"]);
      assert.deepEqual(await put("a", "d"), ["duplicate", "stored"]);
      assert.deepEqual(await takeKeys(), ["d"]);
      assert.deepEqual(await inbox.put([]), []);
    });

    test("answers each of many puts at the same time", async () => {
      const other = await harness.open();
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, (_, index) =>
          (index % 2 === 0 ? inbox : other).put([eventOf(`k${index % 20}`), eventOf(`own${index}`)]),
        ),
      );
      assert.equal(outcomes.filter(([shared]) => shared === "stored").length, 20);
      assert(outcomes.every(([, own]) => own === "stored"));
      assert.equal(await inbox.waiting(RECEIVER), 80);
    });

    test("takes the oldest first, as many as asked for", async () => {
      await put("c", "a");
      await put("b");
      assert.deepEqual(await takeKeys(2), ["c", "a"]);
      assert.deepEqual(await takeKeys(2), ["b"]);
      const never = async (): Promise<void> => assert.fail("nothing is due");
      assert.equal(await inbox.take({ receiver: RECEIVER, limit: 2 }, never), 0);
      assert.deepEqual(await harness.written(), ["c", "a", "b"]);
    });

    test("leaves entries as they were when the work throws", async () => {
      await put("a", "b");
      await failToTake();
      assert.deepEqual(await harness.written(), []);
      assert.deepEqual(await status(), { waiting: 2, nextDueInMs: 0 });
      await inbox.take({ receiver: RECEIVER, limit: 1 }, async (_, [entry]) =>
        assert.equal(entry?.failures, 0),
      );
      assert.deepEqual(await takeKeys(), ["b"]);
    });

    test("postpones, and counts failures", async () => {
      await put("a", "b", "c");
      const reason = "the shop is\0 closed\ud800";
      await inbox.postpone(["a", "unknown"], { afterMs: 60_000, isFailure: true, reason });
      await inbox.postpone(["c"], { afterMs: 0, isFailure: false, reason });
      await inbox.take({ receiver: RECEIVER, limit: 100 }, async (_, entries) =>
        assert.deepEqual(entries.map(({ key, failures }) => [key, failures]).toSorted(), [
          ["b", 0],
          ["c", 0],
        ]),
      );
      const { waiting, nextDueInMs } = await status();
      assert.equal(waiting, 1);
      assert(nextDueInMs !== null && nextDueInMs > 50_000 && nextDueInMs <= 60_000, String(nextDueInMs));
      await harness.advance(61_000);
      assert.deepEqual(await status(), { waiting: 1, nextDueInMs: 0 });
      await inbox.take({ receiver: RECEIVER, limit: 1 }, async (_, [entry]) =>
        assert.equal(entry?.failures, 1),
      );
    });

    test("gives entries to their own receiver alone", async () => {
      await inbox.put([eventOf("a"), eventOf("b", { receiver: "bank" }), eventOf("c", { receiver: "bank" })]);
      await inbox.postpone(["a"], { afterMs: 60_000, isFailure: true, reason: "closed" });
      assert.deepEqual(await takeKeys(), []);
      assert.deepEqual(await status("bank"), { waiting: 2, nextDueInMs: 0 });
      assert.deepEqual(await takeKeys(100, { receiver: "bank" }), ["b", "c"]);
      assert.deepEqual(await status("bank"), { waiting: 0, nextDueInMs: null });
      const { waiting, nextDueInMs } = await status();
      assert.equal(waiting, 1);
      assert(nextDueInMs !== null && nextDueInMs > 50_000, String(nextDueInMs));
      assert.deepEqual(
        await inbox.put([eventOf("a", { receiver: "bank" })]),
        ["duplicate"],
        "keys are one's own",
      );
    });

    test("takes as many at a time as it says", async () => {
      const { takesMax } = inbox;
      assert(takesMax >= 1);
      const begins = Array.from({ length: takesMax }, () => Promise.withResolvers<void>());
      const allHaveBegun = Promise.all(begins.map(({ promise }) => promise));
      await put(...begins.map((_, index) => `k${index}`));
      const takes = begins.map(({ resolve }) =>
        inbox.take({ receiver: RECEIVER, limit: 1 }, async () => {
          resolve();
          await allHaveBegun;
        }),
      );
      assert.deepEqual(await Promise.all(takes), Array(takesMax).fill(1));
    });

    test("buries for good, and keeps the key", async () => {
      await put("a", "b");
      await inbox.bury(["a"], "no such column");
      assert.deepEqual(await takeKeys(), ["b"]);
      await inbox.postpone(["a", "b"], { afterMs: 0, isFailure: true, reason: "too late" });
      await inbox.bury(["b"], "too late");
      assert.deepEqual(await takeKeys(), []);
      assert.deepEqual(await put("a", "b"), ["duplicate", "duplicate"]);
    });

    test("lets go of the bytes of what was processed or buried", async () => {
      await inbox.put([eventOf("a"), eventOf("b"), eventOf("c", { payload: Buffer.alloc(1000) })]);
      await takeKeys(1);
      await inbox.bury(["b"], "why not");
      assert.deepEqual(await harness.size(), { rows: 3, bytes: 1000 });
    });

    test("remembers keys for the window, from when they were processed", async () => {
      const short = await harness.open({ windowMs: 60_000 });
      await short.put([eventOf("a"), eventOf("b")]);
      await harness.advance(120_000);
      assert.deepEqual(await short.put([eventOf("a")]), ["duplicate"], "it waits for as long as it takes");
      await takeKeys(1, { by: short });
      await short.bury(["b"], "why not");
      await harness.advance(59_000);
      assert.deepEqual(await short.put([eventOf("a"), eventOf("b")]), ["duplicate", "duplicate"]);
      await harness.advance(2_000);
      assert.deepEqual(await short.put([eventOf("a"), eventOf("b")]), ["stored", "stored"]);
    });

    test("removes old marks in passing, and nothing that waits", async () => {
      const round = (number: number) => Array.from({ length: 40 }, (_, index) => `${number}-${index}`);
      for (let number = 0; number < 5; number += 1) await put(...round(number));
      await takeKeys(150);
      await harness.advance(DEDUPE_WINDOW_MS + 1000);
      for (let number = 5; number < 10; number += 1) await put(...round(number));
      assert.equal((await harness.size()).rows, 250);
      assert.equal((await takeKeys(1000)).length, 250);
    });

    test("commits the handler's writes together with the entries", async () => {
      await put("a", "b");
      await inbox.take({ receiver: RECEIVER, limit: 100 }, async (transaction, entries) => {
        await writeAll(transaction, entries);
        assert.deepEqual(await harness.written(), [], "not before the end");
      });
      assert.deepEqual(await harness.written(), ["a", "b"]);
    });

    test("gives what was under way in a crash to the next, whole", async () => {
      await put("a", "b");
      const dying = inbox.take({ receiver: RECEIVER, limit: 100 }, async (transaction, entries) => {
        await writeAll(transaction, entries);
        await harness.crash(transaction);
      });
      await assert.rejects(dying);
      inbox = await harness.open();
      assert.deepEqual(await harness.written(), []);
      assert.deepEqual(await takeKeys(), ["a", "b"]);
    });

    test("gives different entries to calls at the same time, of other processes too", async () => {
      const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
      await put(...keys);
      const other = await harness.open();
      const taken = await Promise.all(
        Array.from({ length: 6 }, (_, index) => takeKeys(7, { by: index % 2 === 0 ? inbox : other })),
      );
      assert.deepEqual([...taken.flat(), ...(await takeKeys())].toSorted(), keys.toSorted());
      assert.deepEqual((await harness.written()).toSorted(), keys.toSorted());
    });

    test("refuses what it could not keep, and limits that make no sense", async () => {
      await assert.rejects(put("good", ""), RangeError);
      await assert.rejects(put("a\0b"), RangeError);
      await assert.rejects(inbox.put([eventOf("a", { payload: "text" as never })]), /Uint8Array/);
      for (const receiver of ["", "a\0b", "\ud800", "r".repeat(257)]) {
        await assert.rejects(inbox.put([eventOf("a", { receiver })]), /receiver is/);
      }
      await assert.rejects(
        inbox.take({ receiver: RECEIVER, limit: 0 }, async () => {}),
        RangeError,
      );
      await assert.rejects(
        inbox.postpone(["a"], { afterMs: -1, isFailure: true, reason: "why not" }),
        RangeError,
      );
      assert.equal(await inbox.waiting(RECEIVER), 0);
    });

    test("close waits for work under way, and refuses what comes later", async () => {
      await put("a");
      const end = Promise.withResolvers<void>();
      const started = Promise.withResolvers<void>();
      const taking = inbox.take({ receiver: RECEIVER, limit: 1 }, async () => {
        started.resolve();
        await end.promise;
      });
      await started.promise;
      let isClosed = false;
      const closing = inbox.close().then(() => {
        isClosed = true;
      });
      for (let turn = 0; turn < 5; turn += 1) await tick();
      assert.equal(isClosed, false);
      await assert.rejects(put("b"), /closed/);
      end.resolve();
      await closing;
      assert.equal(await taking, 1);
    });

    exerciseRandomly(createHarness);
  });
}

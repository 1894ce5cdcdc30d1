/**
 * Random sequences of everything that can happen to an inbox, held against a model of it. The clock moves in steps that are far longer
 * than a run takes, so the model knows what is due.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventOf, type InboxHarness, RECEIVER } from "./inbox.harness.conformance.ts";
import type { Inbox, InboxEntry } from "./inbox.ts";

const WINDOW_MS = 1_000_000;
const KEYS = ["a", "b", "c", "d", "e", "f"];
const RUNS = 20;

type Move =
  | { readonly kind: "put" | "bury"; readonly keys: readonly string[] }
  | {
      readonly kind: "postpone";
      readonly keys: readonly string[];
      readonly afterMs: number;
      readonly isFailure: boolean;
    }
  | { readonly kind: "take"; readonly limit: number; readonly end: "well" | "throw" | "crash" }
  | { readonly kind: "advance"; readonly ms: number };

const keys = fc.subarray(KEYS, { minLength: 1, maxLength: 4 });
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("put" as const), keys }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("bury" as const), keys }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("postpone" as const),
      keys,
      afterMs: fc.constantFrom(0, 100_000),
      isFailure: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("take" as const),
      limit: fc.integer({ min: 1, max: 4 }),
      end: fc.constantFrom("well" as const, "well" as const, "throw" as const, "crash" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(70_000, 600_000) }),
  },
);

/** On the model's clock. `place` goes up with each put; null: it was postponed, and its place among equals is open. */
type Known =
  | {
      readonly kind: "waiting";
      readonly dueAtMs: number;
      readonly failures: number;
      readonly place: number | null;
    }
  | { readonly kind: "mark"; readonly expiresAtMs: number };
type Waiting = Extract<Known, { kind: "waiting" }>;

class Model<Transaction> {
  readonly #harness: InboxHarness<Transaction>;
  #inbox: Inbox<Transaction>;
  #nowMs = 0;
  #puts = 0;
  readonly #known = new Map<string, Known>();
  readonly #written: string[] = [];

  constructor(harness: InboxHarness<Transaction>, inbox: Inbox<Transaction>) {
    this.#harness = harness;
    this.#inbox = inbox;
  }

  async move(step: Move): Promise<void> {
    switch (step.kind) {
      case "put":
        return this.#put(step.keys);
      case "bury":
        await this.#inbox.bury(step.keys, "buried");
        for (const key of step.keys) if (this.#waiting(key) !== undefined) this.#mark(key);
        return;
      case "postpone":
        return this.#postpone(step);
      case "take":
        return this.#take(step.limit, step.end);
      case "advance":
        await this.#harness.advance(step.ms);
        this.#nowMs += step.ms;
    }
  }

  async check(): Promise<void> {
    const waiting = KEYS.map((key) => this.#waiting(key)).filter((entry) => entry !== undefined);
    assert.equal(await this.#inbox.waiting(RECEIVER), waiting.length);
    const nextDueInMs = await this.#inbox.nextDueInMs(RECEIVER);
    if (waiting.length === 0) assert.equal(nextDueInMs, null);
    else {
      const dueInMs = Math.max(0, Math.min(...waiting.map(({ dueAtMs }) => dueAtMs)) - this.#nowMs);
      assert(nextDueInMs !== null && Math.abs(nextDueInMs - dueInMs) < 9_000);
    }
    assert.deepEqual(await this.#harness.written(), this.#written);
  }

  async #put(given: readonly string[]): Promise<void> {
    const expected = given.map((key) => (this.#isKnown(key) ? "duplicate" : "stored"));
    assert.deepEqual(await this.#inbox.put(given.map((key) => eventOf(key))), expected);
    for (const key of given) {
      if (this.#isKnown(key)) continue;
      this.#puts += 1;
      this.#known.set(key, { kind: "waiting", dueAtMs: this.#nowMs, failures: 0, place: this.#puts });
    }
  }

  async #postpone({ keys, afterMs, isFailure }: Move & { readonly kind: "postpone" }): Promise<void> {
    await this.#inbox.postpone(keys, { afterMs, isFailure, reason: "postponed" });
    for (const key of keys) {
      const entry = this.#waiting(key);
      if (entry === undefined) continue;
      const dueAtMs = this.#nowMs + afterMs;
      const failures = entry.failures + (isFailure ? 1 : 0);
      this.#known.set(key, { kind: "waiting", dueAtMs, failures, place: null });
    }
  }

  async #take(limit: number, end: "well" | "throw" | "crash"): Promise<void> {
    const due = KEYS.filter((key) => (this.#waiting(key)?.dueAtMs ?? Infinity) <= this.#nowMs);
    let taken: readonly InboxEntry[] = [];
    const taking = this.#inbox.take({ receiver: RECEIVER, limit }, async (transaction, entries) => {
      taken = entries;
      for (const { key } of entries) await this.#harness.write(transaction, key);
      if (end === "crash") await this.#harness.crash(transaction);
      if (end === "throw") throw new Error("deliberate");
    });
    if (end === "well" || due.length === 0) assert.equal(await taking, Math.min(limit, due.length));
    else await assert.rejects(taking);
    this.#checkTaken(taken, due);
    if (end === "crash" && due.length > 0) this.#inbox = await this.#harness.open({ windowMs: WINDOW_MS });
    if (end !== "well") return;
    for (const { key } of taken) {
      this.#written.push(key);
      this.#mark(key);
    }
  }

  /** Of what is due, the oldest, in their order. */
  #checkTaken(taken: readonly InboxEntry[], due: readonly string[]): void {
    const entries = taken.map(({ key, failures }) => {
      const entry = this.#waiting(key);
      assert(entry !== undefined && due.includes(key), `${key} was not due`);
      assert.equal(failures, entry.failures);
      return entry;
    });
    entries.slice(1).forEach((entry, index) => {
      assert(!isBefore(entry, entries[index]!), "in their order");
    });
    const left = due.filter((key) => !taken.some((entry) => entry.key === key));
    for (const key of left) {
      for (const entry of entries) assert(!isBefore(this.#waiting(key)!, entry), `${key} is older`);
    }
  }

  #isKnown(key: string): boolean {
    const known = this.#known.get(key);
    return known?.kind === "waiting" || (known?.expiresAtMs ?? 0) > this.#nowMs;
  }

  #waiting(key: string): Waiting | undefined {
    const known = this.#known.get(key);
    return known?.kind === "waiting" ? known : undefined;
  }

  #mark(key: string): void {
    this.#known.set(key, { kind: "mark", expiresAtMs: this.#nowMs + WINDOW_MS });
  }
}

function isBefore(one: Waiting, other: Waiting): boolean {
  if (one.dueAtMs !== other.dueAtMs) return one.dueAtMs < other.dueAtMs;
  return one.place !== null && other.place !== null && one.place < other.place;
}

export function exerciseRandomly<Transaction>(createHarness: () => InboxHarness<Transaction>): void {
  test("whatever happens in whatever order, it does as the model says", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 5, maxLength: 30 }), async (moves) => {
        const harness = createHarness();
        try {
          const model = new Model(harness, await harness.open({ windowMs: WINDOW_MS }));
          for (const step of moves) {
            await model.move(step);
            await model.check();
          }
        } finally {
          await harness.destroy();
        }
      }),
      { numRuns: RUNS },
    );
  });
}

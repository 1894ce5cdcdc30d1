/**
 * Random sequences of everything that can happen to deliveries, on one unordered, one fifo and one keyed endpoint. After
 * each move: every delivery stands in the list exactly once, final ones are as they were, and of each order key only the
 * oldest is out of hold. At the end everything runs again, and every delivery must end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DeliveryId, EndpointId } from "../../base/ids.ts";
import type { Delivery } from "../../domain/delivery.ts";
import { ENDPOINT_STATUSES, type EndpointStatus } from "../../domain/endpoint.ts";
import type { ClaimedDelivery, NextStep, Settlement } from "../store.ts";
import {
  DAY,
  DEAD,
  DELIVERED,
  HOUR,
  retryIn,
  type Sent,
  type TestApp,
  type World,
} from "./world.conformance.ts";

type Move =
  | {
      readonly kind: "accept";
      readonly endpoint: number;
      readonly key: string;
      readonly leased: boolean;
      readonly short: boolean;
    }
  | { readonly kind: "claim"; readonly endpoint: number; readonly max: number }
  | { readonly kind: "settle"; readonly pick: number; readonly next: NextStep }
  | { readonly kind: "crash" }
  | { readonly kind: "late"; readonly pick: number; readonly next: NextStep }
  | { readonly kind: "redeliver" | "cancel"; readonly pick: number }
  | { readonly kind: "expire" }
  | { readonly kind: "status"; readonly endpoint: number; readonly status: EndpointStatus }
  | { readonly kind: "unblock"; readonly endpoint: number };

const pick = fc.nat(1000);
const endpoint = fc.nat(2);
const next = fc.constantFrom<NextStep>(DELIVERED, DELIVERED, retryIn(0), retryIn(HOUR), DEAD, {
  kind: "release",
});
const accept = fc.record({
  kind: fc.constant("accept" as const),
  endpoint,
  key: fc.constantFrom("a", "b"),
  leased: fc.boolean(),
  short: fc.boolean(),
});
const claim = fc.record({
  kind: fc.constant("claim" as const),
  endpoint,
  max: fc.integer({ min: 1, max: 4 }),
});
const settle = fc.record({ kind: fc.constant("settle" as const), pick, next });
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 6, arbitrary: accept },
  { weight: 5, arbitrary: claim },
  { weight: 6, arbitrary: settle },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("late" as const), pick, next }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("redeliver" as const, "cancel" as const), pick }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("expire" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("status" as const),
      endpoint,
      status: fc.constantFrom(...ENDPOINT_STATUSES),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unblock" as const), endpoint }) },
);

interface Made extends Sent {
  /** null: outside the order. */
  readonly orderKey: string | null;
}

class Run {
  readonly #world: World;
  readonly #app: TestApp;
  readonly #endpoints: readonly EndpointId[];
  readonly #made: Made[] = [];
  /** What the living node holds, with the number of the attempt under way. */
  readonly #held = new Map<DeliveryId, number>();
  /** Settlements that nodes did not get to before they died. */
  readonly #late: Settlement[] = [];
  readonly #finals = new Map<DeliveryId, Delivery>();

  constructor(world: World, app: TestApp, endpoints: readonly EndpointId[]) {
    this.#world = world;
    this.#app = app;
    this.#endpoints = endpoints;
  }

  async move(step: Move): Promise<void> {
    switch (step.kind) {
      case "accept":
        return this.#accept(step);
      case "claim":
        return this.#claim(this.#endpointAt(step.endpoint), step.max);
      case "settle":
        return this.#settle(chosen([...this.#held.keys()], step.pick), step.next);
      case "crash":
        return this.#crash(step);
      case "late":
        return this.#settleLate(step);
      case "redeliver":
        return this.#redeliver(chosen(this.#made, step.pick));
      case "cancel":
        return this.#cancel(chosen(this.#made, step.pick));
      case "expire":
        await this.#world.store.advance(2 * DAY);
        await this.#world.exhaust(() => this.#world.store.write.expire(3));
        return;
      case "status":
        return this.#setStatus(this.#endpointAt(step.endpoint), step.status);
      case "unblock":
        await this.#world.store.write.save({ kind: "unblock", endpointId: this.#endpointAt(step.endpoint) });
    }
  }

  /** What must be true at any moment. */
  async check(): Promise<void> {
    const { data } = await this.#world.store.read.list("delivery", { appId: this.#app.id, limit: 250 });
    assert.deepEqual(
      data.map(({ id }) => id).toSorted(),
      this.#made.map(({ id }) => id).toSorted(),
      "each exactly once",
    );
    const byId = new Map(data.map((delivery) => [delivery.id, delivery]));
    for (const delivery of data) this.#checkOne(delivery);
    this.#checkOrder(byId);
  }

  #checkOne(delivery: Delivery): void {
    const final = this.#finals.get(delivery.id);
    if (final !== undefined) assert.deepEqual(delivery, final, "a final delivery never changes");
    if (delivery.state !== "pending") this.#finals.set(delivery.id, delivery);
    else
      assert.equal(
        delivery.leased,
        this.#held.has(delivery.id),
        "leased exactly while the living node holds it",
      );
    if (delivery.state !== "pending") this.#held.delete(delivery.id);
  }

  #checkOrder(byId: ReadonlyMap<string, Delivery>): void {
    const unfinished = this.#made.filter(
      ({ id, orderKey }) => orderKey !== null && byId.get(id)?.state === "pending",
    );
    for (const queue of Map.groupBy(
      unfinished,
      ({ endpointId, orderKey }) => `${endpointId} ${orderKey}`,
    ).values()) {
      for (const { id } of queue.slice(1))
        assert.equal(byId.get(id)?.hold, "order", "only the oldest may be out of hold");
    }
  }

  /** Lets everything run: whatever happened before, each delivery must reach its end. */
  async drain(): Promise<void> {
    for (const each of this.#endpoints) await this.#setStatus(each, "enabled");
    for (const id of [...this.#held.keys()]) await this.#settle(id, DELIVERED);
    for (let round = 0; round < 200; round++) {
      await this.#world.store.advance(HOUR);
      for (const each of this.#endpoints) {
        await this.#world.store.write.save({ kind: "unblock", endpointId: each });
        await this.#claim(each, 10);
      }
      for (const id of [...this.#held.keys()]) await this.#settle(id, DELIVERED);
      const { data } = await this.#world.store.read.list("delivery", {
        appId: this.#app.id,
        states: ["pending"],
        limit: 1,
      });
      if (data.length === 0) break;
    }
    await this.check();
    assert.equal(this.#finals.size, this.#made.length, "nothing is lost");
    for (const { id } of this.#made) {
      const numbers = (await this.#world.attempts(id)).map(({ number }) => number);
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => index + 1),
        "attempts are numbered from 1",
      );
    }
  }

  async #accept({ endpoint: index, key, leased, short }: Extract<Move, { kind: "accept" }>): Promise<void> {
    const orderKey = [null, "", key][index] ?? null;
    const lease = leased ? this.#world.node : null;
    const facts = { orderKey, lease, expiresInMs: short ? DAY : 30 * DAY };
    const sent = await this.#world.publish(this.#app, this.#endpointAt(index), facts);
    this.#made.push({ ...sent, orderKey });
    if ((await this.#world.delivery(sent.id)).leased) this.#held.set(sent.id, 1);
  }

  async #claim(endpointId: EndpointId, max: number): Promise<void> {
    for (const { id, attempts } of await this.#world.claim(endpointId, max)) {
      assert(!this.#held.has(id) && !this.#finals.has(id), "a claim gives what nobody has");
      this.#held.set(id, attempts + 1);
    }
  }

  async #settle(id: ClaimedDelivery["id"] | undefined, step: NextStep): Promise<void> {
    const made = this.#made.find((each) => each.id === id);
    if (made === undefined) return;
    const result = await this.#world.settle(made, step, { number: this.#held.get(made.id) ?? 1 });
    assert(result.kind === "settled" || result.kind === "final", result.kind);
    this.#held.delete(made.id);
  }

  async #crash(_: Move): Promise<void> {
    for (const [id, number] of this.#held) {
      const made = this.#made.find((each) => each.id === id);
      if (made !== undefined) this.#late.push(this.#world.settlement(made, DELIVERED, { number }));
    }
    this.#held.clear();
    await this.#world.takeOver();
    await this.#world.exhaust(() => this.#world.store.write.rescue(2));
  }

  async #settleLate({ pick: at, next: step }: Extract<Move, { kind: "late" }>): Promise<void> {
    const settlement = chosen(this.#late, at);
    if (settlement === undefined) return;
    const failed = step.kind === "delivered" ? settlement : this.#world.settlement(sentOf(settlement), step);
    const late = { ...settlement, next: step, attempt: step.kind === "release" ? null : failed.attempt };
    const [result] = await this.#world.store.write.settle([late], []);
    assert(
      result !== undefined && (result.kind === "fenced" || result.kind === "final"),
      JSON.stringify(result),
    );
    // A late success takes the delivery from whoever has it now.
    if (result.kind === "fenced" && result.finished) this.#held.delete(settlement.deliveryId);
  }

  async #redeliver(made: Made | undefined): Promise<void> {
    if (made !== undefined) this.#made.push({ ...(await this.#world.redeliver(made)), orderKey: null });
  }

  async #cancel(made: Made | undefined): Promise<void> {
    if (made !== undefined)
      await this.#world.store.write.cancel({ kind: "delivery", id: made.id, reason: "by_hand" }, 1);
  }

  async #setStatus(endpointId: EndpointId, status: EndpointStatus): Promise<void> {
    const disableReason = status === "disabled" ? "by_hand" : null;
    await this.#world.store.write.save({ kind: "endpoint_status", endpointId, status, disableReason });
    if (status !== "enabled") assert.deepEqual(await this.#world.claim(endpointId), []);
  }

  #endpointAt(index: number): EndpointId {
    return this.#endpoints[index] as EndpointId;
  }
}

export function stateMachineStories(world: () => World): void {
  test("keeps its invariants under any sequence of moves", async () => {
    const moves = fc.array(move, { minLength: 5, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        moves,
        fc.constantFrom("continue" as const, "block" as const),
        async (steps, onDeadLetter) => {
          const app = await world().app();
          const endpoints = [
            await world().endpoint(app),
            await world().endpoint(app, { ordering: "fifo", onDeadLetter }),
            await world().endpoint(app, { ordering: "keyed", onDeadLetter }),
          ];
          const run = new Run(world(), app, endpoints);
          for (const step of steps) {
            await run.move(step);
            await run.check();
          }
          await run.drain();
        },
      ),
      { numRuns: 30 },
    );
  });
}

function chosen<Thing>(things: readonly Thing[], at: number): Thing | undefined {
  return things[at % Math.max(1, things.length)];
}

function sentOf({ deliveryId, appId, endpointId, eventId }: Settlement): Sent {
  return { id: deliveryId, appId, endpointId, eventId };
}

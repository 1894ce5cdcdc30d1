import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointId } from "../../base/ids.ts";
import type { Endpoint } from "../../domain/endpoint.ts";
import {
  DAY,
  DEAD,
  DELIVERED,
  retryIn,
  SECOND,
  type Sent,
  type TestApp,
  type World,
} from "./world.conformance.ts";

export function orderStories(world: () => World): void {
  /** Three deliveries of one fifo lane, stored unleased. */
  async function fifoOfThree(
    facts: Partial<Endpoint> = {},
  ): Promise<{ app: TestApp; endpoint: EndpointId; sent: Sent[] }> {
    const { app, endpoint } = await world().pair({ ordering: "fifo", ...facts });
    const sent: Sent[] = [];
    for (let n = 0; n < 3; n++) sent.push(await world().publish(app, endpoint, { orderKey: "" }));
    return { app, endpoint, sent };
  }

  /** Claims whatever is due and gives the ids. */
  async function claimed(endpoint: EndpointId): Promise<string[]> {
    return (await world().claim(endpoint)).map(({ id }) => id);
  }

  test("only the head has a due time; settling it releases the next in the same transaction", async () => {
    const { endpoint, sent } = await fifoOfThree();
    const [first, second, third] = sent as [Sent, Sent, Sent];
    assert.equal((await world().delivery(first.id)).hold, null);
    const { hold, dueAtMs } = await world().delivery(second.id);
    assert.deepEqual({ hold, dueAtMs }, { hold: "order", dueAtMs: null });
    assert.deepEqual(await claimed(endpoint), [first.id]);
    assert.deepEqual(await claimed(endpoint), []);
    assert.deepEqual(await world().settle(first, DELIVERED), { kind: "settled", lane: null, released: true });
    assert.equal(await world().isDue(endpoint), true);
    assert.deepEqual(await claimed(endpoint), [second.id]);
    await world().settle(second, DELIVERED);
    assert.deepEqual(await claimed(endpoint), [third.id]);
    const last = await world().settle(third, DELIVERED);
    assert.equal(last.kind === "settled" && last.released, false);
  });

  test("the head keeps its place through retries", async () => {
    const { endpoint, sent } = await fifoOfThree();
    const [first, second] = sent as [Sent, Sent, Sent];
    assert.deepEqual(await claimed(endpoint), [first.id]);
    await world().settle(first, retryIn(30 * SECOND));
    assert.deepEqual(await claimed(endpoint), []);
    await world().store.advance(30 * SECOND);
    assert.deepEqual(await claimed(endpoint), [first.id]);
    await world().settle(first, DELIVERED, { number: 2 });
    assert.deepEqual(await claimed(endpoint), [second.id]);
  });

  test("a lease is given to the head alone; who comes behind it is told so", async () => {
    const { app, endpoint } = await world().pair({ ordering: "fifo" });
    const head = await world().send(app, endpoint, { orderKey: "" });
    const follower = world().newDelivery(app, endpoint, { orderKey: "", lease: world().node });
    const result = await world().accept(await world().acceptance(app, [follower]));
    assert.deepEqual(result, { kind: "accepted", unleased: [follower.id] });
    assert.equal(await world().isDue(endpoint), false, "a held delivery wakes no lane");
    await world().settle(head, DELIVERED);
    assert.deepEqual(await claimed(endpoint), [follower.id]);
  });

  test("keys of a keyed lane do not wait for one another", async () => {
    const { app, endpoint } = await world().pair({ ordering: "keyed" });
    const a1 = await world().publish(app, endpoint, { orderKey: "a" });
    const a2 = await world().publish(app, endpoint, { orderKey: "a" });
    const b1 = await world().publish(app, endpoint, { orderKey: "b" });
    const free = await world().publish(app, endpoint);
    assert.deepEqual(await claimed(endpoint), [a1.id, b1.id, free.id]);
    await world().settle(b1, DELIVERED);
    assert.deepEqual(await claimed(endpoint), []);
    await world().settle(a1, DELIVERED);
    assert.deepEqual(await claimed(endpoint), [a2.id]);
  });

  test("a dead head releases the next under `continue`", async () => {
    const { endpoint, sent } = await fifoOfThree();
    const [first, second] = sent as [Sent, Sent, Sent];
    await claimed(endpoint);
    const result = await world().settle(first, DEAD);
    assert.equal(result.kind === "settled" && result.released, true);
    assert.deepEqual(await claimed(endpoint), [second.id]);
  });

  test("a dead head blocks its key under `block`, for what comes later too, until it is unblocked", async () => {
    const { app, endpoint, sent } = await fifoOfThree({ onDeadLetter: "block" });
    const [first, second] = sent as [Sent, Sent, Sent];
    await claimed(endpoint);
    const result = await world().settle(first, DEAD);
    assert.equal(result.kind === "settled" && result.released, false);
    assert.deepEqual(await claimed(endpoint), []);
    const later = await world().publish(app, endpoint, { orderKey: "" });
    assert.equal((await world().delivery(later.id)).hold, "order");
    assert.deepEqual(await world().store.write.save({ kind: "unblock", endpointId: endpoint }), {
      kind: "saved",
    });
    assert.deepEqual(await claimed(endpoint), [second.id]);
  });

  test("a key blocked when empty stays blocked, and opens to who came meanwhile", async () => {
    const { app, endpoint } = await world().pair({ ordering: "keyed", onDeadLetter: "block" });
    const only = await world().send(app, endpoint, { orderKey: "a" });
    await world().settle(only, DEAD);
    const later = await world()
      .send(app, endpoint, { orderKey: "a" })
      .catch(() => undefined);
    assert(later);
    assert.equal((await world().delivery(later.id)).hold, "order");
    assert.equal(
      (await world().delivery((await world().publish(app, endpoint, { orderKey: "b" })).id)).hold,
      null,
    );
    await world().store.write.save({ kind: "unblock", endpointId: endpoint });
    assert.equal((await world().delivery(later.id)).hold, null);
  });

  test("a delivered redelivery of the blocking event lifts the block", async () => {
    const { endpoint, sent } = await fifoOfThree({ onDeadLetter: "block" });
    const [first, second] = sent as [Sent, Sent, Sent];
    await claimed(endpoint);
    await world().settle(first, DEAD);
    const again = await world().redeliver(first);
    assert.deepEqual(await claimed(endpoint), [again.id], "outside the order");
    const result = await world().settle(again, DELIVERED);
    assert.equal(result.kind === "settled" && result.released, true);
    assert.deepEqual(await claimed(endpoint), [second.id]);
  });

  test("a change of the endpoint that ends blocking lifts its blocks", async () => {
    const { app, endpoint, sent } = await fifoOfThree({ onDeadLetter: "block" });
    const [first, second] = sent as [Sent, Sent, Sent];
    await claimed(endpoint);
    await world().settle(first, DEAD);
    const changed = world().endpointOf(app, {
      id: endpoint,
      ordering: "fifo",
      onDeadLetter: "continue",
      version: 1,
    });
    const result = await world().store.write.save(world().endpointChange(changed));
    assert.deepEqual(result, { kind: "saved" });
    assert.deepEqual(await claimed(endpoint), [second.id]);
  });

  test("cancelling the head releases the next; cancelling a follower does not", async () => {
    const { endpoint, sent } = await fifoOfThree();
    const [first, second, third] = sent as [Sent, Sent, Sent];
    await world().store.write.cancel({ kind: "delivery", id: second.id, reason: "by_hand" }, 1);
    assert.deepEqual(await claimed(endpoint), [first.id]);
    await world().store.write.cancel({ kind: "delivery", id: first.id, reason: "by_hand" }, 1);
    assert.deepEqual(await claimed(endpoint), [third.id]);
  });

  test("a head that expires counts as a dead letter; a follower that expires blocks nothing", async () => {
    const { app, endpoint } = await world().pair({ ordering: "fifo", onDeadLetter: "block" });
    const head = await world().publish(app, endpoint, { orderKey: "", expiresInMs: 3 * DAY });
    const hasty = await world().publish(app, endpoint, { orderKey: "", expiresInMs: DAY });
    const patient = await world().publish(app, endpoint, { orderKey: "", expiresInMs: 9 * DAY });
    await world().store.advance(2 * DAY);
    await world().exhaust(() => world().store.write.expire(100));
    assert.equal((await world().delivery(hasty.id)).reason, "expired");
    assert.equal((await world().delivery(head.id)).state, "pending");
    await world().store.advance(2 * DAY);
    await world().exhaust(() => world().store.write.expire(100));
    assert.equal((await world().delivery(head.id)).reason, "expired");
    assert.equal((await world().delivery(patient.id)).hold, "order");
    await world().store.write.save({ kind: "unblock", endpointId: endpoint });
    assert.deepEqual(await claimed(endpoint), [patient.id]);
  });

  test("a follower that expires or is cancelled leaves the head in its place, and blocks nothing", async () => {
    const { app, endpoint } = await world().pair({ ordering: "fifo", onDeadLetter: "block" });
    const head = await world().send(app, endpoint, { orderKey: "" });
    await world().settle(head, retryIn(5 * DAY));
    const hasty = await world().publish(app, endpoint, { orderKey: "", expiresInMs: DAY });
    const unwanted = await world().publish(app, endpoint, { orderKey: "" });
    const patient = await world().publish(app, endpoint, { orderKey: "" });
    await world().store.advance(2 * DAY);
    await world().exhaust(() => world().store.write.expire(100));
    await world().store.write.cancel({ kind: "delivery", id: unwanted.id, reason: "by_hand" }, 1);
    assert.equal((await world().delivery(hasty.id)).reason, "expired");
    assert.deepEqual(await claimed(endpoint), [], "the head still waits for its retry");
    await world().store.advance(3 * DAY);
    assert.deepEqual(await claimed(endpoint), [head.id]);
    await world().settle(head, DELIVERED, { number: 2 });
    assert.deepEqual(await claimed(endpoint), [patient.id]);
    await world().settle(patient, DELIVERED);
    const free = await world().publish(app, endpoint, { orderKey: "" });
    assert.deepEqual(await claimed(endpoint), [free.id]);
  });
}

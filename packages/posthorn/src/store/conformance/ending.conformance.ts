import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "../../base/ids.ts";
import { DAY, DELIVERED, HOUR, type Sent, type World } from "./world.conformance.ts";

export function endingStories(world: () => World): void {
  const expire = () => world().exhaust(() => world().store.write.expire(100));

  test("what is past its deadline is dead-lettered as expired", async () => {
    const { app, endpoint } = await world().pair();
    const short = await world().publish(app, endpoint, { expiresInMs: HOUR });
    const long = await world().publish(app, endpoint, { expiresInMs: DAY });
    assert.deepEqual(
      (await expire()).flatMap(({ ended }) => ended),
      [],
    );
    await world().store.advance(2 * HOUR);
    const ended = (await expire()).flatMap((result) => result.ended);
    assert.deepEqual(ended, [
      { ...short, eventType: "order.created", state: "dead_lettered", reason: "expired" },
    ]);
    assert.equal((await world().delivery(long.id)).state, "pending");
  });

  test("where the endpoint is disabled, that is the reason", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().publish(app, endpoint, { expiresInMs: HOUR });
    await world().store.write.save({
      kind: "endpoint_status",
      endpointId: endpoint,
      status: "disabled",
      disableReason: "gone",
    });
    await world().store.advance(2 * HOUR);
    await expire();
    assert.equal((await world().delivery(sent.id)).reason, "endpoint_disabled");
  });

  test("what is being sent does not expire", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint, { expiresInMs: HOUR });
    await world().store.advance(2 * HOUR);
    await expire();
    assert.equal((await world().delivery(sent.id)).state, "pending");
    await world().settle(sent, DELIVERED);
  });

  test("a delivery is cancelled by hand, once", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().publish(app, endpoint);
    const cancel = () => world().store.write.cancel({ kind: "delivery", id: sent.id, reason: "by_hand" }, 10);
    const { ended, more } = await cancel();
    assert.deepEqual(ended, [{ ...sent, eventType: "order.created", state: "cancelled", reason: "by_hand" }]);
    assert.equal(more, false);
    assert.deepEqual((await cancel()).ended, []);
    assert.deepEqual(await world().claim(endpoint), []);
  });

  test("an event's pending deliveries are cancelled, those made later too; finished ones stay", async () => {
    const { app, endpoint } = await world().pair();
    const other = await world().endpoint(app);
    const deliveries = [
      world().newDelivery(app, endpoint, { lease: world().node }),
      world().newDelivery(app, other),
    ];
    const acceptance = await world().acceptance(app, deliveries);
    await world().accept(acceptance);
    const [first, second] = deliveries.map(
      ({ id, endpointId }): Sent => ({ id, appId: app.id, endpointId, eventId: acceptance.event.id }),
    ) as [Sent, Sent];
    await world().settle(first, DELIVERED);
    const again = await world().redeliver(first);
    const bystander = await world().publish(app, endpoint);
    const target = { kind: "event", id: acceptance.event.id, reason: "expunged" } as const;
    const results = await world().exhaust(() => world().store.write.cancel(target, 1));
    const ended = results.flatMap((result) => result.ended.map(({ id }) => id));
    assert.deepEqual(ended.sort(), [second.id, again.id].sort());
    assert.equal((await world().delivery(first.id)).state, "delivered");
    assert.equal((await world().delivery(bystander.id)).state, "pending");
  });

  test("an endpoint's deliveries are cancelled in slices, leased ones too", async () => {
    const { app, endpoint } = await world().pair();
    const other = await world().endpoint(app);
    const bystander = await world().publish(app, other);
    const sent = [await world().send(app, endpoint)];
    for (let n = 0; n < 4; n++) sent.push(await world().publish(app, endpoint));
    const target = { kind: "endpoint", id: endpoint, reason: "by_hand" } as const;
    const first = await world().store.write.cancel(target, 2);
    assert.deepEqual({ done: first.done, more: first.more }, { done: 2, more: true });
    await world().exhaust(() => world().store.write.cancel(target, 2));
    for (const { id } of sent) assert.equal((await world().delivery(id)).state, "cancelled");
    assert.equal((await world().delivery(bystander.id)).state, "pending");
  });

  test("what a removed endpoint left is found and cancelled", async () => {
    const { app, endpoint } = await world().pair();
    const sent = [await world().publish(app, endpoint), await world().send(app, endpoint)];
    const second = await world().endpoint(app);
    sent.push(await world().publish(app, second));
    await world().store.write.remove({ kind: "endpoint", id: second });
    const survivor = await world().publish(app, await world().endpoint(app));
    await world().store.write.remove({ kind: "endpoint", id: endpoint });
    assert.equal(await world().isDue(endpoint), false, "none is sent from the commit on");
    assert.deepEqual(await world().claim(endpoint), []);
    const target = { kind: "removed_endpoints", reason: "endpoint_deleted" } as const;
    await world().exhaust(() => world().store.write.cancel(target, 2));
    for (const { id } of sent) assert.equal((await world().delivery(id)).reason, "endpoint_deleted");
    assert.equal((await world().delivery(survivor.id)).state, "pending");
  });

  test("cancelling what is not there ends nothing", async () => {
    const { app } = await world().pair();
    for (const target of [
      { kind: "delivery", id: newId("dlv", app.locator), reason: "by_hand" },
      { kind: "event", id: newId("evt", app.locator), reason: "by_hand" },
      { kind: "endpoint", id: newId("ep", app.locator), reason: "by_hand" },
    ] as const) {
      assert.deepEqual(await world().store.write.cancel(target, 10), { done: 0, more: false, ended: [] });
    }
  });
}

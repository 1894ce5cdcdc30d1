import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "../../base/ids.ts";
import type { World } from "./world.conformance.ts";

export function expungeStories(world: () => World): void {
  test("an expunged payload reads as none, its event and attempts stay", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await world().settle(sent, { kind: "delivered" });
    assert.equal(await world().store.write.remove({ kind: "payload", eventId: sent.eventId }), true);
    const event = await world().store.read.find("event", { id: sent.eventId });
    assert.equal(event?.payload, null);
    assert(event?.expungedAtMs);
    assert.equal((await world().attempts(sent.id)).length, 1);
    assert.equal(await world().store.write.remove({ kind: "payload", eventId: sent.eventId }), false);
    assert.equal(await world().store.write.remove({ kind: "payload", eventId: newId("evt") }), false);
  });

  test("zeroed bytes are never sent: a claim ends what a crash left waiting", async () => {
    const { app, endpoint } = await world().pair();
    const expunged = await world().publish(app, endpoint);
    const other = await world().publish(app, endpoint);
    await world().store.write.remove({ kind: "payload", eventId: expunged.eventId });
    const claimed = await world().claim(endpoint);
    assert.deepEqual(
      claimed.map(({ id }) => id),
      [other.id],
    );
    const { state, reason } = await world().delivery(expunged.id);
    assert.deepEqual({ state, reason }, { state: "cancelled", reason: "expunged" });
  });

  test("a removed app is gone with its endpoints; what it did stays on record", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await world().settle(sent, { kind: "delivered" });
    const waiting = await world().publish(app, endpoint);
    const acceptance = await world().acceptance(app, []);
    assert.equal(await world().store.write.remove({ kind: "app", id: app.id }), true);
    assert.equal(await world().store.read.config(app.id), undefined);
    assert.equal(await world().store.read.find("app", { id: app.id }), undefined);
    assert.equal(await world().store.read.find("endpoint", { id: endpoint }), undefined);
    assert.deepEqual(await world().accept(acceptance), { kind: "gone" });
    const target = { kind: "removed_endpoints", reason: "endpoint_deleted" } as const;
    await world().exhaust(() => world().store.write.cancel(target, 100));
    assert.equal((await world().delivery(waiting.id)).reason, "endpoint_deleted");
    assert.equal((await world().delivery(sent.id)).state, "delivered");
    const results = await world().store.write.redeliver([
      {
        id: newId("dlv"),
        eventId: sent.eventId,
        endpointId: endpoint,
        trigger: "redeliver",
        class: 1,
        expiresInMs: 1,
      },
    ]);
    assert.deepEqual(results, [{ kind: "no_endpoint" }]);
  });
}

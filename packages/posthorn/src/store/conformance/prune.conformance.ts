import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, DELIVERED, retryIn, type World } from "./world.conformance.ts";

export function pruneStories(world: () => World): void {
  const prune = () => world().exhaust(() => world().store.write.prune(3));
  const eventIsThere = async (id: string): Promise<boolean> =>
    (await world().store.read.find("event", { id })) !== undefined;

  test("what is past its app's retention goes, with its deliveries and attempts", async () => {
    const [short, long] = [await world().app({ retentionDays: 7 }), await world().app({ retentionDays: 90 })];
    const [shortEndpoint, longEndpoint] = [await world().endpoint(short), await world().endpoint(long)];
    const old = [];
    for (let n = 0; n < 8; n++) {
      const sent = await world().send(short, shortEndpoint);
      await world().settle(sent, DELIVERED);
      old.push(sent);
    }
    const kept = await world().send(long, longEndpoint);
    await world().settle(kept, DELIVERED);
    await world().store.advance(8 * DAY);
    const young = await world().send(short, shortEndpoint);
    await world().settle(young, DELIVERED);
    const results = await prune();
    const total = (pick: "events" | "deliveries" | "attempts"): number =>
      results.reduce((sum, each) => sum + each[pick], 0);
    assert.deepEqual([total("events"), total("deliveries"), total("attempts")], [8, 8, 8]);
    for (const { eventId, id } of old) {
      assert.equal(await eventIsThere(eventId), false);
      assert.equal(await world().store.read.find("delivery", { id }), undefined);
      assert.deepEqual(await world().attempts(id), []);
    }
    for (const { eventId, id } of [kept, young]) {
      assert.equal(await eventIsThere(eventId), true);
      assert.equal((await world().attempts(id)).length, 1);
    }
    assert((await world().store.read.health()).prunedAgoMs !== null);
  });

  test("an event stays while one of its deliveries is unfinished, and does not keep others back", async () => {
    const app = await world().app({ retentionDays: 7 });
    const endpoint = await world().endpoint(app);
    const stuck = await world().send(app, endpoint, { expiresInMs: 40 * DAY });
    await world().settle(stuck, retryIn(30 * DAY));
    // On a day of its own: a store may delete whole days.
    await world().store.advance(DAY);
    const done = await world().send(app, endpoint);
    await world().settle(done, DELIVERED);
    await world().store.advance(8 * DAY);
    await world().publish(app, endpoint);
    await prune();
    assert.equal(await eventIsThere(stuck.eventId), true);
    assert.equal(await eventIsThere(done.eventId), false);
    await world().store.write.cancel({ kind: "delivery", id: stuck.id, reason: "by_hand" }, 1);
    await prune();
    assert.equal(await eventIsThere(stuck.eventId), false);
  });

  test("a delivery made later keeps its event for as long as it is kept itself", async () => {
    const app = await world().app({ retentionDays: 7 });
    const endpoint = await world().endpoint(app);
    await world().store.advance(DAY);
    const sent = await world().send(app, endpoint);
    await world().settle(sent, DELIVERED);
    await world().store.advance(6 * DAY);
    const again = await world().redeliver(sent);
    await world().claim(endpoint);
    await world().settle(again, DELIVERED);
    await world().store.advance(2 * DAY);
    await world().publish(app, endpoint);
    await prune();
    assert.equal((await world().delivery(again.id)).eventId, sent.eventId);
    await world().store.advance(6 * DAY);
    await prune();
    assert.equal(await eventIsThere(sent.eventId), false);
    assert.equal(await world().store.read.find("delivery", { id: again.id }), undefined);
  });

  test("what a removed app left goes in its time", async () => {
    const app = await world().app({ retentionDays: 7 });
    const endpoint = await world().endpoint(app);
    const sent = await world().send(app, endpoint);
    await world().settle(sent, DELIVERED);
    await world().store.write.remove({ kind: "app", id: app.id });
    await world().exhaust(() =>
      world().store.write.cancel({ kind: "removed_endpoints", reason: "endpoint_deleted" }, 10),
    );
    await prune();
    assert.equal(await eventIsThere(sent.eventId), true);
    await world().store.advance(8 * DAY);
    const other = await world().pair();
    await world().publish(other.app, other.endpoint);
    await prune();
    assert.equal(await eventIsThere(sent.eventId), false);
    await world().store.advance(100 * DAY);
    await prune();
    assert.deepEqual((await world().store.read.list("delivery", { appId: app.id, limit: 10 })).data, []);
  });
}

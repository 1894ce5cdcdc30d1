import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, DELIVERED, retryIn, SECOND, type World } from "./world.conformance.ts";

export function timeStories(world: () => World): void {
  test("advance moves both sides, and a restart does not take it back", async () => {
    const { app, endpoint } = await world().pair();
    const before = await world().publish(app, endpoint);
    await world().store.advance(3 * DAY);
    const after = await world().publish(app, endpoint);
    const gapMs =
      (await world().delivery(after.id)).createdAtMs - (await world().delivery(before.id)).createdAtMs;
    assert(gapMs >= 3 * DAY && gapMs < 3 * DAY + 60 * SECOND, String(gapMs));
    await world().restart();
    const later = await world().publish(app, endpoint);
    assert((await world().delivery(later.id)).createdAtMs >= (await world().delivery(after.id)).createdAtMs);
    assert.equal((await world().claim(endpoint)).length, 3);
  });

  test("everything is there after a restart: configuration, queue, history, order", async () => {
    const { app, endpoint } = await world().pair({ ordering: "fifo" });
    const done = await world().send(app, endpoint, { orderKey: "" });
    await world().settle(done, DELIVERED);
    const waiting = await world().send(app, endpoint, { orderKey: "" });
    await world().settle(waiting, retryIn(60 * SECOND));
    const held = await world().publish(app, endpoint, { orderKey: "" });
    const snapshot = async () => ({
      config: await world().store.read.config(app.id),
      deliveries: (await world().store.read.list("delivery", { appId: app.id, limit: 10 })).data,
      event: await world().store.read.find("event", { id: held.eventId }),
      attempts: await world().attempts(waiting.id),
    });
    const before = await snapshot();
    await world().restart();
    const after = await snapshot();
    const lanes = [before, after].map(({ config }) => config?.endpoints[0]?.lane.failingForMs ?? 0);
    assert((lanes[1] as number) >= (lanes[0] as number));
    assert.deepEqual(
      JSON.parse(JSON.stringify(after, withoutAges)),
      JSON.parse(JSON.stringify(before, withoutAges)),
    );
    await world().store.advance(60 * SECOND);
    const [claimed] = await world().claim(endpoint);
    assert.equal(claimed?.id, waiting.id);
  });

  test("health tells what it stands on", async () => {
    const health = await world().store.read.health();
    assert.equal(health.accepting, true);
    assert(health.bytes > 0);
    assert(health.schemaVersion >= 1);
    assert.notEqual(health.durability, "");
  });
}

/** Ages grow while one looks, and a lane that a node owned is nobody's when that one has ended. */
function withoutAges(name: string, value: unknown): unknown {
  return ["failingForMs", "owner", "epoch"].includes(name) ? undefined : value;
}

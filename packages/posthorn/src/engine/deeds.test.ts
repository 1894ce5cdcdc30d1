// What people do to events, deliveries and replays, by the app that they may see, and what of it the audit log has.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { AppId } from "../base/ids.ts";
import { World } from "./engine-harness.ts";

const isNotFound = (error: { code?: string }) => error.code === "not_found";

describe("by hand", () => {
  let world: World;
  let app: AppId;
  let other: AppId;
  before(async () => {
    // Nothing is sent, so that deliveries stay pending and replays run.
    world = await World.open({ roles: [] });
    app = (await world.app("mine")) as AppId;
    other = (await world.app("theirs")) as AppId;
  });
  after(() => world.close());

  async function furnish() {
    const endpoint = await world.endpoint(app);
    const published = await world.publish(app, "order.created", { id: 1 });
    assert.equal(published.kind, "accepted");
    const event = published.kind === "accepted" ? published.id : "";
    const [delivery] = await world.deliveriesOf(event);
    const replayed = await world.engine.endpoints.replay(app, endpoint.id, { since: "2020-01-01T00:00:00Z" });
    assert.ok(delivery !== undefined && replayed.kind === "started");
    return { event, delivery: delivery.id, replay: replayed.replay.id };
  }

  test("each deed leaves one entry, one that is refused none", async () => {
    const { events, deliveries, replays, audit } = world.engine;
    const { event, delivery, replay } = await furnish();
    const made = await deliveries.redeliver(delivery, app);
    await deliveries.cancel(delivery, app);
    await assert.rejects(deliveries.cancel(delivery, app), { code: "state_conflict" });
    await replays.cancel(replay, app);
    await assert.rejects(replays.cancel(replay, app), { code: "state_conflict" });
    await events.expunge(event, app);
    const { data } = await audit.list({ app });
    const deeds = data.filter(({ action }) => /^(delivery|replay|event)\./.test(action));
    assert.deepEqual(
      deeds.map(({ action, target }) => [action, target]),
      [
        ["event.expunge", { kind: "event", id: event }],
        ["replay.cancel", { kind: "replay", id: replay }],
        ["delivery.cancel", { kind: "delivery", id: delivery }],
        ["delivery.redeliver", { kind: "delivery", id: delivery }],
        ["replay.start", { kind: "replay", id: replay }],
      ],
    );
    assert.equal(deeds[3]?.after?.madeId, made);
  });

  test("whoever may see one app alone finds nothing of another, and changes nothing there", async () => {
    const { events, deliveries, replays, audit } = world.engine;
    const { event, delivery, replay } = await furnish();
    const before = (await audit.list({ app })).data.length;
    const found = await world.deliveriesOf(event);
    for (const attempt of [
      () => events.get(event, other),
      () => events.expunge(event, other),
      () => deliveries.get(delivery, other),
      () => deliveries.redeliver(delivery, other),
      () => deliveries.cancel(delivery, other),
      () => replays.get(replay, other),
      () => replays.cancel(replay, other),
    ])
      await assert.rejects(attempt(), isNotFound);
    assert.notEqual((await events.get(event, app)).data, null);
    assert.deepEqual(await world.deliveriesOf(event), found);
    assert.equal((await replays.get(replay)).state, "running");
    assert.equal((await audit.list({ app })).data.length, before);
  });
});

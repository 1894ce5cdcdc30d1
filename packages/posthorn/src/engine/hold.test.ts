import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import { actAs, LIBRARY } from "./acting.ts";
import { SUCCEEDED, World } from "./engine-harness.ts";

const held = (error: unknown): boolean => error instanceof PosthornError && error.code === "held";

describe("a hold", () => {
  let world: World;
  let app: string;
  beforeEach(async () => {
    world = await World.open();
    app = await world.app();
  });
  afterEach(() => world.close());

  test("waits for what is under way, refuses what would change anything, and gives everything back", async () => {
    const endpoint = await world.endpoint(app, { inFlightMax: 1 });
    const answered = Promise.withResolvers<typeof SUCCEEDED>();
    world.transport.answer = () => answered.promise;
    const [first, second] = await Promise.all([
      world.publish(app, "order.created", { n: 1 }),
      world.publish(app, "order.created", { n: 2 }),
    ]);
    assert.ok(first?.kind === "accepted" && second?.kind === "accepted");
    await world.transport.shipped(1);
    const taking = world.engine.hold.take({ seconds: 60 });
    while ((await world.engine.health()).ready);
    answered.resolve(SUCCEEDED);
    const { sinceMs, untilMs } = await taking;
    assert.ok(untilMs - sinceMs > 59_000);

    const { data: leases } = await world.store.read.list("delivery", { states: ["pending"], limit: 10 });
    assert.deepEqual(
      leases.map(({ leased, eventId }) => [leased, eventId]),
      [[false, second.id]],
    );
    const refused = await world.publish(app, "order.created", { n: 3 });
    assert.ok(refused.kind === "refused" && refused.error.code === "held");
    assert.ok((refused.error.retryAfterSeconds ?? 0) > 0);
    await assert.rejects(world.engine.apps.create({ name: "another" }), held);
    await assert.rejects(world.engine.endpoints.act(app, endpoint.id, "pause"), held);
    await assert.rejects(world.engine.endpoints.remove(app, endpoint.id), held);
    await assert.rejects(world.engine.events.expunge(first.id), held);
    assert.equal((await world.engine.events.get(first.id)).event.id, first.id);
    assert.match((await world.engine.health()).problems.join(), /^Held until/);

    const prolonged = await world.engine.hold.take({ seconds: 600 });
    assert.equal(prolonged.sinceMs, sinceMs);
    assert.ok(prolonged.untilMs > untilMs);

    const ended = world.ended();
    await world.engine.hold.release();
    await ended;
    assert.deepEqual(world.transport.bodies().length, 2);
    assert.deepEqual((await world.engine.health()).problems, []);
    const next = world.ended();
    assert.equal((await world.publish(app, "order.created", { n: 4 })).kind, "accepted");
    await next;
    await world.engine.endpoints.act(app, endpoint.id, "pause");
  });

  test("ends by itself", async () => {
    await world.endpoint(app);
    await actAs(LIBRARY, () => world.engine.hold.take({ seconds: 1 }));
    const refused = await world.publish(app, "order.created", {});
    assert.equal(refused.kind, "refused");
    const ended = world.ended();
    while ((await world.publish(app, "order.created", {})).kind === "refused")
      await new Promise((resolve) => setTimeout(resolve, 20));
    await ended;
    const [expired] = (await world.engine.audit.list()).data;
    assert.deepEqual([expired?.action, expired?.actor], ["hold.expire", { kind: "system" }]);
  });

  test("that cannot be had is none: the server goes on", async () => {
    await world.endpoint(app);
    const { beat } = world.store.write;
    world.store.write.beat = () => Promise.reject(new Error("the disk failed"));
    await assert.rejects(world.engine.hold.take({ seconds: 3600 }), /the disk failed/);
    world.store.write.beat = beat.bind(world.store.write);
    const ended = world.ended();
    assert.equal((await world.publish(app, "order.created", {})).kind, "accepted");
    await ended;
    const { sinceMs } = await world.engine.hold.take({ seconds: 60 });
    assert.ok(sinceMs > 0);
    await world.engine.hold.release();
  });

  test("a server that stops while it is held stops", async () => {
    await world.engine.hold.take({ seconds: 3600 });
    await world.engine.stop();
  });

  test("must have an end", async () => {
    for (const input of [{}, { seconds: 0 }, { seconds: 3601 }, { seconds: 1, more: 1 }])
      await assert.rejects(world.engine.hold.take(input), PosthornError);
  });
});

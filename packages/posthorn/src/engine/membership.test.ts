// The heartbeat of an engine, on a store whose answers the test gives.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { monotonicMs } from "../base/clock.ts";
import type { Beat } from "../store/store.ts";
import { World } from "./engine-harness.ts";

describe("the heartbeat", { timeout: 20_000 }, () => {
  let world: World;
  let app: string;
  beforeEach(async () => {
    world = await World.open({ heartbeatMs: 5 });
    app = await world.app();
    await world.endpoint(app);
  });
  afterEach(() => world.close());

  /** From now on the store answers so; resolves when the engine has heard it. */
  async function beats(beat: Beat): Promise<void> {
    const heard = Promise.withResolvers<void>();
    let calls = 0;
    world.store.write.beat = async () => {
      calls += 1;
      if (calls === 2) heard.resolve();
      return beat;
    };
    await heard.promise;
  }

  test("beyond what it was told, no attempt starts; what waits is sent when it is told more", async () => {
    await beats({ alive: true, validUntilMs: monotonicMs(), dispatchers: 1, publishers: 1 });
    const outcome = await world.publish(app, "t", 1);
    assert.equal(outcome.kind, "accepted");
    const { ready, problems } = await world.engine.health();
    assert.equal(ready, false);
    assert.match(problems.join(), /no attempt starts/);
    assert.equal(world.transport.shipments.length, 0);
    const ended = world.ended();
    await beats({ alive: true, validUntilMs: Number.POSITIVE_INFINITY, dispatchers: 1, publishers: 1 });
    await ended;
    assert.equal((await world.engine.health()).ready, true);
  });

  test("on a store for one node, a node that was voided sends nothing any more, and says so", async () => {
    await beats({ alive: false, validUntilMs: 0, dispatchers: 0, publishers: 0 });
    const outcome = await world.publish(app, "t", 1);
    assert.equal(outcome.kind === "refused" && outcome.error.code, "stopping");
    assert.match((await world.engine.health()).problems.join(), /must be restarted/);
  });
});

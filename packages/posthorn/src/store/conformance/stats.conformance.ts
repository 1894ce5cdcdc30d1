import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointId } from "../../base/ids.ts";
import { type EndpointFigures, emptyFigures } from "../../domain/figures.ts";
import { retryIn, SECOND, type TestApp, type World } from "./world.conformance.ts";

const MINUTE = 60_000;

export function statsStories(world: () => World): void {
  function figures(app: TestApp, endpointId: EndpointId, delivered: number): EndpointFigures {
    const counted = emptyFigures();
    counted.created = delivered;
    counted.finals.delivered = delivered;
    counted.attempts.succeeded = delivered;
    counted.latency[3] = delivered;
    return { ...counted, endpointId, appId: app.id, filterError: null };
  }
  const everything = { sinceMs: 0, untilMs: 9e12 };

  test("figures add up within a minute, and stand minute by minute", async () => {
    const app = await world().app();
    const [one, two] = [await world().endpoint(app), await world().endpoint(app)];
    await world().store.write.record(world().node, [figures(app, one, 3), figures(app, two, 1)]);
    await world().store.write.record(world().node, [
      { ...figures(app, one, 2), filterErrors: 4, filterError: "no such key" },
    ]);
    await world().store.advance(2 * MINUTE);
    await world().store.write.record(world().node, [figures(app, one, 10)]);

    const stats = await world().store.read.stats({ appId: app.id, ...everything });
    assert.equal(stats.total.finals.delivered, 16);
    assert.equal(stats.total.attempts.succeeded, 16);
    assert.equal(stats.total.latency[3], 16);
    assert.equal(stats.total.filterErrors, 4);
    const last = stats.minutes.at(-1);
    assert.equal(last?.figures.created, 10);
    assert.equal((last?.atMs ?? 1) % MINUTE, 0);
    const onlyTwo = await world().store.read.stats({ appId: app.id, endpointId: two, ...everything });
    assert.equal(onlyTwo.total.created, 1);
    const window = await world().store.read.stats({ appId: app.id, sinceMs: last?.atMs ?? 0, untilMs: 9e12 });
    assert.equal(window.total.created, 10);
    const shown = await world().store.read.find("endpoint", { id: one });
    assert.deepEqual([shown?.filterErrors, shown?.filterError], [4, "no such key"]);
  });

  test("what two nodes recorded counts together", async () => {
    const { app, endpoint } = await world().pair();
    const old = world().node;
    await world().takeOver();
    await world().store.write.record(old, [figures(app, endpoint, 1)]);
    await world().store.write.record(world().node, [figures(app, endpoint, 2)]);
    assert.equal((await world().store.read.stats({ appId: app.id, ...everything })).total.created, 3);
  });

  test("pending ones are counted, leased or waiting, with the age of the oldest", async () => {
    const { app, endpoint } = await world().pair();
    const empty = await world().store.read.stats({ appId: app.id, ...everything });
    assert.deepEqual(
      { pending: empty.pending, capped: empty.pendingCapped, age: empty.oldestPendingAgeMs },
      { pending: 0, capped: false, age: null },
    );
    await world().settle(await world().send(app, endpoint), { kind: "delivered" });
    await world().settle(await world().send(app, endpoint), retryIn(MINUTE));
    await world().store.advance(30 * SECOND);
    await world().send(app, endpoint);
    const stats = await world().store.read.stats({ appId: app.id, ...everything });
    assert.equal(stats.pending, 2);
    assert((stats.oldestPendingAgeMs ?? 0) >= 30 * SECOND);
  });

  test("beyond 10,000 they are not counted on", async () => {
    const { app, endpoint } = await world().pair();
    const configVersion = await world().version(app);
    for (let n = 0; n < 6; n++) {
      const deliveries = Array.from({ length: 1800 }, () => world().newDelivery(app, endpoint));
      await world().accept(await world().acceptance(app, deliveries, { configVersion }));
    }
    const { pending, pendingCapped } = await world().store.read.stats({ appId: app.id, ...everything });
    assert.deepEqual({ pending, pendingCapped }, { pending: 10_000, pendingCapped: true });
  });

  test("figures of unknown endpoints are passed over", async () => {
    const { app, endpoint } = await world().pair();
    const stray = { ...figures(app, endpoint, 1), endpointId: "ep_none" as EndpointId };
    await world().store.write.record(world().node, [stray, figures(app, endpoint, 2)]);
    assert.equal((await world().store.read.stats({ appId: app.id, ...everything })).total.created, 2);
  });
}

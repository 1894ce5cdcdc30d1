import assert from "node:assert/strict";
import { test } from "node:test";
import { type EndpointId, newId } from "../../base/ids.ts";
import { DELIVERED, retryIn, SECOND, type World } from "./world.conformance.ts";

export function claimStories(world: () => World): void {
  test("a claim leases what is due, with everything that sending needs", async () => {
    const { app, endpoint } = await world().pair();
    const delivery = world().newDelivery(app, endpoint);
    const acceptance = await world().acceptance(app, [delivery], { event: { eventType: "order.paid" } });
    await world().accept(acceptance);
    const lane = await world().claimLane(endpoint);
    assert.equal(lane.more, false);
    const [claimed] = lane.deliveries;
    assert(claimed);
    assert.deepEqual(
      { ...claimed, payload: Buffer.from(claimed.payload) },
      {
        id: delivery.id,
        appId: app.id,
        endpointId: endpoint,
        eventId: acceptance.event.id,
        eventType: "order.paid",
        trigger: "publish",
        class: 0,
        orderKey: null,
        failures: 0,
        attempts: 0,
        hops: 0,
        payload: Buffer.from(acceptance.event.payload),
      },
    );
    assert.equal((await world().delivery(delivery.id)).leased, true);
    assert.deepEqual(await world().claim(endpoint), [], "nobody gets it twice");
    assert.equal(await world().isDue(endpoint), false);
  });

  test("lowest due time first, and never more than there is room for", async () => {
    const { app, endpoint } = await world().pair();
    const sent = [];
    for (let n = 0; n < 5; n++) sent.push(await world().publish(app, endpoint));
    const first = await world().claimLane(endpoint, 2);
    assert.equal(first.more, true);
    assert.equal(await world().isDue(endpoint), true);
    const rest = await world().claimLane(endpoint, 10);
    assert.equal(rest.more, false);
    assert.deepEqual(
      [...first.deliveries, ...rest.deliveries].map(({ id }) => id),
      sent.map(({ id }) => id),
    );
  });

  test("each class has its own room", async () => {
    const { app, endpoint } = await world().pair();
    const fresh = await world().publish(app, endpoint);
    const replayed = await world().redeliver(fresh, "replay", 2);
    const retried = await world().send(app, endpoint);
    await world().settle(retried, retryIn(0));
    const claim = (room: readonly [number, number, number], totalMax: number) =>
      world().store.write.claim({
        incarnation: world().node,
        lanes: [{ endpointId: endpoint, room, totalMax }],
        bytesMax: 1e6,
      });
    const [none] = await claim([0, 0, 0], 10);
    assert.deepEqual(none?.deliveries, []);
    assert.equal(none?.more, true);
    const [two] = await claim([1, 1, 0], 10);
    assert.deepEqual(
      two?.deliveries.map(({ id, class: each, failures, attempts }) => ({ id, each, failures, attempts })),
      [
        { id: fresh.id, each: 0, failures: 0, attempts: 0 },
        { id: retried.id, each: 1, failures: 1, attempts: 1 },
      ],
    );
    const [last] = await claim([5, 5, 5], 1);
    assert.deepEqual(
      last?.deliveries.map(({ id }) => id),
      [replayed.id],
    );
  });

  test("payload bytes are bounded over all lanes, but the first is always given", async () => {
    const { app, endpoint } = await world().pair();
    const other = await world().endpoint(app);
    for (const target of [endpoint, endpoint, other]) {
      const payload = Buffer.alloc(1000, 0x20);
      const acceptance = await world().acceptance(app, [world().newDelivery(app, target)], {
        event: { payload, dataStart: 0, dataEnd: 1000 },
      });
      await world().accept(acceptance);
    }
    const lanes = [endpoint, other].map((endpointId) => ({
      endpointId,
      room: [9, 9, 9] as const,
      totalMax: 9,
    }));
    const count = async (bytesMax: number): Promise<number[]> =>
      (await world().store.write.claim({ incarnation: world().node, lanes, bytesMax })).map(
        (lane) => lane.deliveries.length,
      );
    assert.deepEqual(await count(10), [1, 0]);
    assert.deepEqual(await count(2500), [1, 1]);
  });

  test("nothing is claimed of a lane that stands, and all of it once it runs", async () => {
    const { app, endpoint } = await world().pair();
    await world().publish(app, endpoint);
    for (const status of ["paused", "unverified", "disabled"] as const) {
      await world().store.write.save({
        kind: "endpoint_status",
        endpointId: endpoint,
        status,
        disableReason: status === "disabled" ? "by_hand" : null,
      });
      assert.equal(await world().isDue(endpoint), false, status);
      assert.deepEqual(await world().claim(endpoint), [], status);
    }
    await world().store.write.save({
      kind: "endpoint_status",
      endpointId: endpoint,
      status: "enabled",
      disableReason: null,
    });
    assert.equal(await world().isDue(endpoint), true);
    assert.equal((await world().claim(endpoint)).length, 1);
  });

  test("a voided node and an unknown lane get nothing", async () => {
    const { app, endpoint } = await world().pair();
    await world().publish(app, endpoint);
    const old = world().node;
    await world().takeOver();
    const lanes = [{ endpointId: endpoint, room: [9, 9, 9] as const, totalMax: 9 }];
    const [lane] = await world().store.write.claim({ incarnation: old, lanes, bytesMax: 1e6 });
    assert.deepEqual(lane?.deliveries, []);
    assert.deepEqual(await world().claim(newId("ep", app.locator)), []);
    assert.equal((await world().claim(endpoint)).length, 1);
  });

  test("what waits for later wakes its lane then, and the store says when", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await world().settle(sent, retryIn(10 * SECOND));
    assert.equal(await world().isDue(endpoint), false);
    const { nextInMs } = await world().store.read.dueLanes({ lanesMax: 1000 });
    assert(nextInMs !== null && nextInMs > 0 && nextInMs <= 10 * SECOND, String(nextInMs));
    await world().store.advance(10 * SECOND);
    assert.equal(await world().isDue(endpoint), true);
    const [claimed] = await world().claim(endpoint);
    assert.equal(claimed?.id, sent.id);
    await world().settle(sent, DELIVERED, { number: 2 });
  });

  test("due lanes come in pages, each lane once in a round", async () => {
    const app = await world().app();
    const endpoints: EndpointId[] = [];
    for (let n = 0; n < 7; n++) endpoints.push(await world().endpoint(app));
    // One event, so that all are due at the same moment.
    const deliveries = endpoints.map((endpoint) => world().newDelivery(app, endpoint));
    await world().accept(await world().acceptance(app, deliveries));
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await world().store.read.dueLanes({
        lanesMax: 3,
        ...(after === undefined ? {} : { after }),
      });
      assert(page.lanes.length <= 3);
      seen.push(...page.lanes.map(({ endpointId }) => endpointId));
      after = page.cursor ?? undefined;
    } while (after !== undefined);
    for (const endpoint of endpoints) assert.equal(seen.filter((each) => each === endpoint).length, 1);
  });
}

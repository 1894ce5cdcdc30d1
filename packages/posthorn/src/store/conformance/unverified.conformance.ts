/** Nothing is delivered to an endpoint that has not proved that it wants it; what waits for that ends after 72 h. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryId } from "../../base/ids.ts";
import { LIMITS } from "../../domain/defaults.ts";
import { DELIVERED, HOUR, retryIn, type Sent, type TestApp, type World } from "./world.conformance.ts";

const WAIT = LIMITS.unverifiedMsMax;

export function unverifiedStories(world: () => World): void {
  /** What ends now of one app: other stories left things behind. */
  async function expired(app: TestApp, slice = 100): Promise<DeliveryId[]> {
    const results = await world().exhaust(() => world().store.write.expire(slice));
    for (const { ended, done } of results) assert(ended.length === done && done <= slice);
    return results.flatMap(({ ended }) => ended.filter(({ appId }) => appId === app.id)).map(({ id }) => id);
  }

  test("deliveries are stored, held by the lane, and sent once it is enabled", async () => {
    const { app, endpoint } = await world().pair({ status: "unverified" });
    const sent = await world().publish(app, endpoint);
    assert.equal(await world().isDue(endpoint), false);
    assert.deepEqual(await world().claim(endpoint), []);
    await world().status(endpoint, "enabled");
    assert.equal(await world().isDue(endpoint), true);
    assert.deepEqual(
      (await world().claim(endpoint)).map(({ id }) => id),
      [sent.id],
    );
    await world().settle(sent, DELIVERED);
  });

  test("those endpoints are found without a look at the others", async () => {
    const { endpoint } = await world().pair({ status: "unverified" });
    await world().pair({ status: "paused" });
    const unverified = async () =>
      (await world().store.read.list("endpoint", { limit: 250, unverified: true })).data.map(
        ({ endpoint: { id, status } }) => ({ id, status }),
      );
    assert((await unverified()).some(({ id }) => id === endpoint));
    assert((await unverified()).every(({ status }) => status === "unverified"));
    await world().status(endpoint, "enabled");
    assert((await unverified()).every(({ id }) => id !== endpoint));
  });

  test("after 72 h they are dead-lettered as expired, and not before", async () => {
    const { app, endpoint } = await world().pair({ status: "unverified" });
    const bystander = await world().pair({ status: "paused" });
    const paused = await world().publish(bystander.app, bystander.endpoint);
    const old = await world().publish(app, endpoint);
    await world().store.advance(WAIT / 2);
    const young = await world().publish(app, endpoint);
    await world().store.advance(WAIT / 2 - HOUR);
    assert.deepEqual(await expired(app), []);
    await world().store.advance(HOUR);
    const results = await world().exhaust(() => world().store.write.expire(100));
    assert.deepEqual(
      results.flatMap(({ ended }) => ended.filter(({ appId }) => appId === app.id)),
      [{ ...old, eventType: "order.created", state: "dead_lettered", reason: "expired" }],
    );
    await world().store.advance(WAIT / 2);
    assert.deepEqual(await expired(app), [young.id]);
    assert.equal((await world().delivery(paused.id)).state, "pending");
  });

  test("the time counts from when the endpoint became unverified", async () => {
    const { app, endpoint } = await world().pair({ status: "paused" });
    const sent = await world().publish(app, endpoint);
    await world().store.advance(WAIT);
    await world().status(endpoint, "unverified");
    await world().store.advance(WAIT - HOUR);
    assert.deepEqual(await expired(app), []);
    await world().store.advance(HOUR);
    assert.deepEqual(await expired(app), [sent.id]);
  });

  test("changes that leave it unverified do not begin the time anew; another status does", async () => {
    const { app, endpoint } = await world().pair({ status: "unverified" });
    const other = await world().endpoint(app, { status: "unverified" });
    const [sent, spared] = [await world().publish(app, endpoint), await world().publish(app, other)];
    await world().store.advance(WAIT / 2);
    const facts = { id: endpoint, url: "https://new.example/", status: "unverified" } as const;
    const changed = world().endpointChange(world().endpointOf(app, facts));
    assert.deepEqual(await world().store.write.save(changed), { kind: "saved" });
    await world().status(endpoint, "unverified");
    await world().status(other, "paused");
    await world().store.write.save(
      world().endpointChange(world().endpointOf(app, { id: other, version: 2, status: "unverified" })),
    );
    await world().store.advance(WAIT / 2);
    assert.deepEqual(await expired(app), [sent.id]);
    assert.equal((await world().delivery(spared.id)).state, "pending");
    await world().store.advance(WAIT / 2);
    assert.deepEqual(await expired(app), [spared.id]);
  });

  test("what is verified in time is not ended, nor what is under way or scheduled for later", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const failed = await world().send(app, endpoint);
    await world().settle(failed, retryIn(HOUR));
    const scheduled = world().newDelivery(app, endpoint);
    const { createdAtMs } = await world().delivery(sent.id);
    const acceptance = await world().acceptance(app, [scheduled], {
      event: { deliverAtMs: createdAtMs + 3 * WAIT },
    });
    await world().accept(acceptance);
    await world().status(endpoint, "unverified");
    await world().store.advance(WAIT + 2 * HOUR);
    assert.deepEqual(await expired(app), [failed.id]);
    assert.equal((await world().delivery(sent.id)).leased, true);
    assert.equal((await world().delivery(scheduled.id)).state, "pending");
    await world().status(endpoint, "enabled");
    await world().store.advance(3 * WAIT);
    assert.deepEqual(await expired(app), []);
    assert.deepEqual(
      (await world().claim(endpoint)).map(({ id }) => id),
      [scheduled.id],
    );
    await world().settle(sent, DELIVERED);
  });

  test("an ordered lane ends as a whole, in slices, whoever is at its head", async () => {
    const app = await world().app();
    const all: Sent[] = [];
    for (const onDeadLetter of ["continue", "block"] as const) {
      const facts = { status: "unverified", ordering: "fifo", onDeadLetter } as const;
      const endpoint = await world().endpoint(app, facts);
      for (let n = 0; n < 5; n++) all.push(await world().publish(app, endpoint, { orderKey: "" }));
    }
    await world().store.advance(WAIT - HOUR);
    const young = await world().publish(app, all[0]?.endpointId as Sent["endpointId"], { orderKey: "" });
    await world().store.advance(HOUR);
    assert.deepEqual((await expired(app, 2)).toSorted(), all.map(({ id }) => id).toSorted());
    const { state, hold } = await world().delivery(young.id);
    assert.deepEqual({ state, hold }, { state: "pending", hold: null }, "its turn has come");
  });

  test("many endpoints are looked at in slices, and none is passed over", async () => {
    const app = await world().app();
    const sent: Sent[] = [];
    for (let n = 0; n < 7; n++) {
      const endpoint = await world().endpoint(app, { status: "unverified" });
      if (n % 2 === 0) sent.push(await world().publish(app, endpoint));
    }
    await world().store.advance(WAIT);
    assert.deepEqual((await expired(app, 3)).toSorted(), sent.map(({ id }) => id).toSorted());
    const late = await world().publish(app, sent[0]?.endpointId as Sent["endpointId"]);
    await world().store.advance(WAIT);
    assert.deepEqual(await expired(app, 3), [late.id]);
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { newAppId, newId } from "../../base/ids.ts";
import { DAY, HOUR, OK, SECOND, type World } from "./world.conformance.ts";

export function acceptStories(world: () => World): void {
  test("an accepted event is there with its deliveries, byte for byte", async () => {
    const { app, endpoint } = await world().pair();
    const payload = Buffer.from(
      '{"type":"a.b","timestamp":"t","data": {"2":1, "1":2,"n":9007199254740993,"d":1.0} }',
    );
    const delivery = world().newDelivery(app, endpoint);
    const acceptance = await world().acceptance(app, [delivery], {
      event: {
        payload,
        dataStart: 37,
        dataEnd: payload.length - 1,
        channels: ["eu", "vip"],
        uid: "order-1",
        orderingKey: "k",
      },
    });
    assert.deepEqual(await world().accept(acceptance), { kind: "accepted", unleased: [] });

    const event = await world().store.read.find("event", { id: acceptance.event.id });
    assert(event?.payload);
    assert.deepEqual(Buffer.from(event.payload), payload);
    const { payload: _, acceptedAtMs, ...rest } = event;
    assert(acceptedAtMs > 0);
    const { payload: __, ...given } = acceptance.event;
    assert.deepEqual(rest, { ...given, payloadBytes: payload.length, expungedAtMs: null, fanOut: "done" });

    const { createdAtMs, dueAtMs, expiresAtMs, ...facts } = await world().delivery(delivery.id);
    assert.equal(dueAtMs, createdAtMs);
    assert.equal(expiresAtMs, createdAtMs + 10 * DAY);
    assert.deepEqual(facts, {
      id: delivery.id,
      appId: app.id,
      endpointId: endpoint,
      eventId: event.id,
      eventType: "order.created",
      trigger: "publish",
      state: "pending",
      reason: null,
      hold: null,
      attempts: 0,
      leased: false,
      finishedAtMs: null,
    });
  });

  test("payloads of every size come back as they were, a slice of a shared buffer too", async () => {
    const { app, endpoint } = await world().pair();
    for (const size of [2, 1000, 5000, 70_000, 1024 * 1024]) {
      const pool = Buffer.alloc(size + 20, 0x20);
      const payload = pool.subarray(10, 10 + size);
      payload.write("{}", size - 2);
      const acceptance = await world().acceptance(app, [world().newDelivery(app, endpoint)], {
        event: { payload, dataStart: 0, dataEnd: size },
      });
      assert.equal((await world().accept(acceptance)).kind, "accepted");
      const event = await world().store.read.find("event", { id: acceptance.event.id });
      assert.deepEqual(Buffer.from(event?.payload ?? []), payload);
    }
  });

  test("a wanted delivery is leased to the living node, and to no other", async () => {
    const { app, endpoint } = await world().pair();
    const mine = await world().send(app, endpoint);
    assert.equal((await world().delivery(mine.id)).leased, true);
    assert.equal(await world().isDue(endpoint), false, "what is leased wakes no lane");

    const other = world().newDelivery(app, endpoint, { lease: newId("inc") });
    const result = await world().accept(await world().acceptance(app, [other]));
    assert.deepEqual(result, { kind: "accepted", unleased: [other.id] });
    assert.equal((await world().delivery(other.id)).leased, false);
    assert.equal(await world().isDue(endpoint), true);
  });

  test("deliverAt sets the due time, and the deadline counts from there", async () => {
    const { app, endpoint } = await world().pair();
    const { acceptedAtMs: nowMs = 0 } =
      (await world().store.read.find("event", { id: (await world().send(app, endpoint)).eventId })) ?? {};
    const delivery = world().newDelivery(app, endpoint, { lease: world().node });
    const deliverAtMs = nowMs + HOUR;
    const acceptance = await world().acceptance(app, [delivery], { event: { deliverAtMs } });
    assert.deepEqual(await world().accept(acceptance), { kind: "accepted", unleased: [delivery.id] });
    const { dueAtMs, expiresAtMs } = await world().delivery(delivery.id);
    assert.equal(dueAtMs, deliverAtMs);
    assert.equal(expiresAtMs, deliverAtMs + 10 * DAY);
    assert.equal(await world().isDue(endpoint), false);
    await world().store.advance(HOUR + SECOND);
    assert.equal(await world().isDue(endpoint), true);
  });

  test("another configVersion is stale, for that event alone", async () => {
    const { app, endpoint } = await world().pair();
    const fresh = await world().acceptance(app, [world().newDelivery(app, endpoint)]);
    const stale = await world().acceptance(app, [world().newDelivery(app, endpoint)], {
      configVersion: fresh.configVersion - 1,
    });
    const results = await world().store.write.accept([stale, fresh]);
    assert.deepEqual(results, [{ kind: "stale" }, { kind: "accepted", unleased: [] }]);
    assert.equal(await world().store.read.find("event", { id: stale.event.id }), undefined);
  });

  test("an app that is not there is gone", async () => {
    const { app, endpoint } = await world().pair();
    const acceptance = await world().acceptance(app, [world().newDelivery(app, endpoint)], {
      event: { appId: newAppId() },
    });
    assert.deepEqual(await world().accept(acceptance), { kind: "gone" });
  });

  test("one bad element fails alone, and leaves nothing behind", async () => {
    const { app, endpoint } = await world().pair();
    const good = await world().acceptance(app, [world().newDelivery(app, endpoint)]);
    const bad = await world().acceptance(app, [
      world().newDelivery(app, endpoint),
      world().newDelivery(app, newId("ep", app.locator)),
    ]);
    const alsoGood = await world().acceptance(app, [world().newDelivery(app, endpoint)]);
    const results = await world().store.write.accept([good, bad, alsoGood]);
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ["accepted", "failed", "accepted"],
    );
    assert.equal(await world().store.read.find("event", { id: bad.event.id }), undefined);
    for (const { id } of bad.deliveries)
      assert.equal(await world().store.read.find("delivery", { id }), undefined);
    assert.equal((await world().store.read.stats({ appId: app.id, sinceMs: 0, untilMs: 1 })).pending, 2);
    assert.equal((await world().claim(endpoint)).length, 2);
  });

  test("a batch larger than a transaction is stored whole, its answers in order", async () => {
    const { app, endpoint } = await world().pair();
    const configVersion = await world().version(app);
    const batch = await Promise.all(
      Array.from({ length: 2500 }, (_, index) =>
        world().acceptance(app, index % 1000 === 7 ? [] : [world().newDelivery(app, endpoint)], {
          configVersion,
        }),
      ),
    );
    const results = await world().store.write.accept(batch);
    assert.equal(results.length, 2500);
    assert(results.every(({ kind }) => kind === "accepted"));
    const stats = await world().store.read.stats({ appId: app.id, sinceMs: 0, untilMs: 1 });
    assert.equal(stats.pending, 2497);
  });

  test("the source's position is committed with the event and survives being set again", async () => {
    const { app, endpoint } = await world().pair();
    for (const position of ["1", "2"]) {
      const source = { sourceId: "src_orders", position: Buffer.from(position) };
      const acceptance = await world().acceptance(app, [world().newDelivery(app, endpoint)], { source });
      assert.equal((await world().accept(acceptance)).kind, "accepted");
    }
  });

  test("everything at once: calls made together are answered each for itself", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const acceptance = await world().acceptance(app, [world().newDelivery(app, endpoint)]);
    const [accepted, settled, claimed, saved] = await Promise.all([
      world().store.write.accept([acceptance]),
      world().store.write.settle([world().settlement(sent, { kind: "delivered" }, { outcome: OK })], []),
      world().claim(endpoint),
      world().store.write.save({ kind: "unblock", endpointId: newId("ep", app.locator) }),
    ]);
    assert.equal(accepted[0]?.kind, "accepted");
    assert.equal(settled[0]?.kind, "settled");
    // Whether the claim came before or after the accept is the store's affair.
    const [got] = claimed.length > 0 ? claimed : await world().claim(endpoint);
    assert.equal(got?.id, acceptance.deliveries[0]?.id);
    assert.deepEqual(saved, { kind: "missing" });
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointId } from "../../base/ids.ts";
import type { Endpoint } from "../../domain/endpoint.ts";
import { fingerprint, type TestApp, type World } from "./world.conformance.ts";

export function fanOutStories(world: () => World): void {
  async function wide(
    count: number,
    facts: Partial<Endpoint> = {},
  ): Promise<{ app: TestApp; endpoints: EndpointId[] }> {
    const app = await world().app();
    const endpoints: EndpointId[] = [];
    for (let n = 0; n < count; n++) endpoints.push(await world().endpoint(app, facts));
    return { app, endpoints };
  }
  const extend = (max: number) => world().exhaust(() => world().store.write.extendFanOut(max));

  test("a wide event is continued in chunks until each of its endpoints has one delivery", async () => {
    const { app, endpoints } = await wide(7);
    const idempotency = [{ key: "key:wide", fingerprint: fingerprint("1") }];
    const acceptance = await world().acceptance(app, [], { fanOut: endpoints, idempotency });
    await world().accept(acceptance);
    const eventId = acceptance.event.id;
    assert.equal((await world().store.read.find("event", { id: eventId }))?.fanOut, "pending");
    const pending = { kind: "duplicate", eventId, deliveries: 7, fanOut: "pending" };
    assert.deepEqual(await world().accept(await world().acceptance(app, [], { idempotency })), pending);

    assert.deepEqual(await world().store.write.extendFanOut(3), { done: 3, more: true });
    const rest = await extend(3);
    assert.equal(
      rest.reduce((sum, { done }) => sum + done, 0),
      4,
    );
    assert.equal((await world().store.read.find("event", { id: eventId }))?.fanOut, "done");
    assert.deepEqual(await world().accept(await world().acceptance(app, [], { idempotency })), {
      ...pending,
      fanOut: "done",
    });
    const { data } = await world().store.read.list("delivery", { eventId, limit: 100 });
    assert.deepEqual(data.map(({ endpointId }) => endpointId).sort(), [...endpoints].sort());
    for (const endpoint of endpoints) {
      const [claimed] = await world().claim(endpoint);
      assert.equal(claimed?.class, 1);
      assert.equal(claimed?.trigger, "publish");
    }
  });

  test("the set of endpoints is frozen: later ones are not reached, removed ones passed over", async () => {
    const { app, endpoints } = await wide(3);
    const acceptance = await world().acceptance(app, [], { fanOut: endpoints });
    await world().accept(acceptance);
    const late = await world().endpoint(app);
    await world().store.write.remove({ kind: "endpoint", id: endpoints[1] as EndpointId });
    await extend(100);
    const { data } = await world().store.read.list("delivery", { eventId: acceptance.event.id, limit: 100 });
    assert.deepEqual(data.map(({ endpointId }) => endpointId).sort(), [endpoints[0], endpoints[2]].sort());
    assert.deepEqual(await world().claim(late), []);
  });

  test("it goes on after a restart where it stood", async () => {
    const { app, endpoints } = await wide(5);
    const acceptance = await world().acceptance(app, [], { fanOut: endpoints });
    await world().accept(acceptance);
    await world().store.write.extendFanOut(2);
    await world().restart();
    await extend(2);
    const { data } = await world().store.read.list("delivery", { eventId: acceptance.event.id, limit: 100 });
    assert.deepEqual(data.map(({ endpointId }) => endpointId).sort(), [...endpoints].sort());
  });

  test("cancelling the event ends what is still to come", async () => {
    const { app, endpoints } = await wide(4);
    const acceptance = await world().acceptance(app, [], { fanOut: endpoints });
    await world().accept(acceptance);
    await world().store.write.extendFanOut(1);
    const { ended } = await world().store.write.cancel(
      { kind: "event", id: acceptance.event.id, reason: "expunged" },
      100,
    );
    assert.equal(ended.length, 1);
    assert.deepEqual(await world().store.write.extendFanOut(100), { done: 0, more: false });
  });

  test("ordered endpoints keep their order within a fan-out too", async () => {
    const { app, endpoints } = await wide(1, { ordering: "fifo" });
    const [endpoint] = endpoints as [EndpointId];
    const head = await world().send(app, endpoint, { orderKey: "" });
    await world().accept(await world().acceptance(app, [], { fanOut: endpoints }));
    await extend(10);
    assert.deepEqual(await world().claim(endpoint), []);
    await world().settle(head, { kind: "delivered" });
    assert.equal((await world().claim(endpoint)).length, 1);
  });
}

/** Through how many webhooks an event came: it goes with its deliveries, so that a loop can be seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DELIVERED, retryIn, type World } from "./world.conformance.ts";

export function hopsStories(world: () => World): void {
  test("an event keeps them, in lists and one by one; each claim of its deliveries has them", async () => {
    const { app, endpoint } = await world().pair();
    for (const hops of [0, 1, 8]) {
      const delivery = world().newDelivery(app, endpoint);
      const payload = Buffer.alloc(20_000, "x");
      const acceptance = await world().acceptance(app, [delivery], {
        event: { hops, payload, dataStart: 0, dataEnd: 1 },
      });
      await world().accept(acceptance);
      const { id: eventId } = acceptance.event;
      const event = await world().store.read.find("event", { id: eventId });
      assert.deepEqual([event?.hops, event?.payload?.length], [hops, 20_000]);
      const [listed] = (await world().store.read.list("event", { appId: app.id, limit: 1 })).data;
      assert.deepEqual([listed?.id, listed?.hops], [eventId, hops]);

      const sent = { id: delivery.id, appId: app.id, endpointId: endpoint, eventId };
      const claimed = async () => (await world().claim(endpoint)).map((each) => [each.id, each.hops]);
      assert.deepEqual(await claimed(), [[sent.id, hops]]);
      await world().settle(sent, retryIn(0));
      assert.deepEqual(await claimed(), [[sent.id, hops]], "a retry");
      await world().settle(sent, DELIVERED, { number: 2 });
      const again = await world().redeliver(sent);
      assert.deepEqual(await claimed(), [[again.id, hops]], "a redelivery");
      await world().settle(again, DELIVERED);
    }
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { newId, type ReplayId } from "../../base/ids.ts";
import type { Redelivery, ReplayStep } from "../store.ts";
import { DAY, DELIVERED, type Sent, type TestApp, type World } from "./world.conformance.ts";

export function redeliverStories(world: () => World): void {
  function redelivery(app: TestApp, sent: Sent, facts: Partial<Redelivery> = {}): Redelivery {
    const { eventId, endpointId } = sent;
    const id = newId("dlv", app.locator);
    return { id, eventId, endpointId, trigger: "redeliver", class: 1, expiresInMs: DAY, ...facts };
  }

  test("a redelivery is a new delivery of the same event; the old one stays as it ended", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await world().settle(sent, DELIVERED);
    const again = await world().redeliver(sent);
    const [claimed] = await world().claim(endpoint);
    assert.deepEqual(
      { id: claimed?.id, eventId: claimed?.eventId, trigger: claimed?.trigger, attempts: claimed?.attempts },
      { id: again.id, eventId: sent.eventId, trigger: "redeliver", attempts: 0 },
    );
    assert.equal((await world().delivery(sent.id)).state, "delivered");
  });

  test("answers stand in order, each for itself", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().publish(app, endpoint);
    const expunged = await world().publish(app, endpoint);
    await world().store.write.remove({ kind: "payload", eventId: expunged.eventId });
    const stranger = await world().pair();
    const results = await world().store.write.redeliver([
      redelivery(app, sent, { eventId: newId("evt", app.locator) }),
      redelivery(app, sent, { endpointId: newId("ep", app.locator) }),
      redelivery(app, sent, { endpointId: stranger.endpoint }),
      redelivery(app, expunged),
      redelivery(app, sent),
    ]);
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ["no_event", "no_endpoint", "no_endpoint", "expunged", "created"],
    );
  });

  test("a replay goes step by step: deliveries and cursor together, each step once", async () => {
    const { app, endpoint } = await world().pair();
    const sent = [await world().publish(app, endpoint), await world().publish(app, endpoint)];
    const gone = { ...(sent[0] as Sent), eventId: newId("evt", app.locator) };
    const id = await replay(app, endpoint);
    const step = (facts: Partial<ReplayStep>): ReplayStep => ({
      replayId: id,
      fromCursor: null,
      cursor: null,
      examined: 0,
      redeliveries: [],
      finished: false,
      ...facts,
    });
    const made = redelivery(app, sent[0] as Sent, { trigger: "replay", class: 2 });
    const first = step({ cursor: "7", examined: 5, redeliveries: [made, redelivery(app, gone)] });
    assert.equal(await world().store.write.advanceReplay(first), true);
    assert.equal(await world().store.write.advanceReplay(first), false, "someone took this step already");
    assert.equal((await world().delivery(made.id)).trigger, "replay");
    const running = await world().store.read.find("replay", { id });
    assert.deepEqual(
      {
        state: running?.state,
        cursor: running?.cursor,
        examined: running?.examined,
        created: running?.created,
      },
      { state: "running", cursor: "7", examined: 5, created: 1 },
    );
    assert.equal(
      await world().store.write.advanceReplay(
        step({ fromCursor: "7", cursor: "9", examined: 2, finished: true }),
      ),
      true,
    );
    assert.equal(
      await world().store.write.advanceReplay(step({ fromCursor: "9" })),
      false,
      "it has finished",
    );
    const finished = await world().store.read.find("replay", { id });
    assert.deepEqual(
      { state: finished?.state, examined: finished?.examined },
      { state: "finished", examined: 7 },
    );
    assert(finished?.finishedAtMs);
  });

  test("a cancelled replay takes no further step", async () => {
    const { app, endpoint } = await world().pair();
    const id = await replay(app, endpoint);
    assert.deepEqual(await world().store.write.save({ kind: "replay_cancelled", id }), { kind: "saved" });
    assert.deepEqual(await world().store.write.save({ kind: "replay_cancelled", id }), { kind: "missing" });
    const step = {
      replayId: id,
      fromCursor: null,
      cursor: "1",
      examined: 1,
      redeliveries: [],
      finished: false,
    };
    assert.equal(await world().store.write.advanceReplay(step), false);
    assert.equal((await world().store.read.find("replay", { id }))?.state, "cancelled");
  });

  test("running replays can be listed, and end with their endpoint", async () => {
    const { app, endpoint } = await world().pair();
    const id = await replay(app, endpoint);
    const running = async () =>
      (await world().store.read.list("replay", { appId: app.id, states: ["running"], limit: 10 })).data.map(
        (each) => each.id,
      );
    assert.deepEqual(await running(), [id]);
    await world().store.write.remove({ kind: "endpoint", id: endpoint });
    assert.deepEqual(await running(), []);
  });

  async function replay(app: TestApp, endpointId: Sent["endpointId"]): Promise<ReplayId> {
    const id = newId("rpl", app.locator);
    const facts = {
      id,
      appId: app.id,
      endpointId,
      sinceMs: 0,
      untilMs: 9e12,
      states: [],
      eventTypes: ["order.*"],
    };
    assert.deepEqual(await world().store.write.save({ kind: "replay", replay: facts }), { kind: "saved" });
    return id;
  }
}

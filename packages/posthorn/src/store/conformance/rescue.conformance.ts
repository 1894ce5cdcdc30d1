import assert from "node:assert/strict";
import { test } from "node:test";
import { DELIVERED, retryIn, SECOND, type World } from "./world.conformance.ts";

export function rescueStories(world: () => World): void {
  const rescue = () => world().exhaust(() => world().store.write.rescue(10));

  test("a node that retired is void, and no beat revives it", async () => {
    const old = world().node;
    const alive = async (node: typeof old): Promise<boolean> => (await world().store.write.beat(node)).alive;
    assert.equal(await alive(old), true);
    await world().takeOver();
    assert.equal(await alive(old), false);
    assert.equal(await alive(world().node), true);
    const nodes = (await world().store.read.list("node", { limit: 10 })).data;
    assert.deepEqual(
      nodes.map(({ id, state }) => [id, state]),
      [
        [world().node, "alive"],
        [old, "retired"],
      ],
    );
    assert.equal((await world().store.read.find("node", { id: old }))?.name, "test");
  });

  test("a node can ask what is leased to it, page by page", async () => {
    const { app, endpoint } = await world().pair();
    const sent = [];
    for (let n = 0; n < 3; n++) sent.push(await world().send(app, endpoint));
    await world().publish(app, endpoint);
    const { node } = world();
    const first = await world().store.read.leases(node, { limit: 2 });
    const after = first.at(-1)?.deliveryId;
    assert(after);
    const rest = await world().store.read.leases(node, { limit: 2, after });
    assert.deepEqual(
      [...first, ...rest],
      sent.map(({ id, ...facts }) => ({ deliveryId: id, ...facts })),
    );
    assert.equal((await world().store.read.find("node", { id: node }))?.leased, 3);
    for (const each of sent) await world().settle(each, DELIVERED);
    assert.deepEqual(await world().store.read.leases(node, { limit: 2 }), []);
  });

  test("what a crash left leased gets an `unknown` attempt and is due at once", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const settled = await world().send(app, endpoint);
    await world().settle(settled, DELIVERED);
    await world().restart();
    assert.equal(await world().isDue(endpoint), false);
    await rescue();
    const { state, leased, attempts } = await world().delivery(sent.id);
    assert.deepEqual({ state, leased, attempts }, { state: "pending", leased: false, attempts: 0 });
    const [attempt] = await world().attempts(sent.id);
    assert.deepEqual(attempt?.outcome, { kind: "unknown" });
    assert.equal(attempt?.number, 1);
    assert.equal(await world().isDue(endpoint), true);
    const [claimed] = await world().claim(endpoint);
    assert.deepEqual(
      { id: claimed?.id, failures: claimed?.failures, attempts: claimed?.attempts },
      { id: sent.id, failures: 0, attempts: 1 },
    );
    assert.equal((await world().attempts(settled.id)).length, 1);
  });

  test("the living node keeps what it holds", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await rescue();
    assert.equal((await world().delivery(sent.id)).leased, true);
  });

  test("it goes in slices", async () => {
    const { app, endpoint } = await world().pair();
    const sent = [];
    for (let n = 0; n < 5; n++) sent.push(await world().send(app, endpoint));
    await rescue();
    await world().takeOver();
    const first = await world().store.write.rescue(3);
    assert.deepEqual({ done: first.done, more: first.more }, { done: 3, more: true });
    await rescue();
    for (const { id } of sent) assert.equal((await world().attempts(id)).length, 1);
    assert.equal((await world().claim(endpoint)).length, 5);
  });

  test("the third unknown in a row counts as a failed attempt, and waits by the schedule", async () => {
    const { app, endpoint } = await world().pair({ retrySchedule: [100, 200] });
    const sent = await world().send(app, endpoint);
    for (const round of [1, 2, 3]) {
      await world().takeOver();
      await rescue();
      const { attempts, dueAtMs } = await world().delivery(sent.id);
      assert.equal(attempts, round === 3 ? 1 : 0);
      assert(dueAtMs);
      if (round < 3) assert.equal((await world().claim(endpoint)).length, 1);
    }
    assert.deepEqual(await world().claim(endpoint), []);
    await world().store.advance(100 * SECOND);
    const [claimed] = await world().claim(endpoint);
    assert.deepEqual(
      { failures: claimed?.failures, attempts: claimed?.attempts },
      { failures: 1, attempts: 3 },
    );
  });

  test("a real outcome between them begins the row anew", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    for (let round = 0; round < 4; round++) {
      await world().takeOver();
      await rescue();
      await world().claim(endpoint);
      if (round !== 1) continue;
      await world().settle(sent, retryIn(0), { number: 3 });
      await world().claim(endpoint);
    }
    const { state, attempts } = await world().delivery(sent.id);
    assert.deepEqual({ state, attempts }, { state: "pending", attempts: 1 });
  });

  test("with no retry left the third unknown dead-letters", async () => {
    const { app, endpoint } = await world().pair({ retrySchedule: [] });
    const sent = await world().send(app, endpoint);
    const exhausted = [];
    for (let round = 0; round < 3; round++) {
      await world().takeOver();
      exhausted.push(...(await rescue()).flatMap((result) => result.exhausted));
      await world().claim(endpoint);
    }
    assert.deepEqual(exhausted, [
      { ...sent, eventType: "order.created", state: "dead_lettered", reason: "attempts_exhausted" },
    ]);
    assert.equal((await world().attempts(sent.id)).length, 3);
    assert.equal((await world().delivery(sent.id)).attempts, 1);
  });
}

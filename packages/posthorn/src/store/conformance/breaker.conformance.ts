import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointId } from "../../base/ids.ts";
import type { BreakerState } from "../../domain/breaker.ts";
import { DELIVERED, HOUR, OK, retryIn, SECOND, type World } from "./world.conformance.ts";

export function breakerStories(world: () => World): void {
  async function lane(endpoint: EndpointId) {
    const found = await world().store.read.find("endpoint", { id: endpoint });
    assert(found);
    return found.lane;
  }

  async function setBreaker(endpointId: EndpointId, state: BreakerState, probeInMs = 30 * SECOND) {
    const { epoch } = await lane(endpointId);
    return world().store.write.settle(
      [],
      [{ incarnation: world().node, epoch, endpointId, state, probeInMs }],
    );
  }

  test("an open breaker holds its lane until the probe, and outlives a restart", async () => {
    const { app, endpoint } = await world().pair();
    await world().publish(app, endpoint);
    await world().publish(app, endpoint);
    assert.deepEqual(await setBreaker(endpoint, "open"), []);
    assert.equal(await world().isDue(endpoint), false);
    await world().restart();
    assert.equal((await lane(endpoint)).breaker, "open");
    assert.equal(await world().isDue(endpoint), false);
    await world().store.advance(30 * SECOND);
    assert.equal(await world().isDue(endpoint), true);
    assert.equal((await world().claim(endpoint, 1)).length, 1);
    assert.equal(await world().isDue(endpoint), false, "one due delivery each 30 s, no more");
    await world().store.advance(30 * SECOND);
    assert.equal(await world().isDue(endpoint), true);
    await setBreaker(endpoint, "half_open");
    assert.equal(await world().isDue(endpoint), true);
    await setBreaker(endpoint, "closed");
    assert.equal((await lane(endpoint)).breaker, "closed");
  });

  test("failures of the endpoint are counted until a success ends them", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await world().settle(sent, retryIn(0));
    assert.equal((await lane(endpoint)).failingForMs !== null, true);
    await world().store.advance(HOUR);
    await world().claim(endpoint);
    const second = await world().settle(sent, retryIn(0), { number: 2 });
    assert(second.kind === "settled" && second.lane !== null);
    assert.equal(second.lane.failures, 2);
    assert(second.lane.failingForMs >= HOUR && second.lane.failingForMs < HOUR + SECOND * 10);
    await world().claim(endpoint);
    const third = await world().settle(sent, DELIVERED, { number: 3, outcome: OK, recovers: true });
    assert.deepEqual(third, { kind: "settled", lane: null, released: false });
    assert.equal((await lane(endpoint)).failingForMs, null);
  });

  test("an unknown outcome is no failure of the endpoint", async () => {
    const { app, endpoint } = await world().pair();
    await world().send(app, endpoint);
    await world().takeOver();
    await world().exhaust(() => world().store.write.rescue(100));
    assert.equal((await lane(endpoint)).failingForMs, null);
  });

  for (const rested of ["disabled", "unverified"] as const) {
    test(`enabling one that was ${rested} starts anew: no old failures, a closed breaker`, async () => {
      const { app, endpoint } = await world().pair();
      const sent = await world().send(app, endpoint);
      await world().settle(sent, retryIn(0));
      await setBreaker(endpoint, "open");
      await world().status(endpoint, rested);
      await world().status(endpoint, "enabled");
      const { breaker, failingForMs, backlog } = await lane(endpoint);
      assert.deepEqual(
        { breaker, failingForMs, backlog },
        { breaker: "closed", failingForMs: null, backlog: true },
      );
      assert.equal(await world().isDue(endpoint), true);
    });
  }

  test("backlog says whether a hand-off must queue behind something", async () => {
    const { app, endpoint } = await world().pair();
    assert.equal((await lane(endpoint)).backlog, false);
    const sent = await world().send(app, endpoint);
    assert.equal((await lane(endpoint)).backlog, false, "leased ones are being sent");
    await world().settle(sent, retryIn(HOUR));
    assert.equal((await lane(endpoint)).backlog, true);
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { readyOf, runtimeOf } from "../../test/lanes.ts";
import { type DeliveryId, newId } from "../base/ids.ts";
import { silentLogger } from "../base/logger.ts";
import type { Lease, Settlement, SettleResult } from "../store/store.ts";
import type { Ready } from "./lane.ts";
import { LaneTable } from "./lane-table.ts";
import { ENGINE_DEFAULTS } from "./options.ts";
import { Settler } from "./settler.ts";
import { UnheldLeases } from "./unheld.ts";

const SETTLED: SettleResult = { kind: "settled", lane: null, released: false };

/** A node with one lane, and a store that says what is leased to it. */
function node() {
  const lanes = new LaneTable({ ...ENGINE_DEFAULTS, dispatch: true });
  lanes.incarnation = newId("inc");
  const runtime = runtimeOf();
  const lane = lanes.ensure(runtime, runtime.config.lane);
  const leased: Lease[] = [];
  const settled: Settlement[] = [];
  let hold: Promise<void> = Promise.resolve();
  const settle = async (settlements: readonly Settlement[]) => {
    await hold;
    settled.push(...settlements);
    return settlements.map(() => SETTLED);
  };
  const settler = new Settler({ settle }, silentLogger, 100);
  const read = {
    leases: async (_: string, { limit, after = "" }: { limit: number; after?: string }) =>
      leased.filter(({ deliveryId }) => deliveryId > after).slice(0, limit),
  };
  const unheld = new UnheldLeases({ read, lanes, settler, logger: silentLogger });
  return {
    lanes,
    lane,
    settler,
    unheld,
    /** Leases a delivery in the store. */
    lease() {
      const ready = readyOf(lane);
      leased.push({ deliveryId: ready.id, appId: ready.appId, endpointId: lane.id, eventId: ready.eventId });
      leased.sort((a, b) => (a.deliveryId < b.deliveryId ? -1 : 1));
      return ready;
    },
    holdSettles: (until: Promise<void>) => {
      hold = until;
    },
    async released(): Promise<DeliveryId[]> {
      await settler.idle();
      return settled.filter(({ next }) => next.kind === "release").map(({ deliveryId }) => deliveryId);
    },
  };
}

test("what is leased to this node and held nowhere in two looks is given back, and nothing else", async () => {
  const { lanes, lane, unheld, lease, released } = node();
  const [waiting, started, lost] = [lease(), lease(), lease()];
  lane.push(waiting);
  lane.started(started, 0, 1000);
  await unheld.runOnce();
  assert.deepEqual(await released(), []);
  const fresh = lease();
  await unheld.runOnce();
  assert.deepEqual(await released(), [lost.id]);
  assert.deepEqual([...lanes.givenBack], [lost.id]);
  lane.push(fresh);
  await unheld.runOnce();
  assert.equal((await released()).includes(fresh.id), false, "it was on its way");
});

test("what is being settled is held", async () => {
  const { lane, settler, unheld, lease, holdSettles, released } = node();
  const gate = Promise.withResolvers<void>();
  holdSettles(gate.promise);
  const ready = lease();
  const { id: deliveryId, appId, endpointId, eventId } = ready;
  const settlement = { incarnation: lane.incarnation!, deliveryId, appId, endpointId, eventId };
  const next = { kind: "delivered" } as const;
  const done = settler.settle({
    settlement: { ...settlement, next, recovers: false },
    attempt: null,
    breaker: null,
  });
  await unheld.runOnce();
  await unheld.runOnce();
  gate.resolve();
  await done;
  assert.deepEqual(await released(), []);
});

test("a lane that a claim is under way for is left alone, and a node that joined again begins anew", async () => {
  const { lanes, lane, unheld, lease, released } = node();
  lease();
  lane.claiming = true;
  await unheld.runOnce();
  await unheld.runOnce();
  assert.deepEqual(await released(), []);
  lane.claiming = false;
  await unheld.runOnce();
  lanes.incarnation = newId("inc");
  await unheld.runOnce();
  assert.deepEqual(await released(), []);
});

test("more than a page is looked at", async () => {
  const { unheld, lease, released } = node();
  for (let n = 0; n < 2500; n++) lease();
  await unheld.runOnce();
  await unheld.runOnce();
  assert.equal((await released()).length, 2500);
});

test("what waits here without a lease in two looks was ended elsewhere, and is not sent", async () => {
  const { lanes, lane, unheld, lease, released } = node();
  const push = (ready: Ready): Ready => {
    lane.push(ready);
    lanes.hold(ready.payload.length);
    return ready;
  };
  const leased = push(lease());
  const started = readyOf(lane);
  lane.started(started, 0, 1000);
  push(readyOf(lane));
  const renewed = push(readyOf(lane));
  await unheld.runOnce();
  assert.equal(lane.waiting, 3, "it may have been leased since the store was asked");
  lane.takeEnded(new Set([renewed.id]));
  const again = { ...renewed };
  lane.push(again);
  await unheld.runOnce();
  assert.deepEqual([...lane.unstarted()], [leased, again]);
  assert.deepEqual([...lane.held()], [leased.id, again.id, started.id]);
  assert.equal(lanes.used, 2);
  assert.deepEqual(await released(), []);
});

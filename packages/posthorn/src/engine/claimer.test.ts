import assert from "node:assert/strict";
import { test } from "node:test";
import { runtimeOf } from "../../test/lanes.ts";
import { newId } from "../base/ids.ts";
import { silentLogger } from "../base/logger.ts";
import { createVault } from "../security/vault.ts";
import type { Claim, Store } from "../store/store.ts";
import { Claimer } from "./claimer.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { LaneTable } from "./lane-table.ts";
import { ENGINE_DEFAULTS } from "./options.ts";

test("a read that fails while a lane is hungry leaves the lane free to be claimed for", async () => {
  const lanes = new LaneTable({ ...ENGINE_DEFAULTS, dispatch: true });
  lanes.incarnation = newId("inc");
  const runtime = runtimeOf();
  const lane = lanes.ensure(runtime, runtime.config.lane);
  const claimed = Promise.withResolvers<Claim>();
  let reads = 0;
  const store = {
    read: {
      dueLanes: async () => {
        reads += 1;
        if (reads === 1) throw new Error("the disk is slow");
        return { lanes: [runtime.config.lane], nextInMs: null, cursor: null };
      },
    },
    write: {
      claim: async (claim: Claim) => {
        claimed.resolve(claim);
        return [];
      },
    },
  } as unknown as Store;
  const claimer = new Claimer({
    store,
    vault: createVault(Buffer.alloc(32)),
    lanes,
    dispatcher: { take() {} } as unknown as Dispatcher,
    logger: silentLogger,
    pollMs: 5,
  });
  claimer.hungry(lane);
  claimer.start();
  const waiting = setInterval(() => {}, 1000);
  const claim = await claimed.promise;
  clearInterval(waiting);
  await claimer.stop();
  assert.deepEqual(
    claim.lanes.map(({ endpointId }) => endpointId),
    [lane.id],
  );
  assert.equal(lane.claiming, false);
});

test("on a store that was away a claim is tried again soon, not with the next poll", {
  timeout: 10_000,
}, async () => {
  const lanes = new LaneTable({ ...ENGINE_DEFAULTS, dispatch: true });
  lanes.incarnation = newId("inc");
  const back = Promise.withResolvers<void>();
  let reads = 0;
  const store = {
    shared: true,
    read: {
      dueLanes: async () => {
        reads += 1;
        if (reads <= 3) throw new Error("the database is away");
        back.resolve();
        return { lanes: [], nextInMs: null, cursor: null };
      },
    },
  } as unknown as Store;
  const claimer = new Claimer({
    store,
    vault: createVault(Buffer.alloc(32)),
    lanes,
    dispatcher: {} as unknown as Dispatcher,
    logger: silentLogger,
    pollMs: 60_000,
  });
  claimer.start();
  const waiting = setInterval(() => {}, 1000);
  await back.promise;
  clearInterval(waiting);
  await claimer.stop();
  assert.equal(reads, 4);
});

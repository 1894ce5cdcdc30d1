import assert from "node:assert/strict";
import { test } from "node:test";
import { runtimeOf } from "../../test/lanes.ts";
import { monotonicMs } from "../base/clock.ts";
import { newId } from "../base/ids.ts";
import { silentLogger } from "../base/logger.ts";
import { createVault } from "../security/vault.ts";
import type { Claim, KnownEndpoint, Store } from "../store/store.ts";
import { Claimer } from "./claimer.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Lane } from "./lane.ts";
import { LaneTable } from "./lane-table.ts";
import { Membership } from "./membership.ts";
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

test("what was looked for before the node was given up is looked for anew when it has joined again", {
  timeout: 10_000,
}, async () => {
  const lanes = new LaneTable({ ...ENGINE_DEFAULTS, dispatch: true });
  const runtime = runtimeOf();
  const [looking, looked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const [joining, joined] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const claimed = Promise.withResolvers<Claim>();
  const incarnations = [newId("inc"), newId("inc")] as const;
  let looks = 0;
  let joins = 0;
  let voided = false;
  const store = {
    shared: true,
    read: {
      dueLanes: async () => {
        looks += 1;
        if (looks === 1) {
          looking.resolve();
          await looked.promise;
        }
        return { lanes: [runtime.config.lane], nextInMs: null, cursor: null };
      },
      refresh: async () => ({ changed: [runtime.config], gone: [] }),
    },
    write: {
      enlist: async () => {
        joins += 1;
        if (joins === 1) return incarnations[0];
        joining.resolve();
        await joined.promise;
        return incarnations[1];
      },
      beat: async (incarnation: string) => ({
        alive: !(voided && incarnation === incarnations[0]),
        validUntilMs: Number.POSITIVE_INFINITY,
        dispatchers: 1,
        publishers: 1,
      }),
      claim: async (claim: Claim) => {
        claimed.resolve(claim);
        return [];
      },
    },
  } as unknown as Store;
  const dispatcher = { stopping: false, take() {}, lookAgain() {} } as unknown as Dispatcher;
  const needs = { store, lanes, dispatcher, logger: silentLogger };
  const claimer = new Claimer({ ...needs, vault: createVault(Buffer.alloc(32)), pollMs: 5 });
  const node = { name: "node", version: "1", roles: [] };
  const membership = new Membership({ ...needs, node, claimer });
  await membership.join();
  claimer.start();
  await looking.promise;
  voided = true;
  const beating = membership.beat();
  await joining.promise;
  looked.resolve();
  await new Promise(setImmediate);
  joined.resolve();
  await beating;
  const waiting = setInterval(() => {}, 1000);
  const claim = await claimed.promise;
  clearInterval(waiting);
  await claimer.stop();
  assert.equal(claim.incarnation, incarnations[1]);
  assert.equal(lanes.get(runtime.endpoint.id)?.incarnation, incarnations[1]);
});

test("an attempt that ends after the node joined again makes its old lane hungry for nothing", async () => {
  const lanes = new LaneTable({ ...ENGINE_DEFAULTS, dispatch: true });
  const runtime = runtimeOf();
  const laneOfNow = () => lanes.ensure(runtime, runtime.config.lane);
  lanes.incarnation = newId("inc");
  const old = laneOfNow();
  lanes.clear();
  lanes.incarnation = newId("inc");
  const lane = laneOfNow();
  const asked: Lane[] = [];
  lanes.roomOf = (each) => {
    asked.push(each);
    return 0;
  };
  const store = {
    read: { dueLanes: async () => ({ lanes: [], nextInMs: null, cursor: null }) },
  } as unknown as Store;
  const claimer = new Claimer({
    store,
    vault: createVault(Buffer.alloc(32)),
    lanes,
    dispatcher: {} as unknown as Dispatcher,
    logger: silentLogger,
    pollMs: 60_000,
  });
  claimer.hungry(old);
  claimer.hungry(lane);
  await claimer.runOnce();
  assert.deepEqual(
    asked.map((each) => each === lane),
    [true],
  );
});

test("of a lane that was idle for over a second, what other nodes changed is known before it sends again", async () => {
  const lanes = new LaneTable({ ...ENGINE_DEFAULTS, dispatch: true });
  lanes.incarnation = newId("inc");
  const [before, other] = [runtimeOf(), runtimeOf()];
  const lane = lanes.ensure(before, before.config.lane);
  lanes.ensure(other, other.config.lane).checked(monotonicMs());
  const { id } = before.endpoint;
  const now = runtimeOf({ id, version: 2, url: "https://new.example/" });
  const asked: KnownEndpoint[] = [];
  const shippedTo: string[] = [];
  const store = {
    shared: true,
    read: {
      dueLanes: async () => ({
        lanes: [before, other].map((each) => each.config.lane),
        cursor: null,
        nextInMs: null,
      }),
      refresh: async (known: readonly KnownEndpoint[]) => {
        asked.push(...known);
        return { changed: [now.config], gone: [] };
      },
    },
    write: {
      claim: async ({ lanes: rooms }: Claim) => {
        for (const { endpointId } of rooms) shippedTo.push(lanes.get(endpointId)?.runtime.endpoint.url ?? "");
        return [];
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
  await claimer.runOnce();
  assert.deepEqual(asked, [{ endpointId: id, version: 1, epoch: 1 }]);
  assert.deepEqual(shippedTo, ["https://new.example/", "https://example.com/hook"]);
  assert.equal(lane.runtime.endpoint.version, 2);
  await claimer.runOnce();
  assert.equal(asked.length, 1, "what was just asked about is not asked about again");
});

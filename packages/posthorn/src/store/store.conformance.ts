/** What every store must do, told as stories against the contract. Each implementation runs it in a test file of its own. */
import { after, before, describe } from "node:test";
import { acceptStories } from "./conformance/accept.conformance.ts";
import { accessStories } from "./conformance/access.conformance.ts";
import { auditStories } from "./conformance/audit.conformance.ts";
import { breakerStories } from "./conformance/breaker.conformance.ts";
import { claimStories } from "./conformance/claim.conformance.ts";
import { configurationStories } from "./conformance/configuration.conformance.ts";
import { endingStories } from "./conformance/ending.conformance.ts";
import { expungeStories } from "./conformance/expunge.conformance.ts";
import { fanOutStories } from "./conformance/fan-out.conformance.ts";
import { hopsStories } from "./conformance/hops.conformance.ts";
import { idempotencyStories } from "./conformance/idempotency.conformance.ts";
import { listStories } from "./conformance/list.conformance.ts";
import { orderStories } from "./conformance/order.conformance.ts";
import { pruneStories } from "./conformance/prune.conformance.ts";
import { redeliverStories } from "./conformance/redeliver.conformance.ts";
import { rescueStories } from "./conformance/rescue.conformance.ts";
import { sessionStories } from "./conformance/session.conformance.ts";
import { settleStories } from "./conformance/settle.conformance.ts";
import { stateMachineStories } from "./conformance/state-machine.conformance.ts";
import { statsStories } from "./conformance/stats.conformance.ts";
import { timeStories } from "./conformance/time.conformance.ts";
import { unverifiedStories } from "./conformance/unverified.conformance.ts";
import { usageStories } from "./conformance/usage.conformance.ts";
import { type StoreHarness, World } from "./conformance/world.conformance.ts";

export type { StoreHarness };

type Stories = (world: () => World) => void;

const GROUPS: Readonly<Record<string, Stories>> = {
  accept: acceptStories,
  idempotency: idempotencyStories,
  claim: claimStories,
  settle: settleStories,
  order: orderStories,
  "breaker and failures": breakerStories,
  rescue: rescueStories,
  "expire and cancel": endingStories,
  "redeliver and replay": redeliverStories,
  "fan-out": fanOutStories,
  configuration: configurationStories,
  "access, limits and keys": accessStories,
  sessions: sessionStories,
  "audit log": auditStories,
  "usage of a day": usageStories,
  "unverified endpoints": unverifiedStories,
  hops: hopsStories,
  "remove and expunge": expungeStories,
  "lists and pages": listStories,
  stats: statsStories,
  prune: pruneStories,
  "time and restarts": timeStories,
  "the delivery state machine": stateMachineStories,
};

/** Runs the whole suite; each group has a store of its own from `createHarness`. */
export function exerciseStore(name: string, createHarness: () => StoreHarness): void {
  describe(`${name}: the contract of a store`, () => {
    for (const [group, stories] of Object.entries(GROUPS)) {
      describe(group, () => {
        const harness = createHarness();
        let world: World | undefined;
        before(async () => {
          world = await World.open(harness);
        });
        after(() => harness.destroy());
        stories(() => {
          if (world === undefined) throw new Error("the store is not open yet");
          return world;
        });
      });
    }
  });
}

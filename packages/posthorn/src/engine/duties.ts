/** The background duties of a node, each in the form of base/lifecycle.ts. docs/operations.md says what each is for. */
import { messageOf } from "../base/errors.ts";
import { createDuty, type Duty } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import type { Vault } from "../security/vault.ts";
import type { EndedDelivery, Store } from "../store/store.ts";
import type { Claimer } from "./claimer.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { FiguresCounter } from "./figures.ts";
import { refreshLanes } from "./lane-refresh.ts";
import type { LaneTable } from "./lane-table.ts";
import type { Membership } from "./membership.ts";
import type { EngineOptions } from "./options.ts";
import type { OwnershipChecks } from "./ownership-checks.ts";
import type { ReplayRunner } from "./replays.ts";
import type { UnheldLeases } from "./unheld.ts";

/** Rows a duty works on at once: short transactions, so that publishing never waits for one. */
const SLICE = 500;
const PRUNE_SLICE = 1000;
const IDLE_MS = 60_000;
/** What another node started is announced to nobody: it is looked for. */
const IDLE_SHARED_MS = 1000;
/** A shared store answers the heartbeat from memory, so it costs nothing to ask often. */
const HEARTBEAT_SHARED_MS = 500;

export interface DutiesNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly options: EngineOptions;
  readonly logger: Logger;
  readonly lanes: LaneTable;
  readonly dispatcher: Dispatcher;
  readonly claimer: Claimer;
  readonly figures: FiguresCounter;
  readonly replays: ReplayRunner;
  readonly membership: Membership;
  readonly unheld: UnheldLeases;
  readonly checks: OwnershipChecks;
  ended(list: readonly EndedDelivery[]): void;
}

export function createDuties(needs: DutiesNeeds) {
  const { store, options, logger, lanes, dispatcher, claimer, figures, membership, ended } = needs;
  const idleMs = store.shared ? IDLE_SHARED_MS : IDLE_MS;
  let pruneProblem: string | null = null;

  const duty = (name: string, everyMs: number, runOnce: () => Promise<{ more: boolean }>): Duty =>
    createDuty({ name, everyMs, logger, runOnce });
  const done = { more: false };

  const heartbeatMs = store.shared ? Math.min(HEARTBEAT_SHARED_MS, options.heartbeatMs) : options.heartbeatMs;
  const heartbeat = duty("heartbeat", heartbeatMs, async () => {
    await membership.beat();
    return done;
  });

  /** What an earlier run, or another node, had leased may have been sent: an `unknown` attempt each, due at once. */
  const rescue = duty("rescue", options.heartbeatMs * (store.shared ? 1 : 5), async () => {
    const { done: taken, more, exhausted } = await store.write.rescue(SLICE);
    ended(exhausted);
    if (taken > 0) {
      logger.info({ deliveries: taken }, "deliveries.rescued");
      claimer.dueIn(0);
    }
    return { more };
  });

  const expire = duty("expire", options.expireEveryMs, async () => {
    const result = await store.write.expire(SLICE);
    ended(result.ended);
    return result;
  });

  /** What is pending of endpoints that were removed. */
  const cancel = duty("cancel", IDLE_MS, async () => {
    const result = await store.write.cancel({ kind: "removed_endpoints", reason: "endpoint_deleted" }, SLICE);
    ended(result.ended);
    return result;
  });

  const fanOut = duty("fan_out", idleMs, async () => {
    const { done: made, more } = await store.write.extendFanOut(SLICE);
    if (made > 0) claimer.dueIn(0);
    return { more };
  });

  /** One node at a time: a replay keeps nothing in memory, and two at it would take each other's steps. */
  const replay = duty("replay", idleMs, async () => {
    const { incarnation } = lanes;
    if (incarnation === null || !(await store.write.takeDuty("replay", incarnation))) return done;
    return needs.replays.runOnce();
  });

  /** One node at a time: no receiver is asked by all of them. */
  const ownership = duty("ownership", options.ownershipEveryMs, async () => {
    const { incarnation } = lanes;
    if (incarnation === null || !(await store.write.takeDuty("ownership", incarnation))) return done;
    return needs.checks.runOnce();
  });

  const flush = duty("figures", options.figuresEveryMs, async () => {
    if (lanes.incarnation !== null) await figures.flush(store.write, lanes.incarnation);
    dispatcher.watchSlow();
    return done;
  });

  const refresh = duty("refresh", 1000, async () => {
    await refreshLanes({ read: store.read, vault: needs.vault, lanes, dispatcher });
    return done;
  });

  const leases = duty("leases", options.leasesEveryMs, async () => {
    await needs.unheld.runOnce();
    return done;
  });

  const prune = duty("prune", options.pruneEveryMs, async () => {
    try {
      const result = await store.write.prune(PRUNE_SLICE);
      pruneProblem = null;
      return result;
    } catch (error) {
      pruneProblem = `Old rows are not being deleted: ${messageOf(error)}`;
      throw error;
    }
  });

  const ofEveryNode = [heartbeat, flush, refresh];
  const ofDispatchers = [
    rescue,
    expire,
    cancel,
    fanOut,
    replay,
    ownership,
    prune,
    ...(store.shared ? [leases] : []),
  ];
  const all = options.roles.includes("dispatch") ? [...ofEveryNode, ...ofDispatchers] : ofEveryNode;
  return {
    cancel,
    fanOut,
    refresh,
    replay,
    start() {
      for (const each of all) each.start();
    },
    async stop() {
      await Promise.all(all.map((each) => each.stop()));
    },
    problems(): string[] {
      const problems = membership.problems();
      if (pruneProblem !== null) problems.push(pruneProblem);
      return problems;
    },
  };
}

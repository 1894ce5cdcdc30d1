/** The background duties of a node, each in the form of base/lifecycle.ts. docs/operations.md says what each is for. */
import { messageOf } from "../base/errors.ts";
import type { IncarnationId } from "../base/ids.ts";
import { createDuty, type Duty } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import type { Vault } from "../security/vault.ts";
import type { EndedDelivery, KnownEndpoint, Store } from "../store/store.ts";
import type { Claimer } from "./claimer.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import type { FiguresCounter } from "./figures.ts";
import type { LaneTable } from "./lane-table.ts";
import type { EngineOptions } from "./options.ts";
import type { ReplayRunner } from "./replays.ts";

/** Rows a duty works on at once: short transactions, so that publishing never waits for one. */
const SLICE = 500;
const PRUNE_SLICE = 1000;
const IDLE_MS = 60_000;

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
  ended(list: readonly EndedDelivery[]): void;
  incarnation(): IncarnationId;
}

export function createDuties(needs: DutiesNeeds) {
  const { store, options, logger, lanes, dispatcher, claimer, figures, ended, incarnation } = needs;
  let voided = false;
  let pruneProblem: string | null = null;

  const duty = (name: string, everyMs: number, runOnce: () => Promise<{ more: boolean }>): Duty =>
    createDuty({ name, everyMs, logger, runOnce });
  const done = { more: false };

  const heartbeat = duty("heartbeat", options.heartbeatMs, async () => {
    if (await store.write.beat(incarnation())) return done;
    voided = true;
    logger.error({}, "node.voided");
    await dispatcher.stop();
    return done;
  });

  /** What an earlier run had leased may have been sent: an `unknown` attempt each, due at once. */
  const rescue = duty("rescue", options.heartbeatMs * 5, async () => {
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

  const fanOut = duty("fan_out", IDLE_MS, async () => {
    const { done: made, more } = await store.write.extendFanOut(SLICE);
    if (made > 0) claimer.dueIn(0);
    return { more };
  });

  const replay = duty("replay", IDLE_MS, () => needs.replays.runOnce());

  const flush = duty("figures", options.figuresEveryMs, async () => {
    await figures.flush(store.write, incarnation());
    dispatcher.watchSlow();
    return done;
  });

  const refresh = duty("refresh", 1000, async () => {
    await refreshLanes(needs);
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

  const all = [heartbeat, rescue, expire, cancel, fanOut, replay, flush, refresh, prune];
  return {
    cancel,
    fanOut,
    replay,
    start() {
      for (const each of all) each.start();
    },
    async stop() {
      await Promise.all(all.map((each) => each.stop()));
    },
    problems(): string[] {
      const problems = voided ? ["Another node has taken over; this one must be restarted."] : [];
      if (pruneProblem !== null) problems.push(pruneProblem);
      if (lanes.incarnation === null) problems.push("This node is not enlisted.");
      return problems;
    },
  };
}

/** Endpoints in use are at most a second old, whichever node changed them. */
async function refreshLanes({ store, vault, lanes, dispatcher }: DutiesNeeds): Promise<void> {
  const known: KnownEndpoint[] = [];
  for (const lane of lanes.all()) {
    if (lane.window > 0) known.push({ endpointId: lane.id, version: lane.runtime.endpoint.version });
  }
  if (known.length === 0) return;
  const { changed, gone } = await store.read.refresh(known);
  for (const config of changed) {
    const lane = lanes.get(config.endpoint.id);
    if (lane === undefined || lane.runtime.endpoint.version >= config.endpoint.version) continue;
    lane.change(new EndpointRuntime(config, vault));
    dispatcher.laneChanged(lane);
  }
  for (const endpointId of gone) {
    const lane = lanes.get(endpointId);
    if (lane === undefined) continue;
    lane.closed = true;
    dispatcher.laneChanged(lane);
    lanes.remove(endpointId);
  }
}

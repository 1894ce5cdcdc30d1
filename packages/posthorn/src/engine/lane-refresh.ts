/**
 * Endpoints and lanes in use are at most a second old, whichever node changed them: what has work here, what is not as
 * usual, and what something said is doubtful.
 */
import { monotonicMs } from "../base/clock.ts";
import type { EndpointId } from "../base/ids.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig, StoreReader } from "../store/store.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import type { Lane } from "./lane.ts";
import type { LaneTable } from "./lane-table.ts";

export interface LaneRefreshNeeds {
  readonly read: Pick<StoreReader, "refresh">;
  readonly vault: Vault;
  readonly lanes: LaneTable;
  readonly dispatcher: Pick<Dispatcher, "laneChanged">;
}

/** Lanes asked for at once. */
const SLICE = 1000;

export async function refreshLanes(needs: LaneRefreshNeeds): Promise<void> {
  const asked = [...needs.lanes.all()].filter(isToBeAsked);
  for (let from = 0; from < asked.length; from += SLICE)
    await refresh(needs, asked.slice(from, from + SLICE));
}

function isToBeAsked(lane: Lane): boolean {
  return (
    lane.window > 0 ||
    lane.claiming ||
    lane.doubtful ||
    // Nothing else would tell that it may run again.
    !lane.runnable ||
    lane.breaker.state !== "closed" ||
    lane.ownership === "elsewhere"
  );
}

async function refresh(
  { read, vault, lanes, dispatcher }: LaneRefreshNeeds,
  asked: readonly Lane[],
): Promise<void> {
  const doubtful = asked.filter((lane) => lane.doubtful);
  for (const lane of doubtful) lane.doubtful = false;
  const askedAtMs = monotonicMs();
  let answer: Awaited<ReturnType<StoreReader["refresh"]>>;
  try {
    answer = await read.refresh(asked.map((lane) => lane.known));
  } catch (error) {
    for (const lane of doubtful) lane.doubtful = true;
    throw error;
  }
  for (const lane of asked) lane.checked(askedAtMs);
  const changed = new Set(doubtful);
  for (const config of answer.changed) {
    const lane = lanes.get(config.endpoint.id);
    if (lane !== undefined && takeOver(lane, config, vault)) changed.add(lane);
  }
  for (const lane of changed) dispatcher.laneChanged(lane);
  for (const endpointId of answer.gone) close(lanes, dispatcher, endpointId);
}

/** What the store has of an endpoint and its lane, where that is news. */
function takeOver(lane: Lane, config: EndpointConfig, vault: Vault): boolean {
  const isNewer = config.endpoint.version > lane.runtime.endpoint.version;
  if (isNewer) lane.change(new EndpointRuntime(config, vault));
  return lane.follow(config.lane) || isNewer;
}

function close(lanes: LaneTable, dispatcher: LaneRefreshNeeds["dispatcher"], endpointId: EndpointId): void {
  const lane = lanes.get(endpointId);
  if (lane === undefined) return;
  lane.closed = true;
  dispatcher.laneChanged(lane);
  lanes.remove(endpointId);
}

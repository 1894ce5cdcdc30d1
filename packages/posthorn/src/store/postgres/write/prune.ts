/** Prune: drops the partitions that are past their retention, one class and day a call, and deletes what else has had its time. */
import type { PruneResult } from "../../store.ts";
import type { Context } from "../context.ts";
import { type DropResult, dropOldest } from "./drop-partitions.ts";
import { pruneAged } from "./prune-aged.ts";

/** A clock that is set wrong must not cost anybody their events. */
const CLOCKS_APART_MS_MAX = 10 * 60_000;

/** @throws Error when the database's clock and this machine's are far apart; nothing is deleted then */
export async function prune(context: Context, rowsMax: number): Promise<PruneResult> {
  const { connections, settings, logger } = context;
  const nowMs = await readClock(context);
  const dropped = await connections.session("work", (run) => dropOldest(run, nowMs));
  if (dropped.kind === "in_the_way") logger.info({ day: dropped.day }, "store.partition_in_use");
  const left = await connections.transaction("work", (run) => pruneAged(run, settings, rowsMax));
  const more = left || dropped.kind === "dropped";
  if (!more && dropped.kind === "nothing") await notePruned(context);
  return { ...countsOf(dropped), more };
}

/** The store's time. */
async function readClock({ connections }: Context): Promise<number> {
  const [clock] = await connections.runSafely<{ nowMs: number }>("work", {
    text: `SELECT posthorn.now_ms() AS "nowMs"`,
  });
  const nowMs = clock?.nowMs ?? Number.NaN;
  const databaseMs = nowMs - connections.advancedMs;
  const ownMs = Date.now();
  if (Math.abs(databaseMs - ownMs) <= CLOCKS_APART_MS_MAX) return nowMs;
  throw new Error(
    `the database's clock says ${shown(databaseMs)} and this machine's ${shown(ownMs)}; nothing is deleted while they are more than 10 minutes apart. Set the wrong one.`,
  );
}

function shown(ms: number): string {
  return Number.isNaN(ms) ? "nothing" : new Date(ms).toISOString();
}

async function notePruned({ connections }: Context): Promise<void> {
  await connections.run("work", { text: "UPDATE posthorn.facts SET pruned_at_ms = posthorn.now_ms()" });
}

function countsOf(dropped: DropResult): Omit<PruneResult, "more"> {
  if (dropped.kind !== "dropped") return { done: 0, events: 0, deliveries: 0, attempts: 0 };
  const { events, deliveries, attempts } = dropped;
  return { done: events, events, deliveries, attempts };
}

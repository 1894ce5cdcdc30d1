/** Accept: a batch in one statement (migrations/0008.sql). What failed as a whole is tried again where that is safe, else in halves, so that a bad element fails alone. */
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMs } from "../../../base/clock.ts";
import { messageOf, unreachable } from "../../../base/errors.ts";
import type { DeliveryId, EventId } from "../../../base/ids.ts";
import { sliced, weightOfAcceptance } from "../../slices.ts";
import type { Acceptance, AcceptResult } from "../../store.ts";
import type { Context } from "../context.ts";
import { ConnectionFailure, codeOf, failureOf, toPosthornError } from "../failure.ts";
import { ensurePartitions } from "../partitions-ahead.ts";
import { acceptValues } from "./accept-values.ts";

interface Row {
  readonly n: number;
  readonly kind: AcceptResult["kind"];
  readonly event_id: EventId | null;
  readonly key: string | null;
  readonly deliveries: number | null;
  readonly fan_out_pending: boolean;
  readonly unleased: DeliveryId[] | null;
}

const PARAMETERS = 48;
const ACCEPT = {
  name: "accept",
  text: `SELECT * FROM posthorn.accept(${Array.from({ length: PARAMETERS }, (_, index) => `$${index + 1}`).join(", ")})`,
};
const ACCEPTED: AcceptResult = { kind: "accepted", unleased: [] };
const AGAIN_MS = { min: 20, max: 500 };
const UNIQUE_VIOLATION = "23505";

export async function accept(context: Context, acceptances: readonly Acceptance[]): Promise<AcceptResult[]> {
  const results: AcceptResult[] = [];
  for (const { items } of sliced(acceptances, weightOfAcceptance)) {
    if (items.length > 0) results.push(...(await acceptPart(context, items, false, results.length > 0)));
  }
  wakeOthers(context, acceptances, results);
  return results;
}

/** After a part of the call was stored it is not thrown what became of the rest. */
async function acceptPart(
  context: Context,
  acceptances: readonly Acceptance[],
  again: boolean,
  partIsStored: boolean,
): Promise<AcceptResult[]> {
  try {
    return await acceptSlice(context, acceptances, again);
  } catch (error) {
    if (!partIsStored) throw error;
    return acceptances.map(() => ({ kind: "unavailable" }));
  }
}

/** @param again a call with these was sent before, and nobody knows what became of it */
async function acceptSlice(
  context: Context,
  acceptances: readonly Acceptance[],
  again: boolean,
): Promise<AcceptResult[]> {
  const untilMs = monotonicMs() + context.settings.patienceMs;
  let doubtful = again;
  for (let waitMs = AGAIN_MS.min; ; waitMs = Math.min(waitMs * 2, AGAIN_MS.max)) {
    try {
      const values = acceptValues(context, acceptances, doubtful);
      return answers(acceptances, await context.connections.run<Row>("accept", ACCEPT, values));
    } catch (error) {
      const kind = failureOf(error);
      if (kind === "full") return acceptances.map(() => ({ kind: "full" }));
      // The call before is still at work, and stores what this one saw nothing of yet.
      const isUnderWay = doubtful && codeOf(error) === UNIQUE_VIOLATION;
      if (kind === "other" && !isUnderWay) return acceptHalves(context, acceptances, doubtful, error);
      if (monotonicMs() + waitMs > untilMs)
        throw toPosthornError(doubtful ? new ConnectionFailure("lost", error) : error);
      // Whether it was stored is seen the next time by the events' ids.
      doubtful ||= kind === "lost";
      if (kind === "no_partition") await makeRoom(context, acceptances);
    }
    await sleep(waitMs);
  }
}

async function acceptHalves(
  context: Context,
  acceptances: readonly Acceptance[],
  again: boolean,
  error: unknown,
): Promise<AcceptResult[]> {
  if (acceptances.length === 1) return [{ kind: "failed", message: messageOf(error) }];
  const middle = acceptances.length >> 1;
  const first = await acceptSlice(context, acceptances.slice(0, middle), again);
  return [...first, ...(await acceptPart(context, acceptances.slice(middle), again, true))];
}

function answers(acceptances: readonly Acceptance[], rows: readonly Row[]): AcceptResult[] {
  const results = acceptances.map(() => ACCEPTED);
  for (const row of rows) results[row.n - 1] = resultOf(row);
  return results;
}

function resultOf(row: Row): AcceptResult {
  const { kind, unleased } = row;
  switch (kind) {
    case "accepted":
      return { kind, unleased: unleased ?? [] };
    case "duplicate":
      return {
        kind,
        eventId: row.event_id as EventId,
        deliveries: row.deliveries ?? 0,
        fanOut: row.fan_out_pending ? "pending" : "done",
      };
    case "conflict":
      return { kind, key: row.key ?? "", eventId: row.event_id as EventId };
    case "failed":
      return { kind, message: `the app has no endpoint ${row.key}` };
    case "stale":
    case "gone":
    case "taken":
    case "full":
    case "unavailable":
      return { kind };
    default:
      return unreachable(kind, "accept result");
  }
}

/** Every retention class may be among them; there are four. */
async function makeRoom(context: Context, acceptances: readonly Acceptance[]): Promise<void> {
  const rows = await context.connections.runSafely<{ retention_days: number }>(
    "work",
    { text: "SELECT DISTINCT retention_days FROM posthorn.apps WHERE id = ANY ($1::text[])" },
    [acceptances.map(({ event }) => event.appId)],
  );
  for (const { retention_days } of rows) await ensurePartitions(context, retention_days);
}

/** What is due now and was stored for whoever takes it: its node may not be this one. */
function wakeOthers(
  context: Context,
  acceptances: readonly Acceptance[],
  results: readonly AcceptResult[],
): void {
  const waits = acceptances.some(({ event, deliveries }, index) => {
    const result = results[index];
    if (result?.kind !== "accepted" || event.deliverAtMs !== null) return false;
    return result.unleased.length > 0 || deliveries.some(({ lease }) => lease === null);
  });
  if (waits) context.wake({ kind: "due" });
}

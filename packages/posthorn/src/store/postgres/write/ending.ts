/** Ends from outside a delivery's attempts: past its deadline, waited for too long, or cancelled. In slices. */
import { unreachable } from "../../../base/errors.ts";
import { type DeliveryId, type EndpointId, type EventId, locatorOf } from "../../../base/ids.ts";
import { LIMITS } from "../../../domain/defaults.ts";
import type { CancelTarget, DutyResult, EndedDelivery } from "../../store.ts";
import type { Run } from "../connections.ts";
import type { Context } from "../context.ts";
import { daysOfId } from "../day.ts";
import { plainArray } from "../literal.ts";
import { LATE_COMMIT_MS, storeNow, takeTurn, useIndexes } from "./duty.ts";
import { type Finished, finish, lockLanes } from "./finish.ts";

export type EndingResult = DutyResult & { readonly ended: readonly EndedDelivery[] };

/** What a slice may end. */
interface Candidate {
  readonly id: DeliveryId;
  readonly endpointId: EndpointId;
  readonly ordered: boolean;
}

interface Slice extends Finished {
  readonly more: boolean;
  /** What a node held of it: that node must hear of it. */
  readonly held?: ReadonlySet<DeliveryId>;
}

const NOTHING: Slice = { ended: [], released: false, more: false };
/** A notification has room for about two hundred ids. */
const TOLD_AT_ONCE = 100;
const CANDIDATE = `d.id, d.endpoint_id AS "endpointId", d.order_key IS NOT NULL AS ordered`;

export function expire(context: Context, deliveriesMax: number): Promise<EndingResult> {
  return inSlice(context, async (run) => {
    const nowMs = await takeTurn(run, "expire");
    return nowMs === undefined ? NOTHING : expireSlice(run, nowMs, deliveriesMax);
  });
}

export function cancel(context: Context, target: CancelTarget, deliveriesMax: number): Promise<EndingResult> {
  return inSlice(context, async (run) => {
    if (target.kind === "removed_endpoints") return cancelRemoved(run, target, deliveriesMax);
    const candidates = await candidatesOf(context, run, target, deliveriesMax);
    return cancelSlice(run, candidates, target, await storeNow(run), deliveriesMax);
  });
}

async function inSlice(context: Context, work: (run: Run) => Promise<Slice>): Promise<EndingResult> {
  const { ended, released, more, held } = await context.connections.transaction("work", async (run) => {
    await useIndexes(run);
    return work(run);
  });
  if (released) context.wake({ kind: "due" });
  if (held !== undefined) tellHolders(context, ended, held);
  return { done: ended.length, more, ended };
}

function tellHolders(context: Context, ended: readonly EndedDelivery[], held: ReadonlySet<DeliveryId>): void {
  const byEndpoint = Map.groupBy(
    ended.filter(({ id }) => held.has(id)),
    ({ endpointId }) => endpointId,
  );
  for (const [endpointId, list] of byEndpoint) {
    for (let at = 0; at < list.length; at += TOLD_AT_ONCE) {
      const deliveryIds = list.slice(at, at + TOLD_AT_ONCE).map(({ id }) => id);
      context.wake({ kind: "ended", endpointId, deliveryIds });
    }
  }
}

const PAST_DEADLINE = `SELECT ${CANDIDATE} FROM posthorn.deliveries d
  WHERE d.leased_by IS NULL AND d.expires_at_ms > 0 AND d.expires_at_ms <= $1 ORDER BY d.expires_at_ms LIMIT $2`;

/** Of each class, so that a look begins and ends in the index of what waits. */
const waitingOf = (part: number, waiting: string): string => `SELECT ${part} AS part, waiting.*
  FROM posthorn.endpoints p CROSS JOIN unnest('{0,1,2}'::smallint[]) AS each (class) CROSS JOIN LATERAL (
    SELECT ${CANDIDATE} FROM posthorn.deliveries d
    WHERE d.endpoint_id = p.id AND d.leased_by IS NULL AND d.class >= 0 AND d.class = each.class AND ${waiting}
    ORDER BY d.due_at_ms, d.id LIMIT $2
  ) AS waiting
  WHERE p.unverified_at_ms <= $1`;
/**
 * What has waited since $1 for endpoints that were unverified then and are so still. What is held behind another one of its
 * order comes first, so that the end of a head gives its turn to one that has not waited for so long. It is found by its id,
 * which tells when it was made, but for a node's clock that runs ahead.
 */
const UNVERIFIED = `SELECT id, "endpointId", ordered FROM (
    (${waitingOf(0, "d.due_at_ms IS NULL AND d.id < 'dlv_' || posthorn.base32($1::bigint + 60000, 10) AND d.created_at_ms <= $1")} LIMIT $2)
    UNION ALL (${waitingOf(1, "d.due_at_ms <= $1")} LIMIT $2)
  ) AS waiting ORDER BY part LIMIT $2`;

async function expireSlice(run: Run, nowMs: number, deliveriesMax: number): Promise<Slice> {
  const unverifiedSinceMs = nowMs - LIMITS.unverifiedMsMax;
  const candidates = await run<Candidate>({ text: PAST_DEADLINE }, [nowMs, deliveriesMax]);
  const left = deliveriesMax - candidates.length;
  if (left > 0) candidates.push(...(await run<Candidate>({ text: UNVERIFIED }, [unverifiedSinceMs, left])));
  if (candidates.length === 0) return NOTHING;
  await lockOrdered(run, candidates);
  // What is being leased at this moment is sent instead, and so is what has been verified since.
  const rows = await run<{ id: DeliveryId; disabled: boolean }>(
    {
      text: `SELECT d.id, p.status = 'disabled' AS disabled
        FROM (SELECT DISTINCT * FROM unnest($1::integer[], $2::text[]) AS given (locator, id)) candidate
          JOIN posthorn.deliveries d ON d.locator = candidate.locator AND d.id = candidate.id
          JOIN posthorn.endpoints p ON p.id = d.endpoint_id
        WHERE d.leased_by IS NULL AND (d.expires_at_ms <= $3 OR p.unverified_at_ms <= $4)
        ORDER BY d.id FOR UPDATE OF d SKIP LOCKED`,
    },
    [...keysOf(candidates), nowMs, unverifiedSinceMs],
  );
  const ends = rows.map(
    ({ id, disabled }) =>
      ({
        id,
        state: "dead_lettered",
        reason: disabled ? "endpoint_disabled" : "expired",
        attempts: 0,
      }) as const,
  );
  return { ...(await finish(run, ends, nowMs)), more: candidates.length === deliveriesMax };
}

/**
 * All endpoints that were removed and may still have something. One is drained when nothing was found and it was removed so
 * long ago that nothing stored for it before can still be committed.
 */
async function cancelRemoved(run: Run, target: CancelTarget, deliveriesMax: number): Promise<Slice> {
  const nowMs = await takeTurn(run, "cancel");
  if (nowMs === undefined) return NOTHING;
  const removed = await run<{ id: EndpointId }>({
    text: "SELECT id FROM posthorn.endpoints WHERE removed_at_ms IS NOT NULL AND NOT drained",
  });
  if (removed.length === 0) return NOTHING;
  const ids = removed.map(({ id }) => id);
  const slice = await cancelSlice(
    run,
    await candidatesOfEndpoints(run, ids, deliveriesMax),
    target,
    nowMs,
    deliveriesMax,
  );
  if (!slice.more) {
    await run(
      {
        text: "UPDATE posthorn.endpoints SET drained = true WHERE id = ANY ($1::text[]) AND removed_at_ms < $2",
      },
      [plainArray(ids), nowMs - LATE_COMMIT_MS],
    );
  }
  return slice;
}

async function candidatesOf(
  context: Context,
  run: Run,
  target: Exclude<CancelTarget, { kind: "removed_endpoints" }>,
  deliveriesMax: number,
): Promise<Candidate[]> {
  switch (target.kind) {
    case "delivery":
      return run<Candidate>(
        { text: `SELECT ${CANDIDATE} FROM posthorn.deliveries d WHERE d.locator = $1 AND d.id = $2` },
        [locatorOf(target.id), target.id],
      );
    case "event":
      return candidatesOfEvent(context, run, target.id, deliveriesMax);
    case "endpoint":
      return candidatesOfEndpoints(run, [target.id], deliveriesMax);
    default:
      return unreachable(target, "cancel target");
  }
}

/** What waits is found lane by lane; what is leased, which is little, by a look at all of it. */
function candidatesOfEndpoints(
  run: Run,
  ids: readonly EndpointId[],
  deliveriesMax: number,
): Promise<Candidate[]> {
  return run<Candidate>(
    {
      text: `SELECT waiting.* FROM unnest($1::text[]) AS endpoint (id) CROSS JOIN LATERAL (
          SELECT ${CANDIDATE} FROM posthorn.deliveries d
          WHERE d.endpoint_id = endpoint.id AND d.leased_by IS NULL AND d.class >= 0 LIMIT $2
        ) AS waiting
        UNION ALL
        SELECT ${CANDIDATE} FROM posthorn.deliveries d
        WHERE d.endpoint_id = ANY ($1::text[]) AND d.leased_by IS NOT NULL
        LIMIT $2`,
    },
    [plainArray(ids), deliveriesMax],
  );
}

/** Ends what of its fan-out is still to come, too. */
async function candidatesOfEvent(
  { connections }: Context,
  run: Run,
  id: EventId,
  deliveriesMax: number,
): Promise<Candidate[]> {
  await run({ text: "DELETE FROM posthorn.fan_outs WHERE event_id = $1" }, [id]);
  const days = plainArray(daysOfId(id, connections.advancedMs));
  const [event] = await run<{ first: DeliveryId | null; last: DeliveryId | null }>(
    {
      text: `SELECT delivery_first AS first, delivery_last AS last FROM posthorn.events
        WHERE locator = $1 AND day = ANY ($2::date[]) AND id = $3`,
    },
    [locatorOf(id), days, id],
  );
  if (event === undefined) return [];
  return run<Candidate>(
    {
      text: `SELECT ${CANDIDATE} FROM posthorn.deliveries d
        WHERE d.locator = $1 AND d.id BETWEEN $2 AND $3 AND d.event_id = $4 AND NOT d.later
        UNION ALL
        SELECT ${CANDIDATE} FROM posthorn.deliveries d WHERE d.event_id = $4 AND d.later
        LIMIT $5`,
    },
    [locatorOf(id), event.first, event.last, id, deliveriesMax],
  );
}

async function cancelSlice(
  run: Run,
  candidates: readonly Candidate[],
  { reason }: CancelTarget,
  nowMs: number,
  deliveriesMax: number,
): Promise<Slice> {
  if (candidates.length === 0) return NOTHING;
  await lockOrdered(run, candidates);
  const locked = await run<{ id: DeliveryId; leased: boolean }>(
    {
      text: `SELECT d.id, d.leased_by IS NOT NULL AS leased
        FROM unnest($1::integer[], $2::text[]) AS candidate (locator, id)
          JOIN posthorn.deliveries d ON d.locator = candidate.locator AND d.id = candidate.id
        ORDER BY d.id FOR UPDATE OF d`,
    },
    keysOf(candidates),
  );
  const ends = candidates.map(({ id }) => ({ id, state: "cancelled", reason, attempts: 0 }) as const);
  const held = new Set(locked.filter(({ leased }) => leased).map(({ id }) => id));
  return { ...(await finish(run, ends, nowMs)), more: candidates.length === deliveriesMax, held };
}

function lockOrdered(run: Run, candidates: readonly Candidate[]): Promise<void> {
  return lockLanes(
    run,
    candidates.filter(({ ordered }) => ordered).map(({ endpointId }) => endpointId),
  );
}

function keysOf(candidates: readonly Candidate[]): [locators: string, ids: string] {
  return [plainArray(candidates.map(({ id }) => locatorOf(id))), plainArray(candidates.map(({ id }) => id))];
}

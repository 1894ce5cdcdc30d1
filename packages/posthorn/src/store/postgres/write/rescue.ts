/**
 * Rescue: what incarnations held that are no more. They retired, or were silent for too long. Each of their deliveries may
 * have been sent, so it gets an `unknown` attempt.
 */
import { type DeliveryId, type EndpointId, locatorOf, newId } from "../../../base/ids.ts";
import { LIMITS } from "../../../domain/defaults.ts";
import type { RescueResult } from "../../store.ts";
import type { Run } from "../connections.ts";
import type { Context } from "../context.ts";
import type { Day } from "../day.ts";
import { plainArray, textArray } from "../literal.ts";
import { LATE_COMMIT_MS, storeNow, takeTurn, useIndexes } from "./duty.ts";
import { finish, lockLanes } from "./finish.ts";
import { noteDue } from "./later.ts";

interface LeasedRow {
  readonly id: DeliveryId;
  readonly endpointId: EndpointId;
  readonly day: Day;
  readonly retentionDays: number;
  readonly failures: number;
  readonly unknowns: number;
  readonly url: string;
  /** JSON. */
  readonly retrySchedule: string;
}

/** What becomes of a rescued delivery. */
interface Return {
  readonly row: LeasedRow;
  readonly dueAtMs: number;
  readonly failures: number;
  readonly unknowns: number;
}

interface Slice extends RescueResult {
  readonly released: boolean;
}

const NOTHING: Slice = { done: 0, more: false, exhausted: [], released: false };

export async function rescue(context: Context, deliveriesMax: number): Promise<RescueResult> {
  const { silent, lanes } = await context.connections.transaction("work", (run) => giveUp(context, run));
  for (const node of silent) context.logger.warn(node, "node.given_up");
  const { released, ...result } = await context.connections.transaction("work", (run) =>
    rescueSlice(context, run, deliveriesMax),
  );
  if (lanes > 0 || result.done > 0 || released) context.wake({ kind: "due" });
  return result;
}

// Of this process's own incarnations one must have been heard of without a gap for as long as the others have been silent:
// after a pause of its own, or of the database, it is not the others that were away.
const VOID_SILENT = `UPDATE posthorn.incarnations SET voided_at_ms = $1::bigint, ended = 'silent'
  WHERE voided_at_ms IS NULL AND beat_at_ms < $1::bigint - $2::bigint AND EXISTS (
    SELECT FROM posthorn.incarnations judge
    WHERE judge.number = ANY ($3::integer[]) AND judge.voided_at_ms IS NULL
      AND judge.beat_at_ms >= $1::bigint - $2::bigint AND judge.steady_since_ms <= $1::bigint - $2::bigint
  ) RETURNING id AS node, name, $1::bigint - beat_at_ms AS "silentMs"`;

const VOIDED = "SELECT number FROM posthorn.incarnations WHERE voided_at_ms IS NOT NULL AND NOT drained";
const GIVE_UP_LANES = `WITH lost AS (
    SELECT endpoint_id FROM posthorn.lanes WHERE owner = ANY (ARRAY(${VOIDED}))
    ORDER BY endpoint_id FOR NO KEY UPDATE
  )
  UPDATE posthorn.lanes l SET owner = NULL, epoch = l.epoch + 1 FROM lost WHERE l.endpoint_id = lost.endpoint_id
  RETURNING 1`;

/** Voids who has been silent for too long, and frees the lanes that the voided ones owned: how many. */
async function giveUp(
  { settings, numbers }: Context,
  run: Run,
): Promise<{ readonly silent: readonly object[]; readonly lanes: number }> {
  const nowMs = await takeTurn(run, "rescue");
  if (nowMs === undefined) return { silent: [], lanes: 0 };
  const own = plainArray([...numbers.values()]);
  const silent = await run<object>({ text: VOID_SILENT }, [nowMs, settings.deadAfterMs, own]);
  const lanes = await run({ text: GIVE_UP_LANES });
  return { silent, lanes: lanes.length };
}

async function rescueSlice(context: Context, run: Run, deliveriesMax: number): Promise<Slice> {
  const nowMs = await takeTurn(run, "rescue");
  if (nowMs === undefined) return NOTHING;
  const voided = (await run<{ number: number }>({ text: VOIDED })).map(({ number }) => number);
  if (voided.length === 0) return NOTHING;
  await useIndexes(run);
  const candidates = await run<{ id: DeliveryId; endpointId: EndpointId }>(
    {
      text: `SELECT id, endpoint_id AS "endpointId" FROM posthorn.deliveries
        WHERE leased_by = ANY ($1::integer[]) ORDER BY leased_by LIMIT $2`,
    },
    [plainArray(voided), deliveriesMax],
  );
  if (candidates.length === 0) {
    await drain(run, nowMs, voided);
    return NOTHING;
  }
  const endpointIds = candidates.map(({ endpointId }) => endpointId);
  const ids = candidates.map(({ id }) => id);
  await lockLanes(run, endpointIds);
  const rows = await lockLeased(run, ids, voided);
  // Read anew with the lanes in hand: nothing becomes due at a time that a claim has passed already.
  const rescued = await rescueRows(context, run, await storeNow(run), rows);
  return { ...rescued, done: rows.length, more: candidates.length === deliveriesMax };
}

/** Those that hold nothing any more, and were voided so long ago that nothing leased to them can still be committed. */
async function drain(run: Run, nowMs: number, voided: readonly number[]): Promise<void> {
  await run(
    {
      text: `UPDATE posthorn.incarnations i SET drained = true
        WHERE i.number = ANY ($1::integer[]) AND i.voided_at_ms < $2
          AND NOT EXISTS (SELECT FROM posthorn.lanes l WHERE l.owner = i.number)`,
    },
    [plainArray(voided), nowMs - LATE_COMMIT_MS],
  );
}

/** What settles at this moment is not waited for. */
function lockLeased(run: Run, ids: readonly DeliveryId[], voided: readonly number[]): Promise<LeasedRow[]> {
  return run<LeasedRow>(
    {
      text: `SELECT d.id, d.endpoint_id AS "endpointId", d.day, d.retention_days AS "retentionDays", d.failures, d.unknowns,
          p.url, p.retry_schedule AS "retrySchedule"
        FROM unnest($1::integer[], $2::text[]) AS candidate (locator, id)
          JOIN posthorn.deliveries d ON d.locator = candidate.locator AND d.id = candidate.id
          JOIN posthorn.endpoints p ON p.id = d.endpoint_id
        WHERE d.leased_by = ANY ($3::integer[])
        ORDER BY d.id FOR UPDATE OF d SKIP LOCKED`,
    },
    [plainArray(ids.map(locatorOf)), plainArray(ids), plainArray(voided)],
  );
}

async function rescueRows(
  { settings }: Context,
  run: Run,
  nowMs: number,
  rows: readonly LeasedRow[],
): Promise<Pick<Slice, "exhausted" | "released">> {
  await insertUnknown(run, nowMs, rows);
  const returns: Return[] = [];
  const exhausted: DeliveryId[] = [];
  for (const row of rows) {
    const back = returnOf(row, nowMs);
    if (back === undefined) exhausted.push(row.id);
    else returns.push(back);
  }
  await giveBack(run, returns, settings.waitMsMax);
  const ends = exhausted.map(
    (id) => ({ id, state: "dead_lettered", reason: "attempts_exhausted", attempts: 1 }) as const,
  );
  const { ended, released } = await finish(run, ends, nowMs);
  return { exhausted: ended, released };
}

/** undefined: the third `unknown` in a row counts as a failed attempt, and no retry is left. */
function returnOf(row: LeasedRow, nowMs: number): Return | undefined {
  const { failures, unknowns, retrySchedule } = row;
  if (unknowns + 1 < LIMITS.unknownInARowMax)
    return { row, dueAtMs: nowMs, failures, unknowns: unknowns + 1 };
  // A payload that takes the node down each time must end.
  const delaySeconds = (JSON.parse(retrySchedule) as readonly number[])[failures];
  if (delaySeconds === undefined) return undefined;
  return { row, dueAtMs: nowMs + Math.round(delaySeconds * 1000), failures: failures + 1, unknowns: 0 };
}

// Planned with the days, so that it looks at their partitions alone.
const INSERT_UNKNOWN = `INSERT INTO posthorn.attempts (started_at_ms, locator, day, number, duration_ms, retention_days,
    delivery_id, id, outcome, url)
  SELECT $1::bigint, locator, day, 1 + coalesce((
    SELECT max(a.number) FROM posthorn.attempts a
    WHERE a.locator = row.locator AND a.day = row.day AND a.delivery_id = row.delivery_id
      AND a.retention_days = row.retention_days
      AND a.day = ANY ($8::date[]) AND a.retention_days = ANY ($9::smallint[])
  ), 0), 0, retention_days, delivery_id, id, 'unknown', url
  FROM unnest($2::integer[], $3::date[], $4::smallint[], $5::text[], $6::text[], $7::text[])
    AS row (locator, day, retention_days, delivery_id, id, url)`;

async function insertUnknown(run: Run, nowMs: number, rows: readonly LeasedRow[]): Promise<void> {
  if (rows.length === 0) return;
  const days = rows.map(({ day }) => day);
  const classes = rows.map(({ retentionDays }) => retentionDays);
  await run({ text: INSERT_UNKNOWN }, [
    nowMs,
    plainArray(rows.map(({ id }) => locatorOf(id))),
    plainArray(days),
    plainArray(classes),
    plainArray(rows.map(({ id }) => id)),
    plainArray(rows.map(({ id }) => newId("att", locatorOf(id)))),
    textArray(rows.map(({ url }) => url)),
    plainArray([...new Set(days)]),
    plainArray([...new Set(classes)]),
  ]);
}

// A step of the schedule that is longer than the wait left may not expire before it is due.
const GIVE_BACK = `UPDATE posthorn.deliveries d SET leased_by = NULL, class = greatest(d.class, 1),
    attempt_count = d.attempt_count + 1, due_at_ms = back.due_at_ms, failures = back.failures, unknowns = back.unknowns,
    expires_at_ms = greatest(d.expires_at_ms, back.due_at_ms + $6::bigint)
  FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::integer[], $5::integer[])
    AS back (locator, id, due_at_ms, failures, unknowns)
  WHERE d.locator = back.locator AND d.id = back.id`;

async function giveBack(run: Run, returns: readonly Return[], waitMsMax: number): Promise<void> {
  if (returns.length === 0) return;
  await run({ text: GIVE_BACK }, [
    plainArray(returns.map(({ row }) => locatorOf(row.id))),
    plainArray(returns.map(({ row }) => row.id)),
    plainArray(returns.map(({ dueAtMs }) => dueAtMs)),
    plainArray(returns.map(({ failures }) => failures)),
    plainArray(returns.map(({ unknowns }) => unknowns)),
    waitMsMax,
  ]);
  await noteDue(
    run,
    returns.map(({ row }) => row.endpointId),
    returns.map(({ dueAtMs }) => dueAtMs),
  );
}

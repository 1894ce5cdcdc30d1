/** What is deleted row by row once it has had its time: everything but events, deliveries and attempts. */
import type { EndpointId } from "../../../base/ids.ts";
import type { Run } from "../connections.ts";
import type { PostgresSettings } from "../postgres-options.ts";
import { takeTurn } from "./duty.ts";

const DAY_MS = 86_400_000;
/** Beyond an app's retention, until the partitions with its last rows are surely gone. */
const AFTER_RETENTION_DAYS = 8;

interface Aged {
  keepMs(settings: PostgresSettings): number;
  /** $1: the time before which it goes. $2: rows at most. */
  readonly text: string;
}

const AGED: readonly Aged[] = [
  {
    keepMs: ({ idempotencyMs }) => idempotencyMs,
    text: `DELETE FROM posthorn.idempotency WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM posthorn.idempotency WHERE created_at_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`,
  },
  {
    keepMs: ({ figuresMs }) => figuresMs,
    text: `DELETE FROM posthorn.figures WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM posthorn.figures WHERE minute_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`,
  },
  {
    keepMs: () => 0,
    text: `DELETE FROM posthorn.sessions WHERE id IN (
      SELECT id FROM posthorn.sessions WHERE expires_at_ms <= $1 LIMIT $2)`,
  },
  {
    // Until every clock agrees that the day is over.
    keepMs: () => DAY_MS,
    text: `DELETE FROM posthorn.usage WHERE (day, scope) IN (
      SELECT day, scope FROM posthorn.usage WHERE day < date '1970-01-01' + ($1::bigint / ${DAY_MS})::integer
      LIMIT $2 FOR UPDATE SKIP LOCKED)`,
  },
  {
    keepMs: ({ figuresMs }) => figuresMs,
    text: `DELETE FROM posthorn.replays WHERE id IN (
      SELECT id FROM posthorn.replays WHERE finished_at_ms <= $1 LIMIT $2)`,
  },
  {
    keepMs: ({ figuresMs }) => figuresMs,
    text: `DELETE FROM posthorn.incarnations WHERE number IN (
      SELECT number FROM posthorn.incarnations WHERE voided_at_ms <= $1 AND drained LIMIT $2)`,
  },
];

/** At most so many rows of each kind, in the caller's transaction. True: there may be more. */
export async function pruneAged(run: Run, settings: PostgresSettings, rowsMax: number): Promise<boolean> {
  const nowMs = await takeTurn(run, "prune");
  if (nowMs === undefined) return false;
  // By their BRIN indexes: where few rows are old, a sequential scan that hopes to meet one soon reads everything.
  await run({ text: "SET LOCAL enable_seqscan = off" });
  let more = false;
  for (const { keepMs, text } of AGED) {
    const rows = await run({ text: `${text} RETURNING 1` }, [nowMs - keepMs(settings), rowsMax]);
    more = rows.length === rowsMax || more;
  }
  return (await pruneRemoved(run, nowMs, rowsMax)) || more;
}

/** Rows of removed endpoints and apps, once nothing tells of them any more. */
async function pruneRemoved(run: Run, nowMs: number, rowsMax: number): Promise<boolean> {
  const endpoints = await run<{ id: EndpointId }>(
    {
      text: `SELECT e.id FROM posthorn.endpoints e JOIN posthorn.apps a ON a.id = e.app_id
        WHERE e.drained AND e.removed_at_ms <= $1::bigint - (a.retention_days + ${AFTER_RETENTION_DAYS}) * ${DAY_MS}::bigint
          AND NOT EXISTS (SELECT FROM posthorn.figures f WHERE f.endpoint_id = e.id)
          AND NOT EXISTS (SELECT FROM posthorn.replays r WHERE r.endpoint_id = e.id)
        ORDER BY e.removed_at_ms LIMIT $2`,
    },
    [nowMs, rowsMax],
  );
  if (endpoints.length > 0) {
    await deleteEndpoints(
      run,
      endpoints.map(({ id }) => id),
    );
  }
  const apps = await run(
    {
      text: `DELETE FROM posthorn.apps WHERE id IN (
        SELECT a.id FROM posthorn.apps a
        WHERE a.removed_at_ms <= $1::bigint - (a.retention_days + ${AFTER_RETENTION_DAYS}) * ${DAY_MS}::bigint
          AND NOT EXISTS (SELECT FROM posthorn.endpoints e WHERE e.app_id = a.id)
          AND NOT EXISTS (SELECT FROM posthorn.replays r WHERE r.app_id = a.id)
        LIMIT $2) RETURNING 1`,
    },
    [nowMs, rowsMax],
  );
  return endpoints.length === rowsMax || apps.length === rowsMax;
}

async function deleteEndpoints(run: Run, ids: readonly EndpointId[]): Promise<void> {
  // Whose app had a longer retention once may have history still.
  const forgotten = await run<{ id: EndpointId }>(
    {
      text: `SELECT id FROM unnest($1::text[]) AS gone (id)
        WHERE NOT EXISTS (SELECT FROM posthorn.delivery_history h WHERE h.endpoint_id = gone.id)`,
    },
    [ids],
  );
  const gone = forgotten.map(({ id }) => id);
  for (const rows of ["lane_blocks WHERE endpoint_id", "lanes WHERE endpoint_id", "endpoints WHERE id"])
    await run({ text: `DELETE FROM posthorn.${rows} = ANY ($1::text[])` }, [gone]);
}

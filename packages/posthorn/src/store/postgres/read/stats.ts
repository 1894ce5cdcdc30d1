/** Stats: read from the figures and from the indexes of the queue, never from raw rows. */
import { locatorOf } from "../../../base/ids.ts";
import { OUTCOME_KINDS } from "../../../domain/attempt.ts";
import { addFigures, emptyFigures, type Figures } from "../../../domain/figures.ts";
import type { Stats, StatsQuery } from "../../store.ts";
import type { Context } from "../context.ts";

const PENDING_MAX = 10_000;
const MINUTE_MS = 60_000;

interface FiguresRow {
  readonly minuteMs: number;
  readonly created: number;
  readonly delivered: number;
  readonly dead_lettered: number;
  readonly cancelled: number;
  readonly succeeded: number;
  readonly rejected: number;
  readonly timed_out: number;
  readonly unreachable: number;
  readonly invalid: number;
  readonly unknown: number;
  readonly filterErrors: number;
  /** `bucket:count` of those that are not empty, with commas. */
  readonly latency: string | null;
}

const SUMS = ["created", "delivered", "dead_lettered", "cancelled", ...OUTCOME_KINDS]
  .map((column) => `sum(${column})::bigint AS ${column}`)
  .join(", ");
/** Summed over endpoints and nodes by the database: of an app with many endpoints there are a thousand rows to a minute. */
const FIGURES = {
  name: "read_figures",
  text: `WITH counted AS MATERIALIZED (
      SELECT f.* FROM posthorn.endpoints p JOIN posthorn.figures f ON f.endpoint_id = p.id
      WHERE p.app_id = $1 AND ($2::text IS NULL OR p.id = $2) AND f.minute_ms >= $3 AND f.minute_ms < $4
    ), latencies AS (
      SELECT minute_ms, string_agg(bucket || ':' || count, ',') AS latency FROM (
        SELECT minute_ms, bucket, sum(count) AS count FROM counted, unnest(latency) WITH ORDINALITY AS b (count, bucket)
        WHERE count > 0 GROUP BY minute_ms, bucket
      ) buckets GROUP BY minute_ms
    )
    SELECT minutes.*, latencies.latency FROM (
      SELECT minute_ms AS "minuteMs", ${SUMS}, sum(filter_errors)::bigint AS "filterErrors" FROM counted GROUP BY minute_ms
    ) minutes LEFT JOIN latencies ON latencies.minute_ms = minutes."minuteMs" ORDER BY minutes."minuteMs"`,
};

interface PendingRow {
  readonly count: number;
  readonly oldestAgeMs: number | null;
}
const pendingOf = (rows: string): string => `SELECT count(*) AS count,
    CASE WHEN count(*) > 0 THEN greatest(0, posthorn.now_ms() - min(created_at_ms)) END AS "oldestAgeMs"
  FROM (${rows}) pending`;
/** By the primary key, the oldest first. OFFSET 0 keeps the planner from joining all of them before it counts. */
const PENDING_OF_APP = {
  name: "read_pending_of_app",
  text: pendingOf(`SELECT d.created_at_ms FROM posthorn.deliveries d
      CROSS JOIN LATERAL (SELECT 1 FROM posthorn.endpoints p WHERE p.id = d.endpoint_id AND p.app_id = $2 OFFSET 0) own
    WHERE d.locator = $1 ORDER BY d.id LIMIT ${PENDING_MAX + 1}`),
};
/** Of each class those that are due first: beyond 10,000 the oldest is the oldest of these. */
const PENDING_OF_ENDPOINT = {
  name: "read_pending_of_endpoint",
  text: pendingOf(`SELECT waiting.created_at_ms FROM posthorn.endpoints p
      CROSS JOIN unnest('{0,1,2}'::smallint[]) AS each (class) CROSS JOIN LATERAL (
        SELECT d.created_at_ms FROM posthorn.deliveries d
        WHERE d.endpoint_id = p.id AND d.leased_by IS NULL AND d.class >= 0 AND d.class = each.class
        ORDER BY d.due_at_ms, d.id LIMIT ${PENDING_MAX + 1}
      ) waiting WHERE p.id = $1 AND p.app_id = $2
    UNION ALL SELECT d.created_at_ms FROM posthorn.deliveries d JOIN posthorn.endpoints p ON p.id = d.endpoint_id
      WHERE d.leased_by IS NOT NULL AND d.endpoint_id = $1 AND p.app_id = $2`),
};

export async function stats(
  { connections }: Context,
  { appId, endpointId, sinceMs, untilMs }: StatsQuery,
): Promise<Stats> {
  const fromMs = sinceMs - (((sinceMs % MINUTE_MS) + MINUTE_MS) % MINUTE_MS);
  const [statement, values] =
    endpointId === undefined
      ? [PENDING_OF_APP, [locatorOf(appId), appId]]
      : [PENDING_OF_ENDPOINT, [endpointId, appId]];
  const [figures, [pending]] = await Promise.all([
    connections.runSafely<FiguresRow>("read", FIGURES, [appId, endpointId ?? null, fromMs, untilMs]),
    connections.runSafely<PendingRow>("read", statement, values),
  ]);
  const total = emptyFigures();
  const minutes = figures.map((row) => ({ atMs: row.minuteMs, figures: figuresOf(row) }));
  for (const minute of minutes) addFigures(total, minute.figures);
  const count = pending?.count ?? 0;
  return {
    total,
    minutes,
    pending: Math.min(count, PENDING_MAX),
    pendingCapped: count > PENDING_MAX,
    oldestPendingAgeMs: pending?.oldestAgeMs ?? null,
  };
}

function figuresOf(row: FiguresRow): Figures {
  const { created, delivered, dead_lettered, cancelled, filterErrors } = row;
  const { succeeded, rejected, timed_out, unreachable, invalid, unknown } = row;
  return {
    created,
    finals: { delivered, dead_lettered, cancelled },
    attempts: { succeeded, rejected, timed_out, unreachable, invalid, unknown },
    filterErrors,
    latency: latencyOf(row.latency),
  };
}

function latencyOf(text: string | null): number[] {
  const { latency } = emptyFigures();
  for (const pair of text === null ? [] : text.split(",")) {
    const [bucket, count] = pair.split(":").map(Number);
    // The database counts from 1 on.
    if (bucket !== undefined && count !== undefined) latency[bucket - 1] = count;
  }
  return latency;
}

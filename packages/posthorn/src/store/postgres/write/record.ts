/** Adds figures to the current minute of a node: one statement for all of them. */
import type { IncarnationId } from "../../../base/ids.ts";
import type { EndpointFigures } from "../../../domain/figures.ts";
import { type Context, numberOf } from "../context.ts";
import { plainArray, textArray } from "../literal.ts";

const COUNTS = [
  "created",
  "delivered",
  "dead_lettered",
  "cancelled",
  "succeeded",
  "rejected",
  "timed_out",
  "unreachable",
  "invalid",
  "unknown",
  "filter_errors",
] as const;

const NAMES = COUNTS.join(", ");
const RECORD = `WITH given AS (
    SELECT given.* FROM unnest($2::text[], $3::text[], $4::text[], ${COUNTS.map((_, index) => `$${index + 5}::bigint[]`).join(", ")})
      AS given (endpoint_id, latency, filter_error, ${NAMES})
    WHERE EXISTS (SELECT FROM posthorn.lanes WHERE lanes.endpoint_id = given.endpoint_id)
  ), counted AS (
    INSERT INTO posthorn.figures AS f (endpoint_id, minute_ms, incarnation, latency, ${NAMES})
    SELECT endpoint_id, (SELECT posthorn.now_ms() / 60000 * 60000), $1::integer, latency::bigint[], ${NAMES} FROM given
    ON CONFLICT (endpoint_id, minute_ms, incarnation) DO UPDATE SET
      latency = posthorn.add_counts(f.latency, excluded.latency),
      ${COUNTS.map((name) => `${name} = f.${name} + excluded.${name}`).join(", ")}
  ), locked AS (
    SELECT l.endpoint_id FROM posthorn.lanes l
    WHERE l.endpoint_id IN (SELECT endpoint_id FROM given WHERE filter_errors > 0)
    ORDER BY l.endpoint_id FOR NO KEY UPDATE
  )
  UPDATE posthorn.lanes l SET filter_errors = l.filter_errors + given.filter_errors,
    filter_error = coalesce(given.filter_error, l.filter_error)
  FROM locked JOIN given ON given.endpoint_id = locked.endpoint_id
  WHERE l.endpoint_id = locked.endpoint_id`;

/** Each endpoint once. Those that are not known are passed over. */
export async function record(
  context: Context,
  incarnation: IncarnationId,
  figures: readonly EndpointFigures[],
): Promise<void> {
  if (figures.length === 0) return;
  await context.connections.run("work", { text: RECORD }, [
    numberOf(context, incarnation),
    plainArray(figures.map(({ endpointId }) => endpointId)),
    textArray(figures.map(({ latency }) => plainArray(latency))),
    textArray(figures.map(({ filterError }) => filterError?.replaceAll("\0", "\ufffd") ?? null)),
    ...COUNTS.map((name) => plainArray(figures.map((each) => countsOf(each)[name]))),
  ]);
}

function countsOf({
  created,
  finals,
  attempts,
  filterErrors,
}: EndpointFigures): Record<(typeof COUNTS)[number], number> {
  return { created, ...finals, ...attempts, filter_errors: filterErrors };
}

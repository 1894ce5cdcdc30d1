/** One beat of a node: it says that it lives, and hears whether it still counts, and how many others do. */
import type { Beat } from "../store.ts";
import type { Run, Statement } from "./connections.ts";

/**
 * Taken off the time after which others give a node up: for clocks that do not run alike, and for the attempt that starts
 * just before.
 */
const MARGIN_MS = 500;

/** Who enlists or retires says so here: each thread beats at once, and so counts how many there are now. */
export const NODES_CHANNEL = "posthorn_nodes";

// A voided node stays so, however late its beat comes. `steady_since_ms` begins anew after a gap: who was cut off himself
// may not judge others.
const BEAT: Statement = {
  name: "beat",
  text: `WITH beaten AS (
      UPDATE posthorn.incarnations SET
        steady_since_ms = CASE WHEN now - beat_at_ms > $2::bigint / 2 THEN now ELSE steady_since_ms END,
        beat_at_ms = now
      FROM posthorn.now_ms() AS now
      WHERE number = $1 AND voided_at_ms IS NULL
      RETURNING number, now
    )
    SELECT count(DISTINCT beaten.number)::integer AS beaten,
      count(node.number) FILTER (WHERE 'dispatch' = ANY (node.roles))::integer AS dispatchers,
      count(node.number) FILTER (WHERE 'api' = ANY (node.roles))::integer AS publishers
    FROM beaten LEFT JOIN posthorn.incarnations AS node
      ON node.voided_at_ms IS NULL AND (node.number = beaten.number OR node.beat_at_ms >= beaten.now - $2::bigint)`,
};

export const NOT_ALIVE: Beat = { alive: false, validUntilMs: 0, dispatchers: 0, publishers: 0 };

export interface BeatQuery {
  /** Of the incarnation. */
  readonly number: number;
  readonly deadAfterMs: number;
  /** monotonicMs() before it was sent. */
  readonly sentMs: number;
}

export async function sendBeat(run: Run, { number, deadAfterMs, sentMs }: BeatQuery): Promise<Beat> {
  const [row] = await run<{ beaten: number; dispatchers: number; publishers: number }>(BEAT, [
    number,
    deadAfterMs,
  ]);
  if (row === undefined || row.beaten === 0) return NOT_ALIVE;
  const { dispatchers, publishers } = row;
  return { alive: true, validUntilMs: validUntil(sentMs, deadAfterMs), dispatchers, publishers };
}

function validUntil(sentMs: number, deadAfterMs: number): number {
  return sentMs + deadAfterMs - Math.min(MARGIN_MS, deadAfterMs / 4);
}

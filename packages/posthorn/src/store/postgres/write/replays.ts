/** One step of a replay: its new deliveries and its cursor, in one transaction. */
import type { ReplayStep } from "../../store.ts";
import type { Run } from "../connections.ts";
import type { Context } from "../context.ts";
import { storeNow } from "./duty.ts";
import { redeliverIn } from "./later.ts";

export async function advanceReplay(context: Context, step: ReplayStep): Promise<boolean> {
  const created = await context.connections.transaction("work", (run) => advance(context, run, step));
  if (created !== undefined && created > 0) context.wake({ kind: "due" });
  return created !== undefined;
}

/** How many deliveries were made; undefined: it runs no more, or stands elsewhere. */
async function advance(context: Context, run: Run, step: ReplayStep): Promise<number | undefined> {
  const { replayId, fromCursor, cursor, examined, redeliveries, finished } = step;
  const nowMs = await storeNow(run);
  const moved = await run(
    {
      text: `UPDATE posthorn.replays SET cursor = $3, examined = examined + $4,
          state = CASE WHEN $5 THEN 'finished' ELSE 'running' END, finished_at_ms = CASE WHEN $5 THEN $6::bigint END
        WHERE id = $1 AND state = 'running' AND cursor IS NOT DISTINCT FROM $2 RETURNING 1`,
    },
    [replayId, fromCursor, cursor, examined, finished, nowMs],
  );
  if (moved.length === 0) return undefined;
  const results = await redeliverIn(context, run, redeliveries);
  const created = results.filter(({ kind }) => kind === "created").length;
  await run({ text: "UPDATE posthorn.replays SET created = created + $2 WHERE id = $1" }, [
    replayId,
    created,
  ]);
  return created;
}

/** Lanes that are worth a claim: one range of the index lanes_wake, whatever the lanes hold. */
import type { AppId, EndpointId } from "../../../base/ids.ts";
import { isId } from "../../../base/ids.ts";
import type { DueLanes, DueQuery } from "../../store.ts";
import type { Context } from "../context.ts";
import { LANE_COLUMNS, type LaneColumns, LIVING_OWNER, laneOf } from "./endpoints.ts";

interface DueRow extends LaneColumns {
  readonly nextInMs: number | null;
  /** null: no lane is due. */
  readonly endpointId: EndpointId | null;
  readonly appId: AppId;
  readonly wakeAtMs: number;
}

/** Before every lane. */
const START = { wakeAtMs: -1, endpointId: "" };
/** An owner that was voided keeps nobody away. */
const OPEN_TO = "($4::text IS NULL OR i.id IS NULL OR i.id = $4)";
const DUE_LANES = {
  name: "read_due_lanes",
  text: `WITH clock AS MATERIALIZED (SELECT posthorn.now_ms() AS now_ms)
    SELECT next.wake_at_ms - clock.now_ms AS "nextInMs", due.*
    FROM clock LEFT JOIN LATERAL (
      SELECT l.wake_at_ms FROM posthorn.lanes l ${LIVING_OWNER}
      WHERE l.wake_at_ms > clock.now_ms AND ${OPEN_TO} ORDER BY l.wake_at_ms LIMIT 1
    ) next ON true LEFT JOIN LATERAL (
      SELECT l.endpoint_id AS "endpointId", l.app_id AS "appId", l.wake_at_ms AS "wakeAtMs", ${LANE_COLUMNS}
      FROM posthorn.lanes l ${LIVING_OWNER}
      WHERE l.wake_at_ms <= clock.now_ms AND (l.wake_at_ms, l.endpoint_id) > ($1, $2) AND ${OPEN_TO}
      ORDER BY l.wake_at_ms, l.endpoint_id LIMIT $3
    ) due ON true ORDER BY due."wakeAtMs", due."endpointId"`,
};

export async function dueLanes({ connections }: Context, query: DueQuery): Promise<DueLanes> {
  const { lanesMax, after, for: incarnation = null } = query;
  const { wakeAtMs, endpointId } = after === undefined ? START : positionOf(after);
  const rows = await connections.runSafely<DueRow>("read", DUE_LANES, [
    wakeAtMs,
    endpointId,
    lanesMax,
    incarnation,
  ]);
  const due = rows.filter((row): row is DueRow & { endpointId: EndpointId } => row.endpointId !== null);
  const last = due.length === lanesMax ? due.at(-1) : undefined;
  return {
    lanes: due.map((row) => laneOf(row.endpointId, row.appId, row)),
    nextInMs: rows[0]?.nextInMs ?? null,
    cursor: last === undefined ? null : `${last.wakeAtMs}:${last.endpointId}`,
  };
}

/** What is no cursor of ours begins anew. */
function positionOf(cursor: string): typeof START {
  const [wakeAtMs = "", endpointId] = cursor.split(":");
  return isId("ep", endpointId) && /^\d{1,15}$/.test(wakeAtMs)
    ? { wakeAtMs: Number(wakeAtMs), endpointId }
    : START;
}

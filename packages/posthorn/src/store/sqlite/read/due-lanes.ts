/** Lanes that are worth a claim: one range of the index lanes_wake, whatever the lanes hold. */
import type { AppId, EndpointId } from "../../../base/ids.ts";
import type { DueLanes } from "../../store.ts";
import { type Query, query } from "../statement.ts";
import { LANE_COLUMNS, type LaneColumns, laneOf } from "./endpoints.ts";
import type { Reading } from "./reading.ts";

interface DueRow extends LaneColumns {
  readonly id: EndpointId;
  readonly appId: AppId;
  readonly endpointSeq: number;
  readonly wakeAtMs: number;
}

export const DUE_LANES = `
  SELECT p.id, a.id AS appId, l.endpoint_seq AS endpointSeq, l.wake_at_ms AS wakeAtMs, ${LANE_COLUMNS}
  FROM lanes l JOIN endpoints p ON p.seq = l.endpoint_seq JOIN apps a ON a.seq = p.app_seq
  WHERE l.wake_at_ms IS NOT NULL AND l.wake_at_ms <= ?1 AND (l.wake_at_ms, l.endpoint_seq) > (?2, ?3)
  ORDER BY l.wake_at_ms, l.endpoint_seq LIMIT ?4`;

export class DueLanesQuery {
  #reading: Reading;
  #due: Query<DueRow>;
  #next: Query<{ wakeAtMs: number | null }>;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#due = query(reading.db, DUE_LANES);
    this.#next = query(
      reading.db,
      "SELECT min(wake_at_ms) AS wakeAtMs FROM lanes WHERE wake_at_ms IS NOT NULL AND wake_at_ms > ?",
    );
  }

  run({ lanesMax, after }: { readonly lanesMax: number; readonly after?: string }): DueLanes {
    const nowMs = this.#reading.nowMs();
    const [wakeAtMs = -1, endpointSeq = -1] = after?.split(":").map(Number) ?? [];
    const rows = this.#due.all(nowMs, wakeAtMs, endpointSeq, lanesMax);
    const last = rows.length === lanesMax ? rows.at(-1) : undefined;
    const next = this.#next.get(nowMs)?.wakeAtMs ?? null;
    return {
      lanes: rows.map((row) => laneOf(row, nowMs)),
      nextInMs: next === null ? null : next - nowMs,
      cursor: last === undefined ? null : `${last.wakeAtMs}:${last.endpointSeq}`,
    };
  }
}

/** What grows with traffic, slice by slice: each a short read, and a place where the next one begins. */
import type { CarriedRow, CarriedRows, Cell } from "../carried.ts";
import {
  BYTES_MAX,
  bytesOf,
  type Position,
  ROWS_MAX,
  type SqliteSource,
  type Stream,
  type Walked,
} from "./export.ts";
import { AUDIT, EVENTS, FIGURES, HISTORY, IDEMPOTENCY } from "./export-tables.ts";

export interface Slice {
  readonly parts: readonly CarriedRows[];
  readonly position: Position;
  /** Nothing is left, for now. */
  readonly done: boolean;
  /** History: the lowest number of a delivery that ended at `recentMs` or later. */
  readonly firstRecent: number | null;
}

export interface Since {
  /** Of history: only what ended since then. */
  readonly sinceMs: number;
  readonly recentMs: number;
}

/** Numbers of history looked through at once where few of its rows are wanted: about 30 ms. */
const WINDOW = 50_000;
const MINUTE_MS = 60_000;

/** Where a pass over a stream begins that wants what came since then. */
export function startOf(stream: Stream, sinceMs: number, fromSeq: number): Position {
  if (stream === "figures") return [Math.floor(sinceMs / MINUTE_MS) * MINUTE_MS - 1, -1, -1];
  return [stream === "history" ? fromSeq - 1 : 0];
}

export function sliceOf(source: SqliteSource, stream: Stream, position: Position, since: Since): Slice {
  switch (stream) {
    case "events":
      return gather("events", source.walk(NEXT.events, position), position);
    case "idempotency":
      return gather("idempotency", source.walk(NEXT.idempotency, position), position);
    case "figures":
      return gather("figures", source.walk(NEXT.figures, [...position, position[0] ?? 0], 3), position);
    case "audit":
      return gather("audit_log", source.walk(NEXT.audit, position), position);
    case "history":
      return history(source, position, since);
  }
}

const NEXT = {
  events: `${EVENTS} WHERE e.seq > ? ORDER BY e.seq LIMIT ${ROWS_MAX}`,
  idempotency: `${IDEMPOTENCY} WHERE i.seq > ? ORDER BY i.seq LIMIT ${ROWS_MAX}`,
  figures: `${FIGURES} WHERE (f.minute_ms, f.endpoint_seq, f.incarnation_seq) > (?, ?, ?) AND f.minute_ms >= ?
    ORDER BY f.minute_ms, f.endpoint_seq, f.incarnation_seq LIMIT ${ROWS_MAX}`,
  audit: `${AUDIT} WHERE l.number > ? ORDER BY l.number LIMIT ${ROWS_MAX}`,
  history: `${HISTORY} WHERE d.seq > ? AND d.seq <= ? AND d.finished_at_ms >= ? ORDER BY d.seq LIMIT ${ROWS_MAX}`,
} as const;

type Gathered = "events" | "idempotency" | "figures" | "audit_log";

function gather(table: Gathered, found: Iterable<Walked>, from: Position): Slice {
  const rows: CarriedRow[] = [];
  let position = from;
  let bytes = 0;
  for (const { at, cells } of found) {
    rows.push(cells);
    position = at;
    bytes += bytesOf(cells);
    if (bytes >= BYTES_MAX) break;
  }
  const done = rows.length < ROWS_MAX && bytes < BYTES_MAX;
  return { parts: [{ table, rows }], position, done, firstRecent: null };
}

/** With the attempts of each. */
function history(source: SqliteSource, [after = 0]: Position, { sinceMs, recentMs }: Since): Slice {
  const end = after + WINDOW;
  const rows: CarriedRow[] = [];
  const attempts: CarriedRow[] = [];
  let seq = after;
  let bytes = 0;
  let firstRecent: number | null = null;
  for (const { at, cells } of source.walk(NEXT.history, [after, end, sinceMs])) {
    seq = at[0] as number;
    const [, finishedAtMs, , , id, appId] = cells as [Cell, number, Cell, Cell, Cell, Cell];
    rows.push(cells);
    if (finishedAtMs >= recentMs) firstRecent ??= seq;
    for (const attempt of source.attempts(seq, id, appId)) {
      attempts.push(attempt);
      bytes += bytesOf(attempt);
    }
    if (bytes >= BYTES_MAX) break;
  }
  const full = rows.length === ROWS_MAX || bytes >= BYTES_MAX;
  const done = !full && end >= source.lastFinished();
  const parts: CarriedRows[] = [
    { table: "delivery_history", rows },
    { table: "attempts", rows: attempts },
  ];
  return { parts, position: [full || done ? seq : end], done, firstRecent };
}

/** Counts and hashes of what a SQLite store holds, for comparing a copy with it. */
import { timeOf } from "../../base/ids.ts";
import { addTo, type Cell, placeOf, type Tallies, tallyOf } from "../carried.ts";
import type { SqliteSource } from "./export.ts";
import { pagesOf } from "./export-pages.ts";
import {
  AUDIT,
  DELIVERIES,
  EVENTS,
  FIGURES,
  HISTORY,
  IDEMPOTENCY,
  type SmallTable,
} from "./export-tables.ts";

/** Of history and events: what ended, or was accepted, in this stretch of the store's time. To exclusive. */
export interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
  /** Of history: nothing that ended since `fromMs` has a lower number. */
  readonly fromSeq: number;
  /** Whether an event of this app, made on that day, is compared at all: what is past its retention may be pruned any time. */
  compares(appId: string, day: string): boolean;
}

export type Compared = "events" | "delivery_history" | "attempts";

const DAY_MS = 86_400_000;

const AT = {
  expunged: placeOf("events", "expunged_at_ms"),
  accepted: placeOf("events", "accepted_at_ms"),
  event: placeOf("events", "id"),
  eventApp: placeOf("events", "app_id"),
  delivery: placeOf("delivery_history", "id"),
  deliveryApp: placeOf("delivery_history", "of_app"),
  deliveryEvent: placeOf("delivery_history", "event_id"),
  unfinished: placeOf("deliveries", "id"),
  unfinishedApp: placeOf("deliveries", "of_app"),
};

/** Of tables that are looked at as a whole. */
export function tallySmall(source: SqliteSource, table: SmallTable): Tallies {
  const tallies: Tallies = new Map();
  for (const row of source.small(table)) addTo(tallies, "all", tallyOf(table, row));
  return tallies;
}

/** Events that were not expunged, by their day. Yields how many it has looked at, now and then. */
export function* tallyEvents(source: SqliteSource, stretch: Stretch, tallies: Tallies): Generator<number> {
  const from = source.firstEventSince(stretch.fromMs);
  const pages = pagesOf(source, `${EVENTS} WHERE e.seq > ? ORDER BY e.seq`, [from - 1]);
  for (const rows of pages) {
    for (const { cells } of rows) {
      if ((cells[AT.accepted] as number) >= stretch.toMs) return;
      const day = dayOf(cells[AT.event]);
      if (cells[AT.expunged] !== null || !stretch.compares(cells[AT.eventApp] as string, day)) continue;
      addTo(tallies, day, tallyOf("events", cells));
    }
    yield rows.length;
  }
}

/** Finished deliveries and their attempts, by the day of the delivery. */
export function* tallyHistory(
  source: SqliteSource,
  { fromMs, toMs, fromSeq, compares }: Stretch,
  tallies: Readonly<Record<"delivery_history" | "attempts", Tallies>>,
): Generator<number> {
  const sql = `${HISTORY} WHERE d.seq > ? ORDER BY d.seq`;
  for (const rows of pagesOf(source, sql, [fromSeq - 1])) {
    for (const { at, cells } of rows) {
      const finishedAtMs = cells[1] as number;
      if (finishedAtMs < fromMs || finishedAtMs >= toMs) continue;
      const appId = cells[AT.deliveryApp] as string;
      if (!compares(appId, dayOf(cells[AT.deliveryEvent]))) continue;
      const day = dayOf(cells[AT.delivery]);
      addTo(tallies.delivery_history, day, tallyOf("delivery_history", cells));
      for (const attempt of source.attempts(at[0] as number, cells[AT.delivery] as Cell, appId))
        addTo(tallies.attempts, day, tallyOf("attempts", attempt));
    }
    yield rows.length;
  }
}

/** Unfinished deliveries; their attempts are of no day yet. */
export function* tallyUnfinished(
  source: SqliteSource,
  tallies: Readonly<Record<"deliveries" | "attempts", Tallies>>,
): Generator<number> {
  const sql = `${DELIVERIES} WHERE d.seq > ? ORDER BY d.seq`;
  for (const rows of pagesOf(source, sql, [0])) {
    for (const { at, cells } of rows) {
      addTo(tallies.deliveries, "all", tallyOf("deliveries", cells));
      const attempts = source.attempts(
        at[0] as number,
        cells[AT.unfinished] as Cell,
        cells[AT.unfinishedApp] as Cell,
      );
      for (const attempt of attempts) addTo(tallies.attempts, "unfinished", tallyOf("attempts", attempt));
    }
    yield rows.length;
  }
}

const WHOLE = {
  idempotency: { sql: `${IDEMPOTENCY} WHERE i.seq > ? ORDER BY i.seq`, start: [-1] },
  figures: {
    sql: `${FIGURES} WHERE (f.minute_ms, f.endpoint_seq, f.incarnation_seq) > (?, ?, ?)
      ORDER BY f.minute_ms, f.endpoint_seq, f.incarnation_seq`,
    start: [-1, -1, -1],
  },
} as const;

/** What is pruned by age. Answers the age of the oldest: older ones that the copy has are not there any more. */
export function* tallyAged(
  source: SqliteSource,
  table: keyof typeof WHOLE,
  tallies: Tallies,
): Generator<number, number> {
  const { sql, start } = WHOLE[table];
  const at = placeOf(table, table === "figures" ? "minute_ms" : "created_at_ms");
  let oldestMs = Number.MAX_SAFE_INTEGER;
  for (const rows of pagesOf(source, sql, start)) {
    for (const { cells } of rows) {
      oldestMs = Math.min(oldestMs, cells[at] as number);
      addTo(tallies, "all", tallyOf(table, cells));
    }
    yield rows.length;
  }
  return oldestMs;
}

export function* tallyAudit(source: SqliteSource, tallies: Tallies): Generator<number> {
  for (const rows of pagesOf(source, `${AUDIT} WHERE l.number > ? ORDER BY l.number`, [0])) {
    for (const { cells } of rows) addTo(tallies, "all", tallyOf("audit_log", cells));
    yield rows.length;
  }
}

let lastDay = -1;
let lastText = "";
function dayOf(id: Cell | undefined): string {
  const day = Math.floor(timeOf(id as string) / DAY_MS);
  if (day !== lastDay) {
    lastDay = day;
    lastText = new Date(day * DAY_MS).toISOString().slice(0, 10);
  }
  return lastText;
}

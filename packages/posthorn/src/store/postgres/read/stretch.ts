/**
 * Where a page of events or deliveries may lie. A row lies in the partition of the day of its id, and ids sort by the time
 * at which nodes made them; the times in the rows are the database's. So a window of time is narrowed to ids with some
 * slack, and what the slack lets in is sorted out by the row's own time.
 */
import { timeOf } from "../../../base/ids.ts";
import type { ListQuery } from "../../store.ts";
import type { Context } from "../context.ts";
import { type Day, dayOf } from "../day.ts";
import type { Values } from "./values.ts";

export const DAY_MS = 86_400_000;
/** How long after its id a row may be stored: a process may have been stopped in between. */
const LATE_MS_MAX = 3_600_000;
/** How far a node's clock may be ahead of the database's: more than a node is let in with. */
export const AHEAD_MS_MAX = 60_000;
/** Days in the first window, and how much more each further one has. */
const FIRST_DAYS = 2;
const GROWTH = 8;

/** Days since 1970, both included. */
export interface Days {
  readonly first: number;
  readonly last: number;
}

/** Ids strictly between two others, of rows that lie in these days. */
export interface Stretch {
  readonly above: string;
  readonly below: string;
  readonly first: Day;
  readonly last: Day;
}

export interface Bounds {
  readonly above: string;
  readonly below: string;
}

type Kind = "evt" | "dlv";
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** Not above any id of that time. Not an id itself. */
function firstIdAt(kind: Kind, ms: number): string {
  let text = "";
  for (let rest = Math.max(0, Math.floor(ms)), digit = 0; digit < 10; digit++) {
    text = ALPHABET.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return `${kind}_${text}`;
}

/** Ids that a page may hold. */
export function boundsOf(
  { connections }: Context,
  kind: Kind,
  query: ListQuery,
  cursor: string | undefined,
): Bounds {
  const { sinceMs = 0, untilMs, oldestFirst = false } = query;
  let above = firstIdAt(kind, sinceMs - LATE_MS_MAX - connections.advancedMs);
  let below = untilMs === undefined ? `${kind}_zzzzzzzzzz` : firstIdAt(kind, untilMs + AHEAD_MS_MAX);
  if (cursor !== undefined && oldestFirst && cursor > above) above = cursor;
  if (cursor !== undefined && !oldestFirst && cursor < below) below = cursor;
  return { above, below };
}

/** The days for which there are partitions, without those that are made ahead. Undefined: there are none. */
export async function daysOf(
  { connections }: Context,
  table: "events" | "delivery_history",
): Promise<Days | undefined> {
  const [row] = await connections.runSafely<{ first: Day | null; last: Day | null }>("read", {
    text: `SELECT min(day) AS first, max(day) AS last
      FROM (SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'posthorn'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^${table}_[0-9]+_[0-9]{8}$') days`,
  });
  if (row === undefined || row.first === null || row.last === null) return undefined;
  const today = Math.floor((Date.now() + connections.advancedMs + LATE_MS_MAX) / DAY_MS);
  const first = numberOfDay(row.first);
  return { first, last: Math.max(first, Math.min(numberOfDay(row.last), today)) };
}

/** Windows of days, one after the other in the direction of the page, each larger than the one before. */
export function* windowsOf({ first, last }: Days, oldestFirst: boolean): Generator<Days> {
  for (let low = first, high = last, days = FIRST_DAYS; low <= high; days *= GROWTH) {
    const window = oldestFirst
      ? { first: low, last: Math.min(high, low + days - 1) }
      : { first: Math.max(low, high - days + 1), last: high };
    if (oldestFirst) low = window.last + 1;
    else high = window.first - 1;
    yield window;
  }
}

/** What of a window lies between the bounds. Undefined: nothing. */
export function stretchOf(
  { connections }: Context,
  kind: Kind,
  window: Days,
  bounds: Bounds,
): Stretch | undefined {
  const first = Math.max(window.first, Math.floor(timeOfStart(bounds.above) / DAY_MS));
  const last = Math.min(
    window.last,
    Math.floor((timeOfStart(bounds.below) + connections.advancedMs) / DAY_MS),
  );
  const from = firstIdAt(kind, first * DAY_MS - connections.advancedMs);
  const to = firstIdAt(kind, (last + 1) * DAY_MS);
  const above = bounds.above > from ? bounds.above : from;
  const below = bounds.below < to ? bounds.below : to;
  return first > last || above >= below
    ? undefined
    : { above, below, first: dayOf(first * DAY_MS), last: dayOf(last * DAY_MS) };
}

/** A condition on the rows of a table: the days say which partitions. */
export function within(alias: string, values: Values, { above, below, first, last }: Stretch): string {
  return `${alias}.id > ${values.add(above)} AND ${alias}.id < ${values.add(below)}
    AND ${alias}.day BETWEEN ${values.add(first)} AND ${values.add(last)}`;
}

/** The same for an index in which the day stands before the id: the pairs say where in it to begin and to end. */
export function byDayAndId(alias: string, values: Values, stretch: Stretch): string {
  const { above, below, first, last } = stretch;
  return `(${alias}.day, ${alias}.id) > (${values.add(first)}, ${values.add(above)})
    AND (${alias}.day, ${alias}.id) < (${values.add(last)}, ${values.add(below)}) AND ${within(alias, values, stretch)}`;
}

export function numberOfDay(day: Day): number {
  return Date.parse(day) / DAY_MS;
}

/** Of an id, or of the beginning of one. */
function timeOfStart(id: string): number {
  const [prefix = "", body = ""] = id.split("_");
  return timeOf(`${prefix}_${body.padEnd(30, "0")}`);
}

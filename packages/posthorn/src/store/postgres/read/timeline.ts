/**
 * Pages over all apps, in the order of the rows' own times. No index gives that order, but rows lie in it, and a BRIN index
 * says where: so windows of time are looked at, one after the other, each larger than the one before, until the page is full.
 * So that a read stays short, it may end before; its cursor goes on from there. A cursor is `time:id`, or `time:` for an edge.
 */
import { monotonicMs } from "../../../base/clock.ts";
import { isId } from "../../../base/ids.ts";
import type { ListQuery, Page } from "../../store.ts";
import type { Context } from "../context.ts";
import { type Day, dayOf } from "../day.ts";
import { EMPTY_PAGE, strangeCursor } from "./page.ts";
import { AHEAD_MS_MAX, DAY_MS, daysOf } from "./stretch.ts";
import { Values } from "./values.ts";

const FIRST_MS = 10_000;
/** Without a filter, 64 times the time has about 64 times the rows that did not fill the page. */
const GROWTH = 64;
/** With one, how many rows must be looked at cannot be told. */
const GROWTH_FILTERED = 4;
const READING_MS_MAX = 250;

/** From inclusive, to exclusive, and the days of the ids of what was stored then. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly first: Day;
  readonly last: Day;
}

export interface Timeline<Row extends { readonly id: string }, Thing> {
  readonly kind: "evt" | "dlv";
  readonly table: "events" | "delivery_history";
  /** The rows' own time, as `rows` names it. */
  readonly at: string;
  atOf(row: Row): number;
  /** A query of the rows of a span that fit. */
  rows(values: Values, span: Span): string;
  readonly filtered: boolean;
  map(row: Row): Thing;
}

interface Position {
  readonly atMs: number;
  /** Empty: before every row of that time. */
  readonly id: string;
}

export async function timeline<Row extends { readonly id: string }, Thing>(
  context: Context,
  query: ListQuery,
  { kind, table, at, atOf, rows, filtered, map }: Timeline<Row, Thing>,
): Promise<Page<Thing>> {
  const { limit, oldestFirst = false } = query;
  const position = query.cursor === undefined ? undefined : positionOf(kind, query.cursor);
  const days = await daysOf(context, table);
  if (days === undefined) return EMPTY_PAGE;
  const startedMs = monotonicMs();
  const found: Row[] = [];
  let fromMs = Math.max(
    query.sinceMs ?? 0,
    (days.first - 1) * DAY_MS,
    oldestFirst ? (position?.atMs ?? 0) : 0,
  );
  let toMs = Math.min(query.untilMs ?? Number.POSITIVE_INFINITY, (days.last + 2) * DAY_MS);
  if (!oldestFirst && position !== undefined) toMs = Math.min(toMs, position.atMs + 1);
  for (let length = FIRST_MS; fromMs < toMs; length *= filtered ? GROWTH_FILTERED : GROWTH) {
    const nearestMs = Math.min(toMs, Date.now() + context.connections.advancedMs);
    const edgeMs = oldestFirst ? Math.min(toMs, fromMs + length) : Math.max(fromMs, nearestMs - length);
    found.push(...(await look(oldestFirst ? fromMs : edgeMs, oldestFirst ? edgeMs : toMs)));
    const last = found[limit - 1];
    if (last !== undefined && found.length > limit) return page(`${atOf(last)}:${last.id}`);
    if (oldestFirst) fromMs = edgeMs;
    else toMs = edgeMs;
    if (monotonicMs() - startedMs > READING_MS_MAX && fromMs < toMs) return page(`${edgeMs}:`);
  }
  return page(null);

  function page(nextCursor: string | null): Page<Thing> {
    return { data: found.slice(0, limit).map(map), nextCursor };
  }

  async function look(from: number, to: number): Promise<Row[]> {
    const values = new Values();
    const [beyond, direction] = oldestFirst ? [">", "ASC"] : ["<", "DESC"];
    // Its id may be a day older: what made it may have been stopped before it was stored.
    const span = { fromMs: from, toMs: to, first: dayOf(from - DAY_MS), last: dayOf(to + AHEAD_MS_MAX) };
    const text = `SELECT * FROM (${rows(values, span)}) r
      ${position === undefined ? "" : `WHERE (${at}, id) ${beyond} (${values.add(position.atMs)}, ${values.add(position.id)})`}
      ORDER BY ${at} ${direction}, id ${direction} LIMIT ${values.add(limit + 1 - found.length)}`;
    return context.connections.runSafely<Row>("read", { text }, values.list);
  }
}

function positionOf(kind: "evt" | "dlv", cursor: string): Position {
  const [atMs = "", id = "", ...more] = cursor.split(":");
  if (/^\d{1,15}$/.test(atMs) && more.length === 0 && (id === "" ? cursor.endsWith(":") : isId(kind, id))) {
    return { atMs: Number(atMs), id };
  }
  throw strangeCursor(cursor);
}

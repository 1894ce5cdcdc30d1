/**
 * Pages of events and deliveries in the order of their ids, where an index gives that order. A filter may throw many rows
 * away; so that a read stays short, a page may hold fewer than asked for: its cursor goes on from there.
 */
import type { ListQuery, Page } from "../../store.ts";
import type { Context } from "../context.ts";
import type { Bounds, Stretch } from "./stretch.ts";
import { Values } from "./values.ts";

const LOOKED_AT_MAX = 20_000;
/** Rows looked at by the first statement of a page, and how many more by each further one. */
const CHUNK_MIN = 100;
const GROWTH = 4;

export interface Walk<Row extends { readonly id: string }, Thing> {
  /** The ids that a page beginning there may hold. */
  boundsAt(cursor: string | undefined): Bounds;
  /** What is looked at, part by part: what of each lies between bounds. */
  parts: Iterable<(bounds: Bounds) => Stretch | undefined>;
  /** A query of the next rows of a stretch, at most so many, in the order of the page. */
  next(values: Values, stretch: Stretch, rowsMax: string): string;
  /** A query of those rows of `looked` that fit. */
  fitting(values: Values): string;
  map(row: Row): Thing;
}

interface Edge {
  readonly lookedAt: number;
  /** The last row looked at. */
  readonly edge: string | null;
}

export async function walk<Row extends { readonly id: string }, Thing>(
  context: Context,
  { limit, cursor: start, oldestFirst = false }: ListQuery,
  { boundsAt, parts, next, fitting, map }: Walk<Row, Thing>,
): Promise<Page<Thing>> {
  const found: Row[] = [];
  let cursor = start;
  let lookedAt = 0;
  let chunk = Math.max(CHUNK_MIN, limit + 1);
  for (const part of parts) {
    for (;;) {
      const stretch = part(boundsAt(cursor));
      if (stretch === undefined) break;
      const rows = await look(stretch, limit + 1 - found.length);
      found.push(...rows.shown);
      if (found.length > limit) return page(found, found[limit - 1]?.id ?? null);
      if (rows.lookedAt < chunk || rows.edge === null) break;
      cursor = rows.edge;
      lookedAt += rows.lookedAt;
      if (lookedAt >= LOOKED_AT_MAX) return page(found, cursor);
      chunk = Math.min(chunk * GROWTH, LOOKED_AT_MAX);
    }
  }
  return page(found, null);

  function page(rows: readonly Row[], nextCursor: string | null): Page<Thing> {
    return { data: rows.slice(0, limit).map(map), nextCursor };
  }

  /** One statement, so one moment: what moves from one table to the other is seen in one of them. */
  async function look(stretch: Stretch, shownMax: number): Promise<Edge & { readonly shown: Row[] }> {
    const values = new Values();
    const [last, direction] = oldestFirst ? ["max", "ASC"] : ["min", "DESC"];
    const text = `WITH looked AS MATERIALIZED (${next(values, stretch, values.add(chunk))})
      SELECT edge.*, shown.* FROM (SELECT count(*) AS "lookedAt", ${last}(id) AS edge FROM looked) edge
      LEFT JOIN LATERAL (
        SELECT * FROM (${fitting(values)}) fitting ORDER BY id ${direction} LIMIT ${values.add(shownMax)}
      ) shown ON true ORDER BY shown.id ${direction}`;
    const rows = await context.connections.runSafely<Edge & Row>("read", { text }, values.list);
    const { lookedAt: looked = 0, edge = null } = rows[0] ?? {};
    const shown = rows
      .filter(({ id }) => id !== null)
      .map(({ lookedAt: _, edge: __, ...row }) => row as unknown as Row);
    return { lookedAt: looked, edge, shown };
  }
}

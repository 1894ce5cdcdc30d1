/** What the reader's verbs share. */
import type { DatabaseSync } from "node:sqlite";
import { PosthornError } from "../../../base/errors.ts";
import type { SqliteSettings } from "../options.ts";
import { type Query, query } from "../statement.ts";

export interface Reading {
  readonly db: DatabaseSync;
  readonly settings: SqliteSettings;
  /** The store's `now`, as the writer keeps it. */
  nowMs(): number;
}

/** For queries that are put together from a few parts: each text is prepared once. */
export class Statements {
  #db: DatabaseSync;
  #prepared = new Map<string, unknown>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  query<Row>(sql: string): Query<Row> {
    const known = this.#prepared.get(sql) ?? query<Row>(this.#db, sql);
    this.#prepared.set(sql, known);
    return known as Query<Row>;
  }
}

/** The seqs strictly between which a page lies. */
export interface Range {
  readonly above: number;
  readonly below: number;
}

export const EVERYTHING: Range = { above: -1, below: Number.MAX_SAFE_INTEGER };

/** What a page that continues at `cursor` may still hold. */
export function beyond(range: Range, cursor: string | undefined, oldestFirst: boolean): Range {
  if (cursor === undefined) return range;
  const seq = seqOfCursor(cursor);
  return oldestFirst
    ? { above: Math.max(range.above, seq), below: range.below }
    : { above: range.above, below: Math.min(range.below, seq) };
}

export function seqOfCursor(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new PosthornError(
    "invalid_field",
    `/cursor is not one that we gave (got "${cursor.slice(0, 40)}").`,
    {
      pointer: "/cursor",
    },
  );
}

/** The first seq at or after a time: rows are made in the order of both, so bisection finds it without an index. */
export function firstSeqAt(
  statements: Statements,
  table: string,
  column: string,
  atMs: number,
  number = "seq",
): number {
  const row = statements.query<{ seq: number; atMs: number }>(
    `SELECT ${number} AS seq, ${column} AS atMs FROM ${table} WHERE ${number} >= ? ORDER BY ${number} LIMIT 1`,
  );
  const last =
    statements.query<{ seq: number | null }>(`SELECT max(${number}) AS seq FROM ${table}`).get()?.seq ?? 0;
  let low = 0;
  let high = last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const found = row.get(middle);
    if (found === undefined || found.atMs >= atMs) high = middle;
    else low = found.seq + 1;
  }
  return low;
}

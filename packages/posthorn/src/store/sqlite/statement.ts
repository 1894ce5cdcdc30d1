/** Prepared statements with the types of their rows. The same objects that node:sqlite makes; only the types are ours. */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";

export interface Query<Row> {
  get(...values: SQLInputValue[]): Row | undefined;
  all(...values: SQLInputValue[]): Row[];
  iterate(...values: SQLInputValue[]): IterableIterator<Row>;
}

export interface Statement {
  run(...values: SQLInputValue[]): {
    readonly changes: number | bigint;
    readonly lastInsertRowid: number | bigint;
  };
}

export function query<Row>(db: DatabaseSync, sql: string): Query<Row> {
  return db.prepare(sql) as unknown as Query<Row>;
}

export function statement(db: DatabaseSync, sql: string): Statement {
  return db.prepare(sql);
}

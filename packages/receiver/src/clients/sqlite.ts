/** What this package needs of a SQLite database: `DatabaseSync` of node:sqlite has it, and so have better-sqlite3 and bun:sqlite. */

export type SqliteValue = null | number | bigint | string | Uint8Array;

export interface SqliteStatement {
  run(...values: SqliteValue[]): unknown;
  get(...values: SqliteValue[]): unknown;
  all(...values: SqliteValue[]): unknown[];
}

/** Also the transaction that handlers get: they write with it, and neither begin nor commit. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

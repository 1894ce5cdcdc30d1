/** The table of marks, and its statements. All run within a transaction. */
import type { SqliteDatabase, SqliteStatement } from "../../clients/sqlite.ts";
import { SweepPace } from "../sweep-pace.ts";

/** @param table in quotes */
export function createMarks(database: SqliteDatabase, table: string): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS ${table} (
      key TEXT PRIMARY KEY,
      -- When the mark ends, unix milliseconds.
      expires_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`);
  database.exec(`CREATE INDEX IF NOT EXISTS ${indexOf(table)} ON ${table} (expires_at_ms)`);
}

export class SqliteMarks {
  readonly #windowMs: number;
  readonly #pace = new SweepPace();
  readonly #set: SqliteStatement;
  readonly #get: SqliteStatement;
  readonly #sweep: SqliteStatement;

  constructor(
    database: SqliteDatabase,
    { table, windowMs }: { readonly table: string; readonly windowMs: number },
  ) {
    this.#windowMs = windowMs;
    this.#set = database.prepare(
      `INSERT INTO ${table} (key, expires_at_ms) VALUES (?, ?)
        ON CONFLICT (key) DO UPDATE SET expires_at_ms = excluded.expires_at_ms WHERE expires_at_ms <= ?
        RETURNING 1`,
    );
    this.#get = database.prepare(`SELECT 1 FROM ${table} WHERE key = ? AND expires_at_ms > ?`);
    this.#sweep = database.prepare(
      `DELETE FROM ${table} WHERE key IN (
        SELECT key FROM ${table} WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)`,
    );
  }

  /** @returns those that were not marked */
  add(keys: readonly string[]): ReadonlySet<string> {
    const nowMs = Date.now();
    // `all` runs a statement to its end, where `get` may leave it open in some drivers.
    const fresh = keys.filter((key) => this.#set.all(key, nowMs + this.#windowMs, nowMs).length > 0);
    const slice = this.#pace.after(fresh.length);
    if (slice > 0) this.#sweep.run(nowMs, slice);
    return new Set(fresh);
  }

  has(key: string): boolean {
    return this.#get.all(key, Date.now()).length > 0;
  }
}

function indexOf(table: string): string {
  return `${table.slice(0, -1)}_expires"`;
}

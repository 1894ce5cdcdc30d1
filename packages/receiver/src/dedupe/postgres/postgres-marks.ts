/** The table of marks, and its statements. The time is the database's, the same for all processes. */
import type { PostgresClient, PostgresPool } from "../../clients/postgres.ts";
import { createTable } from "../../clients/postgres-tables.ts";
import { SweepPace } from "../sweep-pace.ts";

/** @param table in quotes */
export function createMarks(pool: PostgresPool, table: string): Promise<void> {
  return createTable(
    pool,
    table,
    `CREATE TABLE IF NOT EXISTS ${table} (
      key text COLLATE "C" PRIMARY KEY,
      -- When the mark ends.
      expires_at timestamptz NOT NULL
    );
    CREATE INDEX IF NOT EXISTS ${table.slice(0, -1)}_expires" ON ${table} (expires_at)`,
  );
}

export class PostgresMarks {
  readonly #windowMs: number;
  readonly #pace = new SweepPace();
  readonly #add: string;
  readonly #sweep: string;

  constructor({ table, windowMs }: { readonly table: string; readonly windowMs: number }) {
    this.#windowMs = windowMs;
    // The condition on `expired` has it run first. A mark that is still good is neither locked nor written.
    this.#add = `
      WITH expired AS (
        DELETE FROM ${table} WHERE key = ANY($1::text[]) AND expires_at <= statement_timestamp() RETURNING 1
      )
      INSERT INTO ${table} (key, expires_at)
        SELECT key, statement_timestamp() + $2::double precision * interval '1 millisecond'
        FROM unnest($1::text[]) AS given (key) WHERE (SELECT count(*) FROM expired) >= 0
        ON CONFLICT (key) DO NOTHING RETURNING key`;
    // What another transaction is about to remove is not waited for.
    this.#sweep = `
      DELETE FROM ${table} WHERE key IN (
        SELECT key FROM ${table} WHERE expires_at <= statement_timestamp() ORDER BY expires_at LIMIT $1
        FOR UPDATE SKIP LOCKED)`;
  }

  /** Waits for other transactions that mark one of the keys. @returns those that were not marked */
  async add(client: PostgresClient, keys: readonly string[]): Promise<ReadonlySet<string>> {
    if (keys.length === 0) return new Set();
    // Everybody in one order: two calls cannot wait for each other.
    const { rows } = await client.query(this.#add, [keys.toSorted(), this.#windowMs]);
    const slice = this.#pace.after(rows.length);
    if (slice > 0) await client.query(this.#sweep, [slice]);
    return new Set(rows.map(({ key }) => key as string));
  }
}

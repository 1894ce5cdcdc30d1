/** The table of an inbox, and its statements. The time is the database's, the same for all processes. */
import type { PostgresClient, PostgresPool } from "../../clients/postgres.ts";
import { createTable } from "../../clients/postgres-tables.ts";
import { SweepPace } from "../../dedupe/sweep-pace.ts";
import { aboutOf, reasonOf, type StoredEntry } from "../entry.ts";
import type { InboxEvent, Postponement } from "../inbox.ts";

interface Row extends StoredEntry {
  /** A bigint: pg gives it as text. */
  readonly seq: string;
}

/** @param table in quotes */
export function createEntries(pool: PostgresPool, table: string): Promise<void> {
  const index = (name: string): string => `${table.slice(0, -1)}_${name}"`;
  return createTable(
    pool,
    table,
    `CREATE TABLE IF NOT EXISTS ${table} (
      seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      receiver text COLLATE "C" NOT NULL,
      key text COLLATE "C" NOT NULL UNIQUE,
      -- Waiting: not before. NULL: processed or buried, and from then on only a mark.
      due_at timestamptz,
      -- Of a mark: when it ends.
      expires_at timestamptz,
      failures integer NOT NULL DEFAULT 0,
      -- Why it was postponed last, or buried.
      reason text,
      -- JSON: id, type, timestampSeconds, receivedAtMs, headers. As text, which holds escapes that jsonb refuses.
      about text,
      payload bytea,
      CHECK ((due_at IS NULL) = (payload IS NULL) AND (due_at IS NULL) = (about IS NULL)),
      CHECK ((due_at IS NULL) <> (expires_at IS NULL))
    );
    CREATE INDEX IF NOT EXISTS ${index("due")} ON ${table} (receiver, due_at, seq) WHERE due_at IS NOT NULL;
    CREATE INDEX IF NOT EXISTS ${index("expires")} ON ${table} (expires_at) WHERE expires_at IS NOT NULL`,
  );
}

export class PostgresEntries {
  readonly #windowMs: number;
  readonly #pace = new SweepPace();
  readonly #statements: ReturnType<typeof statementsOf>;

  constructor({ table, windowMs }: { readonly table: string; readonly windowMs: number }) {
    this.#windowMs = windowMs;
    this.#statements = statementsOf(table);
  }

  /** @returns the keys of those that were new */
  async add(client: PostgresClient, events: readonly InboxEvent[]): Promise<ReadonlySet<string>> {
    // Everybody in one order of keys: two calls cannot wait for each other. Their places keep the order in which they came.
    const sorted = events
      .map((event, place) => ({ event, agoUs: events.length - place }))
      .toSorted((a, b) => (a.event.key < b.event.key ? -1 : 1));
    const { rows } = await client.query(this.#statements.add, [
      sorted.map(({ event }) => event.key),
      sorted.map(({ event }) => event.receiver),
      sorted.map(({ agoUs }) => agoUs),
      sorted.map(({ event }) => aboutOf(event)),
      sorted.map(({ event }) => event.payload),
    ]);
    const slice = this.#pace.after(rows.length);
    if (slice > 0) await client.query(this.#statements.sweep, [slice]);
    return new Set(rows.map(({ key }) => key as string));
  }

  /** Locks the entries to the end of the transaction; those that others have locked are passed over. */
  async lockDue(client: PostgresClient, receiver: string, limit: number): Promise<readonly Row[]> {
    const { rows } = await client.query(this.#statements.lockDue, [receiver, limit]);
    return rows as unknown as readonly Row[];
  }

  async finish(client: PostgresClient, seqs: readonly string[]): Promise<void> {
    await client.query(this.#statements.finish, [seqs, this.#windowMs]);
  }

  async postpone(
    client: PostgresClient,
    keys: readonly string[],
    { afterMs, isFailure, reason }: Postponement,
  ): Promise<void> {
    await client.query(this.#statements.postpone, [keys, afterMs, isFailure ? 1 : 0, reasonOf(reason)]);
  }

  async bury(client: PostgresClient, keys: readonly string[], reason: string): Promise<void> {
    await client.query(this.#statements.bury, [keys, this.#windowMs, reasonOf(reason)]);
  }

  async nextDueInMs(client: PostgresClient, receiver: string): Promise<number | null> {
    const { rows } = await client.query(this.#statements.nextDue, [receiver]);
    const [next] = rows as unknown as readonly { readonly dueInMs: number }[];
    return next === undefined ? null : Math.max(0, Math.ceil(next.dueInMs));
  }

  async waiting(client: PostgresClient, receiver: string): Promise<number> {
    const { rows } = await client.query(this.#statements.waiting, [receiver]);
    return rows[0]?.waiting as number;
  }
}

function statementsOf(table: string) {
  const fromNow = (parameter: string): string =>
    `statement_timestamp() + ${parameter}::double precision * interval '1 millisecond'`;
  const toMark = `due_at = NULL, about = NULL, payload = NULL, expires_at = ${fromNow("$2")}`;
  const waiting = `seq IN (
    SELECT seq FROM ${table} WHERE key = ANY($1::text[]) AND due_at IS NOT NULL ORDER BY seq FOR UPDATE)`;
  return {
    // The condition on `expired` has it run first.
    add: `
      WITH expired AS (
        DELETE FROM ${table} WHERE key = ANY($1::text[]) AND expires_at <= statement_timestamp() RETURNING 1
      )
      INSERT INTO ${table} (key, receiver, due_at, about, payload)
        SELECT key, receiver, statement_timestamp() - ago_us * interval '1 microsecond', about, payload
        FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::bytea[])
          AS given (key, receiver, ago_us, about, payload)
        WHERE (SELECT count(*) FROM expired) >= 0
        ON CONFLICT (key) DO NOTHING RETURNING key`,
    sweep: `
      DELETE FROM ${table} WHERE seq IN (
        SELECT seq FROM ${table} WHERE expires_at <= statement_timestamp() ORDER BY expires_at LIMIT $1
        FOR UPDATE SKIP LOCKED)`,
    lockDue: `
      SELECT seq, receiver, key, about, payload, failures FROM ${table}
        WHERE receiver = $1 AND due_at <= statement_timestamp()
        ORDER BY due_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED`,
    finish: `UPDATE ${table} SET ${toMark} WHERE seq = ANY($1::bigint[])`,
    postpone: `
      UPDATE ${table} SET due_at = ${fromNow("$2")}, failures = failures + $3::integer, reason = $4 WHERE ${waiting}`,
    bury: `UPDATE ${table} SET ${toMark}, reason = $3 WHERE ${waiting}`,
    nextDue: `
      SELECT (extract(epoch FROM due_at - statement_timestamp()) * 1000)::double precision AS "dueInMs"
      FROM ${table} WHERE receiver = $1 AND due_at IS NOT NULL ORDER BY due_at LIMIT 1`,
    waiting: `SELECT count(*)::integer AS waiting FROM ${table} WHERE receiver = $1 AND due_at IS NOT NULL`,
  };
}

/** The table of an inbox, and its statements. All run within a transaction. */
import type { SqliteDatabase, SqliteStatement } from "../../clients/sqlite.ts";
import { SweepPace } from "../../dedupe/sweep-pace.ts";
import { aboutOf, reasonOf, type StoredEntry } from "../entry.ts";
import type { InboxEvent, Postponement } from "../inbox.ts";

interface Row extends StoredEntry {
  readonly seq: number;
}

/** @param table in quotes */
export function createEntries(database: SqliteDatabase, table: string): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS ${table} (
      -- In the order of arrival.
      seq INTEGER PRIMARY KEY,
      receiver TEXT NOT NULL,
      key TEXT NOT NULL UNIQUE,
      -- Waiting: not before, unix milliseconds. NULL: processed or buried, and from then on only a mark.
      due_at_ms INTEGER,
      -- Of a mark: when it ends.
      expires_at_ms INTEGER,
      failures INTEGER NOT NULL DEFAULT 0,
      -- Why it was postponed last, or buried.
      reason TEXT,
      -- JSON: id, type, timestampSeconds, receivedAtMs, headers.
      about TEXT,
      payload BLOB,
      CHECK ((due_at_ms IS NULL) = (payload IS NULL) AND (due_at_ms IS NULL) = (about IS NULL)),
      CHECK ((due_at_ms IS NULL) <> (expires_at_ms IS NULL))
    ) STRICT`);
  database.exec(
    `CREATE INDEX IF NOT EXISTS ${indexOf(table, "due")} ON ${table} (receiver, due_at_ms, seq) WHERE due_at_ms IS NOT NULL`,
  );
  database.exec(
    `CREATE INDEX IF NOT EXISTS ${indexOf(table, "expires")} ON ${table} (expires_at_ms) WHERE expires_at_ms IS NOT NULL`,
  );
}

export class SqliteEntries {
  readonly #windowMs: number;
  readonly #pace = new SweepPace();
  readonly #statements: ReturnType<typeof prepareAll>;

  constructor(
    database: SqliteDatabase,
    { table, windowMs }: { readonly table: string; readonly windowMs: number },
  ) {
    this.#windowMs = windowMs;
    this.#statements = prepareAll(database, table);
  }

  /** @returns the keys of those that were new */
  add(events: readonly InboxEvent[]): ReadonlySet<string> {
    const nowMs = Date.now();
    const { forget, add, sweep } = this.#statements;
    const added = events.filter((event) => {
      forget.run(event.key, nowMs);
      return add.all(event.receiver, event.key, nowMs, aboutOf(event), event.payload).length > 0;
    });
    const slice = this.#pace.after(added.length);
    if (slice > 0) sweep.run(nowMs, slice);
    return new Set(added.map(({ key }) => key));
  }

  due(receiver: string, limit: number): readonly Row[] {
    return this.#statements.due.all(receiver, Date.now(), limit) as Row[];
  }

  finish(seqs: readonly number[]): void {
    const expiresAtMs = Date.now() + this.#windowMs;
    for (const seq of seqs) this.#statements.finish.run(expiresAtMs, seq);
  }

  isFinished(seq: number): boolean {
    return this.#statements.isFinished.all(seq).length > 0;
  }

  postpone(keys: readonly string[], { afterMs, isFailure, reason }: Postponement): void {
    const dueAtMs = Date.now() + afterMs;
    const failures = isFailure ? 1 : 0;
    for (const key of keys) this.#statements.postpone.run(dueAtMs, failures, reasonOf(reason), key);
  }

  bury(keys: readonly string[], reason: string): void {
    const expiresAtMs = Date.now() + this.#windowMs;
    for (const key of keys) this.#statements.bury.run(expiresAtMs, reasonOf(reason), key);
  }

  nextDueInMs(receiver: string): number | null {
    const [next] = this.#statements.nextDue.all(receiver) as { dueAtMs: number }[];
    return next === undefined ? null : Math.max(0, next.dueAtMs - Date.now());
  }

  waiting(receiver: string): number {
    const [{ waiting }] = this.#statements.waiting.all(receiver) as [{ waiting: number }];
    return waiting;
  }
}

function prepareAll(database: SqliteDatabase, table: string) {
  const prepare = (sql: string): SqliteStatement => database.prepare(sql);
  const toMark = "due_at_ms = NULL, about = NULL, payload = NULL, expires_at_ms = ?";
  return {
    forget: prepare(`DELETE FROM ${table} WHERE key = ? AND expires_at_ms <= ?`),
    add: prepare(
      `INSERT INTO ${table} (receiver, key, due_at_ms, about, payload) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (key) DO NOTHING RETURNING 1`,
    ),
    sweep: prepare(
      `DELETE FROM ${table} WHERE seq IN (
        SELECT seq FROM ${table} WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)`,
    ),
    due: prepare(
      `SELECT seq, receiver, key, about, payload, failures FROM ${table}
        WHERE receiver = ? AND due_at_ms <= ? ORDER BY due_at_ms, seq LIMIT ?`,
    ),
    finish: prepare(`UPDATE ${table} SET ${toMark} WHERE seq = ?`),
    isFinished: prepare(`SELECT 1 FROM ${table} WHERE seq = ? AND due_at_ms IS NULL`),
    postpone: prepare(
      `UPDATE ${table} SET due_at_ms = ?, failures = failures + ?, reason = ? WHERE key = ? AND due_at_ms IS NOT NULL`,
    ),
    bury: prepare(`UPDATE ${table} SET ${toMark}, reason = ? WHERE key = ? AND due_at_ms IS NOT NULL`),
    nextDue: prepare(
      `SELECT due_at_ms AS dueAtMs FROM ${table} WHERE receiver = ? AND due_at_ms IS NOT NULL ORDER BY due_at_ms LIMIT 1`,
    ),
    waiting: prepare(`SELECT count(*) AS waiting FROM ${table} WHERE receiver = ? AND due_at_ms IS NOT NULL`),
  };
}

function indexOf(table: string, name: string): string {
  return `${table.slice(0, -1)}_${name}"`;
}

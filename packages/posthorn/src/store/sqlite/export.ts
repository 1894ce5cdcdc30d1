/**
 * A SQLite store as the source of a copy. Read-only and from another process than the server's: SQLite lets it read beside the
 * writer, in short transactions, so that the log can be emptied in between.
 */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../base/errors.ts";
import type { AppId, EventId } from "../../base/ids.ts";
import { OPERATOR_UID } from "../../domain/defaults.ts";
import type { MasterKeyMark } from "../../security/master-key.ts";
import type { CarriedRow, Cell } from "../carried.ts";
import { openForReading, pragma } from "./database.ts";
import { ATTEMPTS, arraysOf, EXPUNGED, type SmallTable, smallTable } from "./export-tables.ts";
import { isBusy } from "./failure.ts";
import { type DataDirLock, lockDataDir } from "./lock.ts";
import { masterKeyOf } from "./master-key-check.ts";
import { schemaVersion } from "./migrate.ts";
import { DATABASE_FILE } from "./sqlite.ts";

/** What grows with traffic, and is copied slice by slice. `history` brings the attempts along. */
export const STREAMS = ["figures", "events", "history", "idempotency", "audit"] as const;
export type Stream = (typeof STREAMS)[number];

/** Where the next slice begins: after the row with these numbers. */
export type Position = readonly number[];

export interface Look {
  /** The store's clock; it may be a heartbeat behind, never ahead. */
  readonly nowMs: number;
  /** No delivery with a lower number is unfinished. */
  readonly unfinishedFrom: number;
}

export interface Expunged {
  readonly id: EventId;
  readonly app_id: AppId;
  readonly expunged_at_ms: number;
}

export interface Walked {
  readonly at: readonly number[];
  readonly cells: Cell[];
}

/** Of one read: about 10 ms. */
export const ROWS_MAX = 1000;
/** Of payloads and answers in it. */
export const BYTES_MAX = 4 * 1024 * 1024;

export class SqliteSource {
  readonly dataDir: string;
  /** The operator app's: made at the first start, and nowhere else. */
  readonly id: AppId;
  #db: DatabaseSync;
  #attempts: ReturnType<typeof arraysOf>;

  private constructor(dataDir: string, db: DatabaseSync, id: AppId) {
    this.dataDir = dataDir;
    this.#db = db;
    this.id = id;
    this.#attempts = arraysOf(db, ATTEMPTS);
  }

  /** @throws Error one line that says what to do */
  static open(dataDir: string): SqliteSource {
    const file = path.join(dataDir, DATABASE_FILE);
    if (!existsSync(dataDir) || !statSync(dataDir).isDirectory()) {
      throw new Error(`${dataDir} is not a directory: give the server's data directory, as sqlite:DIR.`);
    }
    if (!existsSync(file)) {
      throw new Error(`${dataDir} has no ${DATABASE_FILE}: give the server's data directory, as sqlite:DIR.`);
    }
    const db = openForReading(file);
    try {
      refuseOtherVersions(db, file);
      const operator = db
        .prepare("SELECT id FROM apps WHERE uid = ? AND removed_at_ms IS NULL")
        .get(OPERATOR_UID);
      if (operator === undefined)
        throw new Error(`No server was ever started on ${dataDir}: there is nothing to copy.`);
      return new SqliteSource(dataDir, db, operator.id as AppId);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** Keeps servers out. Undefined: one is in. */
  lock(): DataDirLock | undefined {
    try {
      return lockDataDir(this.dataDir);
    } catch (error) {
      if (error instanceof Error && isBusy(error.cause)) return undefined;
      throw error;
    }
  }

  close(): void {
    this.#db.close();
  }

  /** From here to `release` everything is read as it is now. */
  pin(): void {
    this.#db.exec("BEGIN");
    this.#db.prepare("SELECT now_ms FROM store_facts").get();
  }

  release(): void {
    if (this.#db.isTransaction) this.#db.exec("COMMIT");
  }

  look(): Look {
    const row = this.#db
      .prepare(
        `SELECT now_ms AS nowMs, ifnull((SELECT min(seq) FROM deliveries),
          ifnull((SELECT max(seq) FROM delivery_history), 0) + 1) AS unfinishedFrom FROM store_facts`,
      )
      .get();
    return row as unknown as Look;
  }

  unfinished(): { readonly count: number; readonly leased: number } {
    const row = this.#db
      .prepare("SELECT count(*) AS count, count(leased_by) AS leased FROM deliveries")
      .get();
    return row as unknown as { count: number; leased: number };
  }

  /** Of these, the master key that its secrets are sealed under; undefined: it is none of them. */
  masterKeyOf(keys: readonly MasterKeyMark[]): MasterKeyMark | undefined {
    return masterKeyOf(this.#db, keys);
  }

  prunedAtMs(): number | null {
    return (this.#db.prepare("SELECT pruned_at_ms AS ms FROM store_facts").get()?.ms ?? null) as
      | number
      | null;
  }

  /** About how many rows there are behind a position: numbers are given without gaps, and pruned from below. */
  rowsBehind(stream: Stream, [after = -1]: Position): number {
    const table = {
      figures: "figures",
      events: "events",
      history: "delivery_history",
      idempotency: "idempotency",
      audit: "audit_log",
    }[stream];
    const number = stream === "audit" ? "number" : "seq";
    const row =
      stream === "figures"
        ? this.#db.prepare("SELECT count(*) AS count FROM figures WHERE minute_ms >= ?").get(after)
        : this.#db.prepare(`SELECT count(*) AS count FROM ${table} WHERE ${number} > ?`).get(after);
    return Number(row?.count);
  }

  small(table: SmallTable): CarriedRow[] {
    return smallTable(this.#db, table);
  }

  expunged(): Expunged[] {
    return this.#db.prepare(EXPUNGED).all() as unknown as Expunged[];
  }

  /** The attempts of a delivery. */
  attempts(seq: number, deliveryId: Cell, appId: Cell): CarriedRow[] {
    const rows = this.#attempts.all(seq);
    for (const row of rows) {
      row[4] = deliveryId;
      row[5] = appId;
    }
    return rows;
  }

  /** Rows of a query, the numbers that it is walked by apart from the cells. */
  *walk(sql: string, values: readonly number[], numbers = 1): Generator<Walked> {
    for (const row of arraysOf(this.#db, sql).iterate(...values)) {
      yield { at: row.slice(0, numbers) as number[], cells: row.slice(numbers) };
    }
  }

  /** The number of the newest finished delivery. */
  lastFinished(): number {
    return Number(this.#db.prepare("SELECT ifnull(max(seq), 0) AS seq FROM delivery_history").get()?.seq);
  }

  /** The first event that was accepted then or later. */
  firstEventSince(ms: number): number {
    let low = 0;
    let high = Number(this.#db.prepare("SELECT ifnull(max(seq), 0) + 1 AS seq FROM events").get()?.seq);
    const at = this.#db.prepare(
      "SELECT accepted_at_ms AS ms FROM events WHERE seq >= ? ORDER BY seq LIMIT 1",
    );
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (Number(at.get(middle)?.ms ?? Number.POSITIVE_INFINITY) >= ms) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

export function bytesOf(cells: CarriedRow): number {
  let bytes = 0;
  for (const cell of cells) if (cell !== null && typeof cell === "object") bytes += cell.length;
  return bytes;
}

function refuseOtherVersions(db: DatabaseSync, file: string): void {
  let found: number;
  try {
    found = Number(pragma(db, "user_version"));
  } catch (error) {
    throw new Error(`${file} is not a database: ${messageOf(error)}.`, { cause: error });
  }
  const known = schemaVersion();
  if (found > known) {
    throw new Error(
      `${file} has schema version ${found}, and this posthorn knows versions up to ${known}: copy it with the posthorn that wrote it, or a newer one.`,
    );
  }
  if (found < 1) throw new Error(`${file} is not a database of Posthorn.`);
  if (found < known) {
    throw new Error(
      `${file} has schema version ${found}, and this posthorn copies version ${known}: start this version's server on it once, which upgrades it.`,
    );
  }
}

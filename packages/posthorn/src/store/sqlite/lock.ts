/**
 * One process per data directory. The lock is SQLite's own lock on a second, tiny database, held by an open transaction:
 * the operating system drops it with the process, however that ends, so there is no stale lock to clean up.
 */
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { isBusy } from "./failure.ts";

export interface DataDirLock {
  release(): void;
}

/** Throws when another process (or another store of this one) holds the directory. */
export function lockDataDir(dataDir: string): DataDirLock {
  const db = new DatabaseSync(path.join(dataDir, "posthorn.lock"), { timeout: 0 });
  try {
    db.exec(`
      PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;
      CREATE TABLE IF NOT EXISTS holder (one INTEGER PRIMARY KEY CHECK (one = 1), pid INTEGER NOT NULL);
      INSERT INTO holder VALUES (1, ${process.pid}) ON CONFLICT DO UPDATE SET pid = excluded.pid;
      BEGIN IMMEDIATE;
    `);
  } catch (error) {
    const inUse = isBusy(error);
    const holder = inUse ? holderOf(db) : "";
    db.close();
    if (!inUse) throw error;
    throw new Error(
      `The data directory ${dataDir} is in use by ${holder}. Stop it first, or choose another directory (--data-dir).`,
      { cause: error },
    );
  }
  return { release: () => db.close() };
}

/** A reserved lock lets others read, so the holder can be named. */
function holderOf(db: DatabaseSync): string {
  try {
    const row = db.prepare("SELECT pid FROM holder").get();
    return row === undefined ? "another process" : `process ${row.pid}`;
  } catch {
    return "another process";
  }
}

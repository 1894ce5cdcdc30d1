/** Opens a connection, and refuses to go on unless SQLite really does what "durable" stands on. */
import { DatabaseSync } from "node:sqlite";

/** The page cache of each connection, in KiB. */
export const WRITER_CACHE_KIB = 16 * 1024;
export const READER_CACHE_KIB = 8 * 1024;

/**
 * A checkpoint follows the commit that makes the write-ahead log longer than this. 8 MiB: measured, it stalls the writer
 * for about 5 ms, and pages that change often are written back once for many commits.
 */
const CHECKPOINT_PAGES = 2000;
/** What a checkpoint leaves of a log that had to grow (under a long read) is cut to this. */
const WAL_BYTES_KEPT = 64 * 1024 * 1024;

export function openForWriting(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 5000 });
  try {
    db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
      PRAGMA journal_size_limit = ${WAL_BYTES_KEPT};
      PRAGMA cache_size = -${WRITER_CACHE_KIB};
      PRAGMA mmap_size = 0;
      PRAGMA temp_store = MEMORY;
    `);
    assertDurable(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

export function openForReading(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  db.exec(
    `PRAGMA cache_size = -${READER_CACHE_KIB}; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;`,
  );
  return db;
}

/** `synchronous` 2 is FULL: the log is synced at each commit. NORMAL would lose the last commits on a power cut. */
export function assertDurable(db: DatabaseSync): void {
  const journal = pragma(db, "journal_mode");
  const synchronous = pragma(db, "synchronous");
  if (journal === "wal" && synchronous === 2) return;
  throw new Error(
    `SQLite does not keep what was answered: journal_mode is ${journal} (must be wal), synchronous is ${synchronous} (must be 2). ` +
      "Put the data directory on a local file system.",
  );
}

export function pragma(db: DatabaseSync, name: string): unknown {
  return Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

/** Sees to it that what was committed survives a power cut. Sources: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html */
import type { SqliteDatabase } from "./sqlite.ts";

export type SqliteKind = "file" | "memory";

/** The log is synced at each commit; NORMAL would lose the last commits. EXTRA is 3. */
const SYNCHRONOUS_FULL = 2;

/**
 * Sets `journal_mode = WAL` and `synchronous = FULL` where they are not set, and looks whether they are. A database in memory stays.
 * @throws Error when SQLite does not do it
 */
export function makeDurable(database: SqliteDatabase): SqliteKind {
  if (isInMemory(database)) return "memory";
  if (pragma(database, "journal_mode") !== "wal") pragma(database, "journal_mode = WAL");
  if (!isFull(database)) database.exec(`PRAGMA synchronous = ${SYNCHRONOUS_FULL}`);
  const journal = pragma(database, "journal_mode");
  if (journal === "wal" && isFull(database)) return "file";
  throw new Error(
    `SQLite does not keep what was answered: journal_mode is ${journal} (must be wal), synchronous is ${pragma(
      database,
      "synchronous",
    )} (must be 2 or 3). Put the database on a local file system.`,
  );
}

/** The first value that a pragma answers. */
export function pragma(database: SqliteDatabase, text: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${text}`).get() ?? {})[0];
}

function isFull(database: SqliteDatabase): boolean {
  return Number(pragma(database, "synchronous")) >= SYNCHRONOUS_FULL;
}

/** A database in memory, and a temporary one, have no file. */
function isInMemory(database: SqliteDatabase): boolean {
  const databases = database.prepare("PRAGMA database_list").all() as { name: string; file: string | null }[];
  return (databases.find(({ name }) => name === "main")?.file ?? "") === "";
}

/** The primary result code SQLITE_BUSY, in the low byte of the extended ones: https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/** Whether another connection has the lock. node:sqlite has a number in `errcode`, bun:sqlite in `errno`, better-sqlite3 a name in `code`. */
export function isBusy(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { errcode, errno, code } = error as { errcode?: unknown; errno?: unknown; code?: unknown };
  const number = typeof errcode === "number" ? errcode : errno;
  if (typeof number === "number" && (number & 0xff) === SQLITE_BUSY) return true;
  return typeof code === "string" && code.startsWith("SQLITE_BUSY");
}

/** What an error of SQLite means for us. Codes: https://www.sqlite.org/rescode.html */
const BUSY = 5;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

/**
 * `full`: no room for more, undone and harmless. `fatal`: what is on the disk is not what we believe (a failed sync above
 * all: the kernel may have dropped the pages, and a second sync would report success), so the process must end.
 * `other`: a bad element, or a fault of ours.
 */
export type FailureKind = "full" | "fatal" | "other";

export function failureKind(error: unknown): FailureKind {
  switch (primaryCode(error)) {
    case FULL:
      return "full";
    case IOERR:
    case CORRUPT:
    case CANTOPEN:
    case NOTADB:
      return "fatal";
    default:
      return "other";
  }
}

export function isBusy(error: unknown): boolean {
  return primaryCode(error) === BUSY;
}

/** Extended codes carry the primary one in their low byte: 1034 (IOERR_FSYNC) is 10 (IOERR). */
function primaryCode(error: unknown): number {
  const code = error instanceof Error && "errcode" in error ? error.errcode : 0;
  return typeof code === "number" ? code & 0xff : 0;
}

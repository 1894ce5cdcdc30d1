/** Files that hold a key: made once, whole or not at all, readable by their owner alone. */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, linkSync, openSync, unlinkSync, writeSync } from "node:fs";
import path from "node:path";

/**
 * Written whole and synced under another name first, so that no crash leaves half of a key; then linked, which fails if
 * the name is taken, so that of two starts at once one makes the key and the other reads it. Mode 0600.
 * @returns false when the file was there already: it is left as it is
 */
export function makeSecretFile(file: string, content: string): boolean {
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  const descriptor = openSync(draft, "wx", 0o600);
  try {
    writeSync(descriptor, content);
    fsyncSync(descriptor);
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    closeSync(descriptor);
    unlinkSync(draft);
  }
  syncDirectory(path.dirname(file));
  return true;
}

/** Makes the new name durable, too. Windows knows no such call. */
function syncDirectory(directory: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(directory, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

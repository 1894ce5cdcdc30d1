/** Files that hold a key: made once, whole or not at all, readable by their owner alone. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchownSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import path from "node:path";

/**
 * Written whole and synced under another name first, so that no crash leaves half of a key; then linked, which fails if
 * the name is taken, so that of two starts at once one makes the key and the other reads it. Mode 0600.
 * @returns false when the file was there already: it is left as it is
 */
export function makeSecretFile(file: string, content: string): boolean {
  const draft = writeDraft(file, content);
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
  syncDirectory(path.dirname(file));
  return true;
}

/**
 * Puts new content in the place of the old one: after a crash the file holds one of both, whole. Mode 0600. A link stays one,
 * and the owner stays who it was: whoever changes the key as root must not take it away from the server.
 */
export function replaceSecretFile(file: string, content: string): void {
  const target = realpathSync(file);
  const draft = writeDraft(target, content, statSync(target));
  try {
    renameSync(draft, target);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  }
  syncDirectory(path.dirname(target));
}

/** Whole and synced, under another name. */
function writeDraft(
  file: string,
  content: string,
  owner?: { readonly uid: number; readonly gid: number },
): string {
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  const descriptor = openSync(draft, "wx", 0o600);
  try {
    if (owner !== undefined && process.getuid?.() === 0) fchownSync(descriptor, owner.uid, owner.gid);
    writeSync(descriptor, content);
    fsyncSync(descriptor);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return draft;
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

/**
 * Dead letters in a file: one line of JSON (NDJSON) for each event that nobody tries again. It is opened for each letter, so whoever moves
 * it away to work on it loses none.
 */
import { Buffer, isUtf8 } from "node:buffer";
import { open } from "node:fs/promises";
import path from "node:path";
import type { DeadLetter, DeadLetters } from "../receiver/dead-letters.ts";
import { isSecretHeader } from "./secret-headers.ts";

/** Readable for its owner alone: payloads hold what senders hold of people. */
export function deadLetterFile(file: string): DeadLetters {
  // One after the other, so that each begins on a line of its own.
  let last: Promise<void> = Promise.resolve();
  return {
    append(letter) {
      const line = lineOf(letter);
      last = last.then(
        () => write(file, line),
        () => write(file, line),
      );
      return last;
    },
  };
}

function lineOf({ event, receiver, by, reason, attempts, deadLetteredAtMs }: DeadLetter): string {
  const { id, type, payload, receivedAtMs } = event;
  const isText = isUtf8(payload);
  const headers = Object.entries(event.headers).filter(([name]) => !isSecretHeader(name));
  return JSON.stringify({
    at: new Date(deadLetteredAtMs).toISOString(),
    receiver,
    by,
    reason,
    attempts,
    id,
    type,
    receivedAt: new Date(receivedAtMs).toISOString(),
    headers: Object.fromEntries(headers),
    encoding: isText ? "utf8" : "base64",
    payload: Buffer.from(payload).toString(isText ? "utf8" : "base64"),
  });
}

async function write(file: string, line: string): Promise<void> {
  const handle = await open(file, "a+", 0o600);
  try {
    const { size } = await handle.stat();
    // A crash may have cut the last line: the next one does not become part of it.
    const isCut = size > 0 && (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== 0x0a;
    await handle.appendFile(`${isCut ? "\n" : ""}${line}\n`);
    await handle.sync();
    if (size === 0) await syncFolder(path.dirname(file));
  } finally {
    await handle.close();
  }
}

/** A new file is only there for good when its folder says so. Windows opens no folders, and needs none of this. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * A file that lines are added to. What `append` answered for is on the disk; what a crash left of a line is cut off at the next start,
 * and so is what a failed write left. One process at a time has it (file-lock.ts).
 */
import { Buffer } from "node:buffer";
import { type FileHandle, open, rename } from "node:fs/promises";
import path from "node:path";

interface Batch {
  readonly texts: string[];
  readonly written: Promise<void>;
}

export class Journal {
  readonly #file: string;
  /** null: closed, or just sealed; the next write opens it. */
  #handle: FileHandle | null;
  #bytes: number;
  /** The last write failed: what it left has to go before the next. */
  #isTorn = false;
  #tail: Promise<unknown> = Promise.resolve();
  /** Waits for its turn; whatever comes until then goes with it. */
  #waiting: Batch | null = null;

  private constructor(file: string, handle: FileHandle, bytes: number) {
    this.#file = file;
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /** Makes the file where there is none, in a folder that exists. @throws Error where it holds something else */
  static async open(file: string): Promise<Journal> {
    const handle = await openDurably(file);
    try {
      await checkOwn(handle, file);
      return new Journal(file, handle, await repair(handle));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param text whole lines. What comes while the disk is busy is written together, with one sync. */
  append(text: string): Promise<void> {
    if (this.#waiting === null) {
      const texts: string[] = [];
      const written = this.#inTurn(() => {
        this.#waiting = null;
        return this.#write(Buffer.from(texts.join("")));
      });
      this.#waiting = { texts, written };
    }
    this.#waiting.texts.push(text);
    return this.#waiting.written;
  }

  /**
   * Renames what there is so far, and begins anew.
   * @param newName asked when its turn has come
   * @returns false: there was less than `leastBytes`
   */
  seal(newName: () => Promise<string>, leastBytes: number): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#bytes < leastBytes) return false;
      const sealed = await newName();
      await this.#release();
      await rename(this.#file, sealed);
      this.#bytes = 0;
      return true;
    });
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#release());
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#handle ??= await openDurably(this.#file);
    await this.#cutOff(this.#handle);
    this.#isTorn = true;
    await this.#handle.appendFile(bytes);
    await this.#handle.datasync();
    this.#isTorn = false;
    this.#bytes += bytes.length;
  }

  async #cutOff(handle: FileHandle): Promise<void> {
    if (!this.#isTorn) return;
    await handle.truncate(this.#bytes);
    this.#isTorn = false;
  }

  async #release(): Promise<void> {
    if (this.#handle === null) return;
    await this.#cutOff(this.#handle);
    await this.#handle.close();
    this.#handle = null;
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
  }
}

/** The new name is on the disk, too, before the first line is. */
async function openDurably(file: string): Promise<FileHandle> {
  const handle = await open(file, "a+", 0o600);
  await syncFolder(path.dirname(file));
  return handle;
}

/** Where folders can be synced: not on Windows. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const BEGINNING = Buffer.from('{"id":"');

/** A crash may have left a part of the first line, or room for it without any of it: nothing but zeros. */
async function checkOwn(handle: FileHandle, file: string): Promise<void> {
  const { size } = await handle.stat();
  const head = Buffer.alloc(Math.min(size, BEGINNING.length));
  await handle.read(head, 0, head.length, 0);
  if (head.equals(BEGINNING.subarray(0, head.length)) || (await isBlank(handle))) return;
  throw new Error(
    `append: ${file} holds something else: it does not begin with ${BEGINNING}. Give append a file of its own.`,
  );
}

async function isBlank(handle: FileHandle): Promise<boolean> {
  const chunk = Buffer.alloc(64 * 1024);
  for (let start = 0; ; start += chunk.length) {
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, start);
    if (bytesRead === 0) return true;
    if (chunk.subarray(0, bytesRead).some((byte) => byte !== 0)) return false;
  }
}

/** Cuts off what follows the last line break. @returns how many bytes stay */
async function repair(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const chunk = Buffer.alloc(64 * 1024);
  let end = size;
  let whole = 0;
  while (end > 0 && whole === 0) {
    const start = Math.max(0, end - chunk.length);
    const { bytesRead } = await handle.read(chunk, 0, end - start, start);
    whole = start + chunk.subarray(0, bytesRead).lastIndexOf("\n") + 1;
    if (whole === start) whole = 0;
    end = start;
  }
  if (whole === size) return size;
  await handle.truncate(whole);
  await handle.datasync();
  return whole;
}

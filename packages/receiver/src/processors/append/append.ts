/**
 * Events into files: `append({ file: "orders.ndjson" })`, one line each, or `append({ file: "orders.parquet" })`: into
 * `orders.ndjson` first, which becomes `orders-000001.parquet` and so on. What was answered for is on the disk. A file is no part of
 * the receiver's transaction, so a rollback or a crash after it was written may repeat an event: `analyse` counts each id once.
 */
import path from "node:path";
import { loadDuckDb } from "../duckdb/duckdb.ts";
import type { ColumnTypes } from "../duckdb/event-files.ts";
import type { Processor } from "../processor.ts";
import { type AppendColumn, eventLine, lineColumns } from "./event-line.ts";
import { lockFile } from "./file-lock.ts";
import { Journal } from "./journal.ts";
import { convertParts, nextPart } from "./parts.ts";

export interface AppendOptions {
  /** In a folder that exists. One `append` at a time writes it, and what has its name with another ending. */
  readonly file: string;
  /** By the ending of `file` when left out: `.parquet`, else `ndjson`. */
  readonly format?: "ndjson" | "parquet";
  /** When a part is complete. NDJSON: never when left out. Parquet: 64 MiB of NDJSON, or 1 h, and at close. */
  readonly rotate?: { readonly bytesMax?: number; readonly everyMs?: number };
  /** Columns beside `data`, each from a path. Text that is no number in a column of numbers is poison. */
  readonly columns?: Readonly<Record<string, AppendColumn>>;
  /** Of a rotation that failed: nothing is lost, and it is tried again. A warning of the process when left out. */
  onError?(error: unknown): void;
}

const OPTIONS = ["file", "format", "rotate", "columns", "onError"];
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @throws RangeError, PathError for options that cannot be */
export function append(options: AppendOptions): Processor & { close(): Promise<void> } {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) throw new RangeError(`append: ${unknown} is unknown; use ${OPTIONS.join(", ")}`);
  const { format = path.extname(options.file) === ".parquet" ? "parquet" : "ndjson" } = options;
  if (format !== "ndjson" && format !== "parquet") throw new RangeError('format is "ndjson" or "parquet"');
  const { bytesMax, everyMs } = rotation(options.rotate, format);
  const columns = lineColumns(options.columns ?? {});
  const types: ColumnTypes = Object.fromEntries(columns.map(({ name, type }) => [name, type]));
  const file = path.resolve(options.file);
  const stem = path.join(path.dirname(file), path.basename(file, path.extname(file)));
  const report = options.onError ?? ((error: unknown) => process.emitWarning(error as Error));

  let opening: Promise<Journal> | null = null;
  let unlock: () => Promise<void> = async () => {};
  let timer: NodeJS.Timeout | undefined;
  let converting: Promise<void> = Promise.resolve();

  async function open(): Promise<Journal> {
    if (format === "parquet") await loadDuckDb();
    unlock = await lockFile(file, stem);
    try {
      const journal = await Journal.open(format === "parquet" ? `${stem}.ndjson` : file);
      if (journal.bytes > 0) startTimer();
      return journal;
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /** A start that failed is tried again by the next. */
  function opened(): Promise<Journal> {
    opening ??= open().catch((error) => {
      opening = null;
      throw error;
    });
    return opening;
  }

  function startTimer(): void {
    if (timer !== undefined || everyMs === undefined) return;
    timer = setTimeout(() => void rotate(1).catch(report), everyMs).unref();
  }

  async function rotate(leastBytes: number): Promise<void> {
    const journal = await opened();
    clearTimeout(timer);
    timer = undefined;
    const wasSealed = await journal.seal(() => nextPart(stem), leastBytes);
    if (wasSealed && format === "parquet") convert();
    if (!wasSealed && journal.bytes > 0) startTimer();
  }

  function convert(): void {
    converting = converting.then(() => convertParts(stem, types)).catch(report);
  }

  return {
    kind: "processor",
    name: `append ${path.basename(file)}`,

    async start() {
      await opened();
    },

    async process(events) {
      if (events.length === 0) return;
      const lines = events.map((event) => eventLine(event, columns)).join("");
      const journal = await opened();
      await journal.append(lines);
      if (journal.bytes >= bytesMax) await rotate(bytesMax).catch(report);
      else startTimer();
    },

    async close() {
      if (opening === null) return;
      const journal = await opened();
      try {
        if (format === "parquet") await rotate(1).finally(() => journal.close());
        else await journal.close();
        await converting;
        if (format === "parquet") await convertParts(stem, types);
      } finally {
        clearTimeout(timer);
        timer = undefined;
        opening = null;
        await unlock();
      }
    },
  };
}

function rotation(
  { bytesMax, everyMs }: NonNullable<AppendOptions["rotate"]> = {},
  format: "ndjson" | "parquet",
): { readonly bytesMax: number; readonly everyMs: number | undefined } {
  for (const [name, value] of Object.entries({ bytesMax, everyMs })) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue;
    throw new RangeError(`rotate.${name} is a whole number of at least 1, not ${value}`);
  }
  if (everyMs !== undefined && everyMs > MAX_TIMER_MS) {
    throw new RangeError(`rotate.everyMs is at most ${MAX_TIMER_MS} (24 days), not ${everyMs}`);
  }
  return format === "parquet"
    ? { bytesMax: bytesMax ?? 64 * 1024 * 1024, everyMs: everyMs ?? 3_600_000 }
    : { bytesMax: bytesMax ?? Number.POSITIVE_INFINITY, everyMs };
}

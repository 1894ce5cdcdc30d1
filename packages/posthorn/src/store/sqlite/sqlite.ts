/**
 * The embedded store: one SQLite file, one thread that writes, one that reads. WAL and `synchronous=FULL`, so what was
 * answered is on the disk.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { Logger } from "../../base/logger.ts";
import { silentLogger } from "../../base/logger.ts";
import { DEFAULTS, LIMITS } from "../../domain/defaults.ts";
import type { MasterKeyMark } from "../../security/master-key.ts";
import type { Store } from "../store.ts";
import { backUp } from "./backup.ts";
import type { SqliteSettings } from "./options.ts";
import { ReaderClient } from "./reader-client.ts";
import { createClockMemory } from "./shared-clock.ts";
import type { ReaderVerb, WriterVerb } from "./wire.ts";
import { WorkerThread } from "./worker-thread.ts";
import { WriterClient } from "./writer-client.ts";

export interface SqliteOptions {
  /** Made with mode 0700 when it is not there. The database is `<dataDir>/posthorn.db`. */
  readonly dataDir: string;
  readonly logger?: Logger;
  /** How long idempotency keys are remembered. Default 24 h. */
  readonly idempotencyMs?: number;
  /** How long a delivery of a chunked fan-out may wait past its due time. Default 7 days. */
  readonly waitMsMax?: number;
  /** Below this much free space accepting answers `full`: the rest is kept for settling. Default 256 MiB. */
  readonly reserveBytes?: number;
  /** How long figures and finished replays are kept. Default 90 days. */
  readonly figuresMs?: number;
  /**
   * What the master keys that open secrets are known by, first the one which seals. A store that does not know its key yet
   * keeps the check value of that which its secrets are sealed under, else of the first. Default: nothing is compared.
   */
  readonly masterKeyMarks?: readonly MasterKeyMark[];
  /** For tests: the file cannot grow beyond so many pages of 4 KiB. */
  readonly maxPageCount?: number;
  /**
   * The disk failed (a sync above all): what it holds is not what was believed, and the process must end. Default: throws
   * outside any call, which ends it.
   */
  readonly onFatal?: (error: Error) => void;
}

export const DATABASE_FILE = "posthorn.db";
const DAY_MS = 86_400_000;

/**
 * Opens the store, making or upgrading its database. Rejects when another process has the directory, when the database is
 * of a newer posthorn, or when SQLite does not keep what was answered; with WrongMasterKeyError, when its secrets are
 * sealed under a master key that is none of `masterKeyMarks`.
 */
export async function openSqliteStore(options: SqliteOptions): Promise<Store> {
  const dataDir = path.resolve(options.dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const settings: SqliteSettings = {
    dataDir,
    file: path.join(dataDir, DATABASE_FILE),
    idempotencyMs: options.idempotencyMs ?? DEFAULTS.idempotencyMs,
    waitMsMax: options.waitMsMax ?? LIMITS.waitMsMax,
    reserveBytes: options.reserveBytes ?? 256 * 1024 * 1024,
    figuresMs: options.figuresMs ?? 90 * DAY_MS,
    pagesMax: options.maxPageCount ?? null,
    masterKeyMarks: options.masterKeyMarks ?? [],
    clock: createClockMemory(),
  };
  const logger = options.logger ?? silentLogger;
  const onFatal = (error: Error): void => {
    logger.fatal({ error: error.message, dataDir }, "store.failed");
    (options.onFatal ?? endTheProcess)(error);
  };
  const writing = new WorkerThread<WriterVerb>(new URL("./writer.ts", import.meta.url), settings, onFatal);
  await writing.ready;
  const reading = new WorkerThread<ReaderVerb>(new URL("./reader.ts", import.meta.url), settings, onFatal);
  try {
    await reading.ready;
  } catch (error) {
    await writing.close();
    throw error;
  }
  const write = new WriterClient(writing);
  return {
    shared: false,
    watch: () => () => {},
    write,
    read: new ReaderClient(reading),
    backup: (target) => backUp(settings.file, path.resolve(target)),
    advance: (ms) => write.advance(ms),
    async close() {
      await write.idle();
      await reading.close();
      await writing.close();
    },
  };
}

function endTheProcess(error: Error): void {
  setImmediate(() => {
    throw error;
  });
}

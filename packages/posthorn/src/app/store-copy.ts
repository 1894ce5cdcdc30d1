/**
 * Moves a single server's store to PostgreSQL while it serves. First everything that stays as it is, pass after pass, each with
 * what came during the one before; then, with the server held, the rest, from one moment of the source; then both are compared.
 */
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { monotonicMs } from "../base/clock.ts";
import { loadMasterKeys, MASTER_KEY_VARIABLE, masterKeyMark } from "../security/master-key.ts";
import { CONFIGURATION } from "../store/carried.ts";
import { PostgresTarget } from "../store/postgres/import.ts";
import { type Position, SqliteSource, STREAMS, type Stream } from "../store/sqlite/export.ts";
import { unfinishedSlices } from "../store/sqlite/export-pages.ts";
import { sliceOf, startOf } from "../store/sqlite/export-slices.ts";
import { WrongMasterKeyError } from "../store/wrong-master-key.ts";
import { type ComparedTable, Comparing } from "./store-comparison.ts";
import { readVersion } from "./version.ts";

/** Over a server that has the source open. */
export interface Holding {
  /** Begins, or goes on for so long from now. The same `since` means that it was never interrupted. */
  take(seconds: number): Promise<{ readonly since: string }>;
  release(): Promise<void>;
}

export interface CopyReport {
  /** A stage with about so many rows. */
  stage(what: string, rows: number): { add(rows: number): void; end(): void };
  note(line: string): void;
}

export interface CopyOptions {
  /** The data directory. */
  readonly from: string;
  /** URL of the database. */
  readonly to: string;
  /** The value of POSTHORN_MASTER_KEY; without it `<data dir>/master.key` is read. */
  readonly masterKey: string | undefined;
  /** The value of POSTHORN_OLD_MASTER_KEYS: while a rotation is under way, one of them may be the source's. */
  readonly oldMasterKeys: string | undefined;
  /** The server at the source, when one has it open. @param operatorApp id by which it is known for the right one */
  holding(operatorApp: string): Promise<Holding>;
  /** Gives the server back at the end. */
  readonly release: boolean;
  /** Without rests between the batches. */
  readonly fullSpeed: boolean;
  readonly report: CopyReport;
}

export interface CopyResult {
  readonly tables: readonly ComparedTable[];
  readonly equal: boolean;
  /** For how long the server was held; null: there was none. */
  readonly heldMs: number | null;
  /** It still is. */
  readonly held: boolean;
}

/** What a pass leaves for the next: nothing that ended before `ms` is missing, nor has what ended since a lower number than `seq`. */
interface Mark {
  readonly ms: number;
  readonly seq: number;
}

interface Progress {
  positions: Partial<Record<Stream, Position>>;
  since: Mark;
  /** Of the pass under way. */
  next: Mark | null;
}

/** An attempt may be written so long after its delivery ended: it was under way when somebody cancelled that. At most 30 s. */
const LATE_MS = 60_000;
/** Passes end when one is so short, or after so many. */
const PASS_MS = 5000;
const PASSES_MAX = 8;
const SAVE_EVERY_MS = 1000;
const HOLD_SECONDS = 600;
/** At the end: time to stop the old server. */
const HOLD_SECONDS_MAX = 3600;

/** @throws Error one line that says what to do; a copy that was broken off goes on when it is asked for again */
export async function copyStore(options: CopyOptions): Promise<CopyResult> {
  const from = path.resolve(options.from);
  const source = SqliteSource.open(from);
  try {
    const keyCheck = checkedMasterKey(source, options);
    const lock = source.lock();
    try {
      const holding = lock === undefined ? await options.holding(source.id) : null;
      const target = await PostgresTarget.open({
        url: options.to,
        source: source.id,
        keyCheck,
        apps: () => source.small("apps"),
      });
      try {
        return await new StoreCopy(source, target, holding, options).run();
      } finally {
        await target.close();
      }
    } finally {
      lock?.release();
    }
  } finally {
    source.close();
  }
}

/**
 * The check value of the master key that the source is sealed under, which the copy will be, too.
 * @throws Error when it is of none of those that are here
 */
function checkedMasterKey(source: SqliteSource, { masterKey, oldMasterKeys }: CopyOptions): Uint8Array {
  const file = path.join(source.dataDir, "master.key");
  const keys = loadMasterKeys({
    fromEnvironment: masterKey,
    oldFromEnvironment: oldMasterKeys,
    file,
    // One that is made now would open nothing.
    mayMake: false,
  });
  const found = source.masterKeyOf([keys.current, ...keys.old].map(masterKeyMark));
  if (found !== undefined) return found.check;
  const error = new WrongMasterKeyError(`the store in ${source.dataDir}`);
  throw new Error(
    `${error.message} The key came from ${keys.source}. Put the store's own key into ${file}, or set ${MASTER_KEY_VARIABLE} to it.`,
    { cause: error },
  );
}

class StoreCopy {
  #source: SqliteSource;
  #target: PostgresTarget;
  #holding: Holding | null;
  #options: CopyOptions;
  #progress: Progress = { positions: {}, since: { ms: 0, seq: 0 }, next: null };
  #savedAtMs = 0;
  #rests: boolean;

  constructor(source: SqliteSource, target: PostgresTarget, holding: Holding | null, options: CopyOptions) {
    this.#source = source;
    this.#target = target;
    this.#holding = holding;
    this.#options = options;
    this.#rests = holding !== null && !options.fullSpeed;
  }

  async run(): Promise<CopyResult> {
    const { report } = this.#options;
    Object.assign(this.#progress, await this.#target.progress<Progress>());
    if (this.#progress.next !== null || this.#progress.since.ms > 0)
      report.note("A copy that was begun before goes on.");
    await this.#target.hurry(true);
    await this.#target.putConfiguration(this.#configuration());
    const comparing = new Comparing(this.#source, this.#target);
    if (this.#holding === null) return this.#lastPart(comparing, null);
    for (let passes = 1; ; passes++) {
      const startedAtMs = monotonicMs();
      await this.#pass(passes === 1 ? "" : ` (since, ${passes})`);
      if (passes === PASSES_MAX || monotonicMs() - startedAtMs < PASS_MS) break;
    }
    const { ms } = this.#progress.since;
    await this.#staged("compared", this.#rowsToCompare(), (add) => comparing.settled(ms, add));
    return this.#held(this.#holding, (check) => this.#lastPart(comparing, check));
  }

  // ---- what stays as it is -----------------------------------------------------------------------------------------

  async #pass(name: string): Promise<void> {
    const { positions, since } = this.#progress;
    if (this.#progress.next === null) {
      const { nowMs, unfinishedFrom } = this.#source.look();
      this.#progress.next = { ms: Math.max(since.ms, nowMs - LATE_MS), seq: unfinishedFrom };
      for (const stream of ["history", "figures"] as const)
        positions[stream] = startOf(stream, since.ms, since.seq);
      await this.#target.saveProgress(this.#progress);
    }
    for (const stream of STREAMS) await this.#stream(stream, name);
    this.#progress.since = this.#progress.next;
    this.#progress.next = null;
    await this.#target.saveProgress(this.#progress);
  }

  async #stream(stream: Stream, name: string): Promise<void> {
    const start = this.#progress.positions[stream] ?? startOf(stream, 0, 0);
    await this.#staged(`${stream}${name}`, this.#source.rowsBehind(stream, start), async (add) => {
      for (let done = false, position = start; !done; ) {
        const startedAtMs = monotonicMs();
        const recentMs = this.#progress.next?.ms ?? 0;
        const slice = sliceOf(this.#source, stream, position, { sinceMs: this.#progress.since.ms, recentMs });
        await this.#target.put(slice.parts);
        ({ position, done } = slice);
        await this.#moveOn(stream, position, slice.firstRecent);
        add(slice.parts[0]?.rows.length ?? 0);
        // Half of the time is the server's.
        if (this.#rests) await wait(monotonicMs() - startedAtMs);
      }
    });
  }

  async #moveOn(stream: Stream, position: Position, firstRecent: number | null): Promise<void> {
    const { positions, next } = this.#progress;
    positions[stream] = position;
    if (next !== null && firstRecent !== null && firstRecent < next.seq)
      this.#progress.next = { ...next, seq: firstRecent };
    if (monotonicMs() - this.#savedAtMs < SAVE_EVERY_MS) return;
    this.#savedAtMs = monotonicMs();
    await this.#target.saveProgress(this.#progress);
  }

  // ---- the last part -----------------------------------------------------------------------------------------------

  /** Whatever goes wrong, the server is given back: it has everything, and the copy can be asked for again. */
  async #held(
    holding: Holding,
    work: (check: () => Promise<void>) => Promise<CopyResult>,
  ): Promise<CopyResult> {
    this.#rests = false;
    const startedAtMs = monotonicMs();
    this.#options.report.note(
      "The server is held: publishing answers 503 until it is given back or stopped.",
    );
    let since: string | undefined;
    let lost: Error | undefined;
    const check = async (seconds = HOLD_SECONDS): Promise<void> => {
      const now = await holding.take(seconds);
      since ??= now.since;
      if (now.since !== since)
        lost ??= new Error(
          "The hold was interrupted, so the copy may lack something: run it again, it goes on.",
        );
      if (lost !== undefined) throw lost;
    };
    const prolonging = setInterval(
      () => check().catch((error: Error) => (lost ??= error)),
      (HOLD_SECONDS / 5) * 1000,
    );
    let result: CopyResult;
    try {
      // It may fail with the server held all the same: its answer was lost, or it came too late.
      await check();
      result = await work(() => check(HOLD_SECONDS_MAX));
    } catch (error) {
      await holding.release().catch(() => {});
      throw error;
    } finally {
      clearInterval(prolonging);
    }
    const held = result.equal && !this.#options.release;
    if (!held) await holding.release();
    return { ...result, held, heldMs: monotonicMs() - startedAtMs };
  }

  async #lastPart(comparing: Comparing, check: (() => Promise<void>) | null): Promise<CopyResult> {
    const source = this.#source;
    const target = this.#target;
    const settledSeq = this.#progress.since.seq;
    source.pin();
    try {
      await this.#pass(this.#holding === null ? "" : " (last)");
      await target.expunge(source.expunged());
      await target.empty(["deliveries", "fan_outs"]);
      await target.putConfiguration(this.#configuration());
      await target.put([{ table: "fan_outs", rows: source.small("fan_outs") }]);
      await this.#unfinished();
      await target.hurry(false);
      const tables = await this.#staged(
        "compared",
        this.#holding === null ? this.#rowsToCompare() : 0,
        (add) => comparing.rest(settledSeq, add),
      );
      const equal = tables.every(({ differing }) => differing.length === 0);
      await check?.();
      // What differs is found by copying everything anew; what is equal is there already.
      if (equal) await target.finish(source.prunedAtMs());
      else await target.saveProgress({});
      return { tables, equal, heldMs: null, held: false };
    } finally {
      source.release();
    }
  }

  #configuration() {
    return CONFIGURATION.map((table) => ({ table, rows: this.#source.small(table) }));
  }

  async #unfinished(): Promise<void> {
    const waiting = this.#source.unfinished();
    if (waiting.leased > 0) await this.#target.makeHolder(readVersion());
    await this.#staged("unfinished deliveries", waiting.count, async (add) => {
      for (const slice of unfinishedSlices(this.#source)) {
        await this.#target.put(slice);
        add(slice[0]?.rows.length ?? 0);
      }
    });
  }

  #rowsToCompare(): number {
    return this.#source.rowsBehind("events", [0]) + this.#source.rowsBehind("history", [0]);
  }

  async #staged<Result>(
    what: string,
    rows: number,
    work: (add: (rows: number) => void) => Promise<Result>,
  ): Promise<Result> {
    const stage = this.#options.report.stage(what, rows);
    try {
      return await work((more) => stage.add(more));
    } finally {
      stage.end();
    }
  }
}

/** How the store is opened, as its threads see it. */
import type { MasterKeyMark } from "../../security/master-key.ts";
import type { ClockMemory } from "./shared-clock.ts";

export interface SqliteSettings {
  readonly dataDir: string;
  readonly file: string;
  /** How long idempotency keys must not be used again. */
  readonly idempotencyMs: number;
  /** How long a delivery of a chunked fan-out may wait. */
  readonly waitMsMax: number;
  /** Below this much free space, accepting answers `full`: the rest is for settling. */
  readonly reserveBytes: number;
  /** Figures, finished replays and voided incarnations are deleted after this. */
  readonly figuresMs: number;
  /** For tests: the file cannot grow beyond so many pages. null: no bound. */
  readonly pagesMax: number | null;
  /** Of the master keys that open secrets, first that of the one which seals. Empty: nothing is compared. */
  readonly masterKeyMarks: readonly MasterKeyMark[];
  readonly clock: ClockMemory;
}

/** The epoch of every lane: one node owns all of them, and its incarnation is the fence. */
export const EPOCH = 1;

/**
 * CONTRACT of a dedupe store: remembers which events were handled, and hands the handler a transaction, so that the mark and what the
 * handler writes are one commit (`memory` and `redis` have none: there a crash between the two may repeat an event).
 *
 * - Of two calls with the same key at the same time one works; the other waits for it, or answers `busy`.
 * - A call whose work throws leaves no mark and no write, and rejects with that error.
 * - A mark lives for the window, 7 days unless told otherwise: longer than any sender's schedule (Posthorn's default is 75 h 35 min,
 *   its longest 10 days), because a shorter one lets the last retries through. Old marks are removed in passing, in small slices: no
 *   call costs more for the number of marks there are.
 */

export const DEDUPE_WINDOW_MS = 7 * 24 * 60 * 60 * 1000;

export type OnceOutcome =
  | "done"
  /** Handled before, within the window. */
  | "duplicate"
  /** Being handled by somebody else at this moment. */
  | "busy";

/**
 * @param transaction commits with the marks
 * @param fresh indices into the keys, ascending, never empty: those that were not handled before
 */
export type OnceWork<Transaction> = (transaction: Transaction, fresh: readonly number[]) => Promise<void>;

export interface DedupeStore<Transaction = undefined> {
  /**
   * Runs `work` for those keys that are new, then marks them: all or nothing. A key that stands twice among `keys` is fresh once, the
   * second is a `duplicate`. Without any fresh key `work` does not run.
   * @param keys each at most 512 characters
   * @returns one outcome per key
   */
  once(keys: readonly string[], work: OnceWork<Transaction>): Promise<readonly OnceOutcome[]>;
  /** How many calls of `once` at a time are of use, and leave a connection for what handlers do besides: 1 where there is one writer. */
  readonly onceMax: number;
  /** Waits for work under way. Connections that the caller opened stay open. */
  close(): Promise<void>;
}

/**
 * CONTRACT of an inbox: keeps events that were acknowledged before they were processed. What `put` answered for is on the disk: a
 * crash loses nothing of it. An entry is `waiting` until `take` processed it, or it was buried; then its bytes go and its key stays as
 * a mark for the window (DEDUPE_WINDOW_MS), so that the inbox deduplicates, too.
 */

export interface InboxEvent {
  /** The receiver's name: an entry is taken by its own receiver alone, so that receivers may share an inbox. */
  readonly receiver: string;
  /** What it is deduplicated by, at most 512 characters. */
  readonly key: string;
  readonly id: string;
  readonly type: string;
  readonly timestampSeconds: number | null;
  readonly receivedAtMs: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Its `data` is read again by the scheme's `describe`. */
  readonly payload: Uint8Array;
}

export interface InboxEntry extends InboxEvent {
  /** How often it was postponed. */
  readonly failures: number;
}

export interface Postponement {
  readonly afterMs: number;
  readonly isFailure: boolean;
  readonly reason: string;
}

export type PutOutcome = "stored" | "duplicate";

export interface Inbox<Transaction = undefined> {
  /** One transaction, on the disk when it resolves. */
  put(events: readonly InboxEvent[]): Promise<readonly PutOutcome[]>;
  /**
   * Takes the receiver's oldest entries that are due, at most `limit`, and runs `work` in a transaction that also marks them as processed: both
   * commit, or neither. When `work` throws, the entries wait as before, and the call rejects with that error. Calls at the same time, of
   * other processes too, take different entries.
   * @returns how many were processed; 0: none is due
   */
  take(
    wish: { readonly receiver: string; readonly limit: number },
    work: (transaction: Transaction, entries: readonly InboxEntry[]) => Promise<void>,
  ): Promise<number>;
  /** How many calls of `take` at a time are of use, and leave room for `put`: 1 where there is one writer. */
  readonly takesMax: number;
  /** Not before `afterMs` from now again; `failures` goes up by one if this was one. */
  postpone(keys: readonly string[], later: Postponement): Promise<void>;
  /** Never again. What it held goes: whoever buries wrote it to the dead letters first. */
  bury(keys: readonly string[], reason: string): Promise<void>;
  /** Until the receiver's next waiting entry is due, 0 if one is; null: none waits. Costs the same however many wait. */
  nextDueInMs(receiver: string): Promise<number | null>;
  /** How many of the receiver's wait. Costs by their number. */
  waiting(receiver: string): Promise<number>;
  close(): Promise<void>;
}

/**
 * CONTRACT of a processor: does something with events, many at a time. It may stand wherever a handler does:
 * `handlers: { "order.*": insert({ ... }), "*": [append({ ... }), aggregate({ ... })] }`; a list is worked through in its order.
 *
 * - All or nothing: it throws, and nothing of the batch is done, as far as it can be undone. A batch that failed is tried again one by one.
 * - PoisonError: this event, or one of this batch, can never be processed. Anything else: not now, the sender (or the inbox) tries again.
 * - What is not part of the transaction (a file, another server, memory) is done last, or from `onCommit`; a crash may repeat it, and each
 *   event carries its id, so that the other side can tell.
 */
import type { ReceivedEvent } from "../receiver/event.ts";

export interface ProcessContext<Transaction = unknown> {
  /** Of the dedupe store or the inbox; undefined where it has none. */
  readonly transaction: Transaction;
  /** Runs after the commit, in order, and is not waited for; what it throws is reported, and undoes nothing. For what only counts once it is certain. */
  onCommit(effect: () => unknown): void;
  /** Aborted when the receiver closes and waits no longer. */
  readonly signal: AbortSignal;
}

export interface Processor<Transaction = unknown> {
  readonly kind: "processor";
  /** For logs and dead letters, such as `insert orders`. */
  readonly name: string;
  process(events: readonly ReceivedEvent[], context: ProcessContext<Transaction>): Promise<void>;
  /** Once, before the first event: creates a table, opens a file. Throwing ends the start. */
  start?(): Promise<void>;
  /** Writes out what it holds back. */
  close?(): Promise<void>;
}

/** What the conformance suite of inboxes needs of each, and events for it. */
import type { Inbox, InboxEvent } from "./inbox.ts";

export interface InboxOptions {
  readonly windowMs?: number;
}

/** A place for entries of its own, gone with the test. */
export interface InboxHarness<Transaction = unknown> {
  /** An inbox as another process would have it. */
  open(options?: InboxOptions): Promise<Inbox<Transaction>>;
  /** What a handler writes. */
  write(transaction: Transaction, row: string): Promise<void>;
  /** What was written and committed, as another connection sees it. */
  written(): Promise<readonly string[]>;
  /** How many rows the inbox has, marks included, and how many bytes of payloads. */
  size(): Promise<{ readonly rows: number; readonly bytes: number }>;
  /** Moves the clock. */
  advance(ms: number): Promise<void>;
  /** Ends the connection under a handler, as a crash would. What was opened before is of no use then. */
  crash(transaction: Transaction): Promise<void>;
  destroy(): Promise<void>;
}

export const RECEIVER = "shop";

export function eventOf(key: string, changes: Partial<InboxEvent> = {}): InboxEvent {
  return {
    receiver: RECEIVER,
    key,
    id: `id-${key}`,
    type: "order.created",
    timestampSeconds: 1_700_000_000,
    receivedAtMs: 1_700_000_000_123,
    headers: { "content-type": "application/json" },
    payload: new TextEncoder().encode(`{"key":"${key}"}`),
    ...changes,
  };
}

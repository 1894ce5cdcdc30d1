/** How an event lies in an inbox: its bytes as they are, and what is known of it besides as JSON, which holds any text there is. */
import { checkKey } from "../dedupe/keys.ts";
import type { InboxEntry, InboxEvent, Postponement } from "./inbox.ts";

const RECEIVER_LENGTH_MAX = 256;
const REASON_LENGTH_MAX = 1000;
const ENTRIES_MAX = 10_000;
const WAIT_MS_MAX = 366 * 24 * 60 * 60 * 1000;

export interface StoredEntry {
  readonly receiver: string;
  readonly key: string;
  /** Of `aboutOf`. */
  readonly about: string;
  readonly payload: Uint8Array;
  readonly failures: number;
}

/** @throws RangeError for a receiver or a key that no store takes, or a payload that is no bytes */
export function checkEvent({ receiver, key, payload }: InboxEvent): void {
  checkReceiver(receiver);
  checkKey(key);
  if (!(payload instanceof Uint8Array)) {
    throw new RangeError(`the payload of ${JSON.stringify(key)} is not a Uint8Array`);
  }
}

export function aboutOf({ id, type, timestampSeconds, receivedAtMs, headers }: InboxEvent): string {
  return JSON.stringify({ id, type, timestampSeconds, receivedAtMs, headers });
}

export function entryOf({ receiver, key, about, payload, failures }: StoredEntry): InboxEntry {
  const event = JSON.parse(about) as Omit<InboxEvent, "receiver" | "key" | "payload">;
  return { receiver, key, ...event, payload, failures };
}

/** As any database takes it. */
export function reasonOf(text: string): string {
  return text.slice(0, REASON_LENGTH_MAX).toWellFormed().replaceAll("\0", "");
}

/** @throws RangeError */
export function checkReceiver(receiver: string): void {
  const isStorable = receiver.isWellFormed() && !receiver.includes("\0");
  if (receiver === "" || receiver.length > RECEIVER_LENGTH_MAX || !isStorable) {
    throw new RangeError(
      `receiver is ${JSON.stringify(receiver)}: it must be 1 to ${RECEIVER_LENGTH_MAX} characters, without NUL and half surrogate pairs`,
    );
  }
}

/** @throws RangeError */
export function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > ENTRIES_MAX) {
    throw new RangeError(`limit is ${limit}: it must be a whole number from 1 to ${ENTRIES_MAX}`);
  }
}

/** @throws RangeError */
export function checkPostponement({ afterMs }: Postponement): void {
  if (!Number.isInteger(afterMs) || afterMs < 0 || afterMs > WAIT_MS_MAX) {
    throw new RangeError(`afterMs is ${afterMs}: it must be a whole number of milliseconds, at most a year`);
  }
}

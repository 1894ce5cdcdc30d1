/** An event as handlers and processors get it: verified, decrypted, read. */
export interface ReceivedEvent<Type extends string = string, Data = unknown> {
  /** The provider's id, the same for each attempt; a random one (`rcv_...`) where the provider has none. */
  readonly id: string;
  readonly type: Type;
  /** The domain part, parsed. Whole numbers beyond 2^53 are exact only in `payload`. */
  readonly data: Data;
  /** When the sender signed, unix seconds; null: its scheme does not say. */
  readonly timestampSeconds: number | null;
  /** The exact bytes that the signature vouches for, decrypted. */
  readonly payload: Uint8Array;
  /** As received, names in lower case, several lines joined with a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly receivedAtMs: number;
}

/** Event types and their data: `createReceiver<{ "order.created": Order }>(...)`. */
export type EventMap = Record<string, unknown>;

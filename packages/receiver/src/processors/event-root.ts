/** What the `$` of a path stands for. */
import { Buffer } from "node:buffer";
import type { ReceivedEvent } from "../receiver/event.ts";
import type { RootName } from "./path.ts";

/**
 * `id`, `type`, `data` and `headers` (names in lower case) as they are; `timestamp` (when the sender signed; null where its scheme does
 * not say) and `receivedAt` in ISO 8601; `payload` as text.
 */
export type EventRoot = { readonly [Name in RootName]: unknown };

/** @param data in place of the event's own, where another reading of it is wanted */
export function eventRoot(event: ReceivedEvent, data: unknown = event.data): EventRoot {
  const { id, type, headers, timestampSeconds, receivedAtMs } = event;
  let payload: string | undefined;
  return {
    id,
    type,
    headers,
    data,
    timestamp: timestampSeconds === null ? null : new Date(timestampSeconds * 1000).toISOString(),
    receivedAt: new Date(receivedAtMs).toISOString(),
    // Made only for a path that asks for it.
    get payload() {
      payload ??= Buffer.from(event.payload).toString();
      return payload;
    },
  };
}

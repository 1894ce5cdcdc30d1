/** When what an event tells of happened. */
import type { ReceivedEvent } from "../receiver/event.ts";
import { instantOf } from "./insert/instant.ts";

/**
 * Unix milliseconds: the `timestamp` of the payload where it is one of Standard Webhooks (there each attempt is signed anew, the
 * occurrence stays), else when the sender signed, else when it arrived.
 */
export function occurredAtMs(event: ReceivedEvent): number {
  const isStandard = "webhook-id" in event.headers || "svix-id" in event.headers;
  const stated = isStandard ? statedMs(event.payload) : Number.NaN;
  if (Number.isFinite(stated)) return stated;
  return event.timestampSeconds === null ? event.receivedAtMs : event.timestampSeconds * 1000;
}

/** NaN: it says none. */
function statedMs(payload: Uint8Array): number {
  try {
    const { timestamp } = JSON.parse(new TextDecoder().decode(payload)) ?? {};
    return typeof timestamp === "string" ? millisecondsOf(timestamp) : Number.NaN;
  } catch {
    return Number.NaN;
  }
}

/** A time without an offset is no moment: it would be read as one of this machine's zone. */
function millisecondsOf(text: string): number {
  const instant = instantOf(text);
  return instant === undefined
    ? Number.NaN
    : instant.seconds * 1000 + Math.floor(instant.microseconds / 1000);
}

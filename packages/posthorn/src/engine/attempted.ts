/** An attempt that ended, and what is made of it: the row for the store, the entry for the feed. Pure. */
import { type IncarnationId, locatorOf, newId } from "../base/ids.ts";
import type { BreakerChange, NextStep } from "../store/store.ts";
import type { Receipt } from "../transports/transport.ts";
import type { FeedEntry } from "./feed.ts";
import type { Lane, Ready } from "./lane.ts";
import type { Outcome } from "./settler.ts";

export interface Attempted {
  readonly lane: Lane;
  readonly ready: Ready;
  readonly receipt: Receipt;
  readonly next: NextStep;
  /** It ended a time in which every attempt failed. */
  readonly recovers: boolean;
  /** Monotonic. */
  readonly startedAtMs: number;
  /** Where it was sent, as it stood then. */
  readonly url: string;
}

export function outcomeOf(
  attempted: Attempted,
  incarnation: IncarnationId,
  breaker: BreakerChange | null,
): Outcome {
  const { ready, receipt, next, recovers, startedAtMs, url } = attempted;
  return {
    settlement: settlementOf(ready, incarnation, next, recovers),
    attempt: {
      id: newId("att", locatorOf(ready.appId)),
      number: ready.attempts + 1,
      startedAtMs,
      durationMs: receipt.durationMs,
      outcome: receipt.outcome,
      responseBody: receipt.responseBody,
      url,
    },
    breaker,
  };
}

/** A lease given back unsent. */
export function releaseOf(leased: Leased, incarnation: IncarnationId): Outcome {
  return {
    settlement: settlementOf(leased, incarnation, { kind: "release" }, false),
    attempt: null,
    breaker: null,
  };
}

/** A delivery as a settlement names it. */
export type Leased = Pick<Ready, "id" | "appId" | "endpointId" | "eventId">;

function settlementOf(
  { id: deliveryId, appId, endpointId, eventId }: Leased,
  incarnation: IncarnationId,
  next: NextStep,
  recovers: boolean,
): Outcome["settlement"] {
  return { incarnation, deliveryId, appId, endpointId, eventId, next, recovers };
}

export function feedEntryOf({ ready, receipt, next }: Attempted): FeedEntry {
  const { id: deliveryId, appId, endpointId, eventId, eventType } = ready;
  return {
    kind: "attempt",
    appId,
    endpointId,
    eventId,
    deliveryId,
    eventType,
    number: ready.attempts + 1,
    outcome: receipt.outcome,
    durationMs: receipt.durationMs,
    next: followsOf(next),
  };
}

function followsOf(next: NextStep): Extract<FeedEntry, { kind: "attempt" }>["next"] {
  switch (next.kind) {
    case "retry":
      return { retryInMs: next.inMs };
    case "release":
      return { retryInMs: 0 };
    default:
      return next.kind;
  }
}

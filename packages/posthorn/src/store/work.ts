/** What the engine and a store say to each other about work: accepting, claiming, settling, and the duties. Part of the contract. */
import type {
  AppId,
  AttemptId,
  DeliveryId,
  EndpointId,
  EventId,
  IncarnationId,
  PublicationId,
  ReplayId,
} from "../base/ids.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { BreakerState } from "../domain/breaker.ts";
import type {
  CancelReason,
  DeadLetterReason,
  DeliveryClass,
  DeliveryTrigger,
  FinalState,
} from "../domain/delivery.ts";
import type { NodeRole } from "../domain/node.ts";
// ---- accept -------------------------------------------------------------------------------------------------------

export interface Acceptance {
  readonly event: NewEvent;
  /** The configVersion of the AppConfig that the deliveries were chosen with. */
  readonly configVersion: number;
  readonly deliveries: readonly NewDelivery[];
  /** Endpoints beyond `deliveries`, frozen now and continued by extendFanOut. */
  readonly fanOut: readonly EndpointId[];
  /** Keys that must not have been used within the idempotency window: `uid:...`, `key:...`. */
  readonly idempotency: readonly { readonly key: string; readonly fingerprint: Uint8Array }[];
  /** Where the source had got to, committed with the event. */
  readonly source: { readonly sourceId: string; readonly position: Uint8Array } | null;
  /** What it was picked up from: deleted with the event's commit. */
  readonly publication?: PublicationId;
}

export interface NewEvent {
  readonly id: EventId;
  readonly appId: AppId;
  readonly uid: string | null;
  readonly eventType: string;
  readonly timestamp: string;
  readonly channels: readonly string[];
  readonly orderingKey: string | null;
  readonly deliverAtMs: number | null;
  /** Through how many webhooks it came. */
  readonly hops: number;
  readonly payload: Uint8Array;
  readonly dataStart: number;
  readonly dataEnd: number;
}

export interface NewDelivery {
  readonly id: DeliveryId;
  readonly endpointId: EndpointId;
  readonly trigger: DeliveryTrigger;
  readonly class: DeliveryClass;
  /** null: unordered. fifo: "". keyed: the ordering key. Takes the lane's next sequence number in this transaction. */
  readonly orderKey: string | null;
  /** Wanted by the dispatcher at once: leased to this incarnation, if the order allows. null: stored unleased. */
  readonly lease: IncarnationId | null;
  /** From now, or from deliverAt. */
  readonly expiresInMs: number;
}

export type AcceptResult =
  /**
   * `unleased`: deliveries that wanted a lease and did not get one: an ordered lane or key was not empty, or another node
   * owns the lane.
   */
  | { readonly kind: "accepted"; readonly unleased: readonly DeliveryId[] }
  | {
      readonly kind: "duplicate";
      readonly eventId: EventId;
      readonly deliveries: number;
      readonly fanOut: "done" | "pending";
    }
  /** The key is known with another fingerprint. */
  | { readonly kind: "conflict"; readonly key: string; readonly eventId: EventId }
  /** Another configVersion: reload and repeat. */
  | { readonly kind: "stale" }
  /** The app is gone. */
  | { readonly kind: "gone" }
  /** Its publication is not there any more: another node has picked it up. */
  | { readonly kind: "taken" }
  | { readonly kind: "full" }
  /** The store could not be reached for this part of a large call; whether it was stored is not known. */
  | { readonly kind: "unavailable" }
  | { readonly kind: "failed"; readonly message: string };

// ---- claim --------------------------------------------------------------------------------------------------------

export interface Claim {
  readonly incarnation: IncarnationId;
  readonly lanes: readonly LaneRoom[];
  /** Payload bytes of all lanes together; a first delivery is always given. */
  readonly bytesMax: number;
}

export interface LaneRoom {
  readonly endpointId: EndpointId;
  /** How many of each class, and how many in all. */
  readonly room: readonly [number, number, number];
  readonly totalMax: number;
}

export interface ClaimedLane {
  readonly endpointId: EndpointId;
  /** Fences what is said about the lane; breaker changes carry it back. */
  readonly epoch: number;
  /** Another node owns the lane. */
  readonly elsewhere: boolean;
  readonly deliveries: readonly ClaimedDelivery[];
  /** More of this lane is due now. */
  readonly more: boolean;
}

export interface ClaimedDelivery {
  readonly id: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  readonly eventType: string;
  readonly trigger: DeliveryTrigger;
  readonly class: DeliveryClass;
  readonly orderKey: string | null;
  /** Failed attempts that count. */
  readonly failures: number;
  /** All attempts, `unknown` ones included. */
  readonly attempts: number;
  readonly hops: number;
  readonly payload: Uint8Array;
}

// ---- settle -------------------------------------------------------------------------------------------------------

export interface Settlement {
  readonly incarnation: IncarnationId;
  readonly deliveryId: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  /** null only with `release`. */
  readonly attempt: NewAttempt | null;
  readonly next: NextStep;
  /** The endpoint had failures on record and this success ends them. */
  readonly recovers: boolean;
}

export interface NewAttempt {
  readonly id: AttemptId;
  /** 1 for the first, `unknown` ones included. */
  readonly number: number;
  /** How long ago it began, seen from the call. */
  readonly startedAgoMs: number;
  readonly durationMs: number;
  readonly outcome: AttemptOutcome;
  readonly responseBody: Uint8Array | null;
  readonly url: string;
}

export type NextStep =
  | { readonly kind: "delivered" }
  | { readonly kind: "retry"; readonly inMs: number; readonly expiresInMs: number }
  | { readonly kind: "dead_lettered"; readonly reason: DeadLetterReason }
  /** Handed back unsent: due again at once, for whoever claims it. */
  | { readonly kind: "release" };

export type SettleResult =
  | { readonly kind: "settled"; readonly lane: LaneFailures | null; readonly released: boolean }
  /** The lease was not this writer's any more. `finished`: a late success ended the delivery all the same. */
  | { readonly kind: "fenced"; readonly finished: boolean }
  /** It is in its final state already. */
  | { readonly kind: "final"; readonly state: FinalState }
  | { readonly kind: "failed"; readonly message: string };

/** Given back with a failed attempt: for how long all attempts of the endpoint have failed, and how many. */
export interface LaneFailures {
  readonly failingForMs: number;
  readonly failures: number;
}

/**
 * Opening a breaker makes the lane its node's own. Of nodes that share a lane the first one's change counts: another with
 * the same epoch, or an older one, is passed over.
 */
export interface BreakerChange {
  readonly incarnation: IncarnationId;
  /** Of the lane, as the node knew it. */
  readonly epoch: number;
  readonly endpointId: EndpointId;
  readonly state: BreakerState;
  /** open: when one due delivery may be tried. */
  readonly probeInMs: number;
}

// ---- nodes --------------------------------------------------------------------------------------------------------

export interface NewNode {
  readonly name: string;
  readonly version: string;
  readonly roles: readonly NodeRole[];
}

export interface Beat {
  /** False: it was voided. Whatever it held is rescued, and it must enlist anew. */
  readonly alive: boolean;
  /** Until then, on the monotonic clock, no other node takes its leases over; after that it must not start an attempt. */
  readonly validUntilMs: number;
  /** Living nodes that dispatch, itself included. */
  readonly dispatchers: number;
  /** Living nodes that take events, itself included if it does. */
  readonly publishers: number;
}

/** Duties that one node has at a time, for as long as it lives. */
export type ExclusiveDuty = "replay" | "publications" | "ownership";

export interface Lease {
  readonly deliveryId: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
}

// ---- duties -------------------------------------------------------------------------------------------------------

export interface DutyResult {
  readonly done: number;
  readonly more: boolean;
}

export interface EndedDelivery {
  readonly id: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  readonly eventType: string;
  readonly state: FinalState;
  readonly reason: DeadLetterReason | CancelReason | null;
}

export interface RescueResult extends DutyResult {
  /** Third `unknown` in a row: these count as failed, and the caller decides what follows by settling them. */
  readonly exhausted: readonly EndedDelivery[];
}

export interface PruneResult extends DutyResult {
  readonly events: number;
  readonly deliveries: number;
  readonly attempts: number;
}

export interface Redelivery {
  readonly id: DeliveryId;
  readonly eventId: EventId;
  readonly endpointId: EndpointId;
  readonly trigger: DeliveryTrigger;
  readonly class: DeliveryClass;
  readonly expiresInMs: number;
}
export type RedeliverResult =
  | { readonly kind: "created" }
  | { readonly kind: "no_event" }
  | { readonly kind: "no_endpoint" }
  | { readonly kind: "expunged" };

export type CancelTarget =
  | { readonly kind: "delivery"; readonly id: DeliveryId; readonly reason: CancelReason }
  | { readonly kind: "endpoint"; readonly id: EndpointId; readonly reason: CancelReason }
  | { readonly kind: "event"; readonly id: EventId; readonly reason: CancelReason }
  /** Everything pending of endpoints that were removed: what a crash left behind. */
  | { readonly kind: "removed_endpoints"; readonly reason: CancelReason };

export interface ReplayStep {
  readonly replayId: ReplayId;
  /** The cursor that the step began at; another one means that someone else took this step. */
  readonly fromCursor: string | null;
  readonly cursor: string | null;
  readonly examined: number;
  /** Deliveries of events that are gone or expunged meanwhile are left out. */
  readonly redeliveries: readonly Redelivery[];
  readonly finished: boolean;
}

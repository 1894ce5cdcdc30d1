/**
 * A delivery is event x endpoint x run. It is `pending` until it ends, once and for ever, in one of three final states.
 * `sending` is derived (leased and started) and never stored. docs/delivery-lifecycle.md draws the moves.
 */
import type { AppId, DeliveryId, EndpointId, EventId } from "../base/ids.ts";

export const DELIVERY_STATES = ["pending", "delivered", "dead_lettered", "cancelled"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];
export type FinalState = Exclude<DeliveryState, "pending">;

export const DEAD_LETTER_REASONS = [
  "attempts_exhausted",
  "expired",
  "endpoint_disabled",
  "refused",
  "invalid",
] as const;
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

export const CANCEL_REASONS = ["by_hand", "endpoint_deleted", "expunged"] as const;
export type CancelReason = (typeof CANCEL_REASONS)[number];

/** What made the delivery. Only `publish` takes part in an endpoint's order. */
export const DELIVERY_TRIGGERS = ["publish", "redeliver", "replay", "test"] as const;
export type DeliveryTrigger = (typeof DELIVERY_TRIGGERS)[number];

/** 0 first attempts, 1 retries and chunked fan-out, 2 replays. Shares of the sending capacity: 80, 15, 5. */
export type DeliveryClass = 0 | 1 | 2;
export const CLASS_SHARES: readonly [number, number, number] = [80, 15, 5];

export interface Delivery {
  readonly id: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  readonly eventType: string;
  readonly trigger: DeliveryTrigger;
  readonly state: DeliveryState;
  readonly reason: DeadLetterReason | CancelReason | null;
  /** `order`: not at the head of its lane or key, so it has no due time. */
  readonly hold: "order" | null;
  /** When the next attempt is due; null when held or final. */
  readonly dueAtMs: number | null;
  /** When a pending delivery gives up; null when final. */
  readonly expiresAtMs: number | null;
  /** Attempts that count for the retry schedule. */
  readonly attempts: number;
  /** Leased to a node now: it is being sent, or is about to be. */
  readonly leased: boolean;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
}

/** The live feed: what happens to deliveries on this node, for `posthorn dev`, streams and tests. Nothing is kept. */
import type { AppId, DeliveryId, EndpointId, EventId } from "../base/ids.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { CancelReason, DeadLetterReason, FinalState } from "../domain/delivery.ts";

export type FeedEntry =
  | {
      readonly kind: "attempt";
      readonly appId: AppId;
      readonly endpointId: EndpointId;
      readonly eventId: EventId;
      readonly deliveryId: DeliveryId;
      readonly eventType: string;
      readonly number: number;
      readonly outcome: AttemptOutcome;
      readonly durationMs: number;
      /** What follows: a final state, or a retry in so many milliseconds. */
      readonly next: FinalState | { readonly retryInMs: number };
    }
  | {
      readonly kind: "final";
      readonly appId: AppId;
      readonly endpointId: EndpointId;
      readonly eventId: EventId;
      readonly deliveryId: DeliveryId;
      readonly state: FinalState;
      readonly reason: DeadLetterReason | CancelReason | null;
    };

export type FeedListener = (entry: FeedEntry) => void;

export class Feed {
  #listeners = new Set<FeedListener>();

  /** Calls `listener` for each entry, in the same turn as it happens. Returns the way to stop. */
  subscribe(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The hot path asks this first, and builds no entry for nobody. */
  get watched(): boolean {
    return this.#listeners.size > 0;
  }

  emit(entry: FeedEntry): void {
    for (const listener of this.#listeners) {
      try {
        listener(entry);
      } catch {
        // A listener's fault is its own: it may not stop what is being settled, nor the other listeners.
      }
    }
  }
}

/** Deliveries made after their event was accepted: chunked fan-out, redelivery, replay. All stored unleased. */
import { PosthornError } from "../../../base/errors.ts";
import type { DeliveryId, EndpointId } from "../../../base/ids.ts";
import type { DeliveryClass, DeliveryTrigger } from "../../../domain/delivery.ts";
import type { RedeliverResult, Redelivery } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { EndpointFacts, Writing } from "../writing.ts";

interface EventRow {
  readonly seq: number;
  readonly appSeq: number;
  readonly expunged: 0 | 1;
}

export interface LaterDelivery {
  readonly id: DeliveryId;
  readonly eventSeq: number;
  readonly endpoint: EndpointFacts;
  readonly trigger: DeliveryTrigger;
  readonly class: DeliveryClass;
  readonly orderKey: string | null;
  /** null: held by its order. */
  readonly dueAtMs: number | null;
  readonly expiresAtMs: number;
}

export class Later {
  #writing: Writing;
  #findEvent: Query<EventRow>;
  #insert: Statement;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#findEvent = query(
      db,
      "SELECT seq, app_seq AS appSeq, expunged_at_ms IS NOT NULL AS expunged FROM events WHERE id = ?",
    );
    this.#insert = statement(
      db,
      `INSERT INTO deliveries (seq, id, app_seq, endpoint_seq, event_seq, trigger, later, class, order_key, due_at_ms,
        expires_at_ms, created_at_ms)
      VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)`,
    );
  }

  /** Throws `storage_full` below the reserve: what is left is for settling. */
  redeliverAll(redeliveries: readonly Redelivery[]): RedeliverResult[] {
    if (redeliveries.length > 0 && !this.#writing.space.accepting()) {
      throw new PosthornError(
        "storage_full",
        "The disk is nearly full; no delivery was made. Try again later.",
      );
    }
    return redeliveries.map((redelivery) => this.#redeliver(redelivery));
  }

  /** Outside the order, due at once. */
  #redeliver({ id, eventId, endpointId, trigger, class: each, expiresInMs }: Redelivery): RedeliverResult {
    const event = this.#findEvent.get(eventId);
    if (event === undefined) return { kind: "no_event" };
    if (event.expunged === 1) return { kind: "expunged" };
    const endpoint = this.#liveEndpoint(endpointId, event.appSeq);
    if (endpoint === undefined) return { kind: "no_endpoint" };
    const { nowMs } = this.#writing;
    const expiresAtMs = nowMs + Math.round(expiresInMs);
    this.insert({
      id,
      eventSeq: event.seq,
      endpoint,
      trigger,
      class: each,
      orderKey: null,
      dueAtMs: nowMs,
      expiresAtMs,
    });
    return { kind: "created" };
  }

  insert({
    id,
    eventSeq,
    endpoint,
    trigger,
    class: each,
    orderKey,
    dueAtMs,
    expiresAtMs,
  }: LaterDelivery): void {
    const writing = this.#writing;
    const seq = writing.takeDeliverySeq();
    this.#insert.run(
      seq,
      id,
      endpoint.appSeq,
      endpoint.seq,
      eventSeq,
      trigger,
      each,
      orderKey,
      dueAtMs,
      expiresAtMs,
      writing.nowMs,
    );
    if (dueAtMs !== null) writing.noteDue(endpoint.seq, dueAtMs);
  }

  #liveEndpoint(id: EndpointId, appSeq: number): EndpointFacts | undefined {
    const endpoint = this.#writing.endpoint(id);
    return endpoint?.removed === 0 && endpoint.appSeq === appSeq ? endpoint : undefined;
  }
}

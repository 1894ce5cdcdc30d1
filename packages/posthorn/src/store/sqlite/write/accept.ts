/** Accept: the event, its deliveries, its idempotency records and its source's position, all or nothing. */
import type { DeliveryId, EventId, IncarnationId } from "../../../base/ids.ts";
import type { Acceptance, AcceptResult, NewDelivery } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { AppFacts, EndpointFacts, Writing } from "../writing.ts";
import type { Order } from "./order.ts";

interface KnownKey {
  readonly fingerprint: Uint8Array;
  readonly createdAtMs: number;
  readonly eventId: EventId | null;
  readonly deliveries: number;
  readonly fanOutPending: 0 | 1;
}

/** What one event gives to each of its deliveries. */
interface EventFacts {
  readonly seq: number;
  readonly dueAtMs: number;
}

export class Accept {
  #writing: Writing;
  #order: Order;
  #insertEvent: Statement;
  #insertDelivery: Statement;
  #insertFanOut: Statement;
  #findKey: Query<KnownKey>;
  #forgetKey: Statement;
  #insertKey: Statement;
  #setPosition: Statement;

  constructor(writing: Writing, order: Order) {
    const { db } = writing;
    this.#writing = writing;
    this.#order = order;
    this.#insertEvent = statement(
      db,
      `INSERT INTO events (seq, id, app_seq, uid, event_type, timestamp, channels, ordering_key, deliver_at_ms, accepted_at_ms,
        delivery_first, delivery_count, fan_out_count, data_start, data_end, payload, hops)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertDelivery = statement(
      db,
      `INSERT INTO deliveries (seq, id, app_seq, endpoint_seq, event_seq, trigger, later, class, order_key, due_at_ms,
        expires_at_ms, leased_by, created_at_ms)
      VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertFanOut = statement(db, "INSERT INTO fan_outs (event_seq, endpoints) VALUES (?, ?)");
    this.#findKey = query(
      db,
      `SELECT i.fingerprint, i.created_at_ms AS createdAtMs, e.id AS eventId,
        e.delivery_count + e.fan_out_count AS deliveries,
        EXISTS (SELECT 1 FROM fan_outs f WHERE f.event_seq = e.seq) AS fanOutPending
      FROM idempotency i LEFT JOIN events e ON e.seq = i.event_seq
      WHERE i.app_seq = ? AND i.key = ?`,
    );
    this.#forgetKey = statement(db, "DELETE FROM idempotency WHERE app_seq = ? AND key = ?");
    this.#insertKey = statement(
      db,
      "INSERT INTO idempotency (app_seq, key, fingerprint, event_seq, created_at_ms) VALUES (?, ?, ?, ?, ?)",
    );
    this.#setPosition = statement(
      db,
      `INSERT INTO source_positions (source_id, position, updated_at_ms) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET position = excluded.position, updated_at_ms = excluded.updated_at_ms`,
    );
  }

  run(acceptance: Acceptance): AcceptResult {
    const app = this.#writing.app(acceptance.event.appId);
    if (app === undefined || app.removed === 1) return { kind: "gone" };
    const known = this.#known(app, acceptance);
    if (known !== undefined) return known;
    if (app.configVersion !== acceptance.configVersion) return { kind: "stale" };
    if (!this.#writing.space.accepting()) return { kind: "full" };
    return this.#store(app, acceptance);
  }

  /** A conflict of one key outweighs the other's match. */
  #known(app: AppFacts, { idempotency }: Acceptance): AcceptResult | undefined {
    let duplicate: AcceptResult | undefined;
    for (const { key, fingerprint } of idempotency) {
      const record = this.#findKey.get(app.seq, key);
      if (record === undefined) continue;
      const { eventId, createdAtMs, deliveries, fanOutPending } = record;
      if (eventId === null || createdAtMs + this.#writing.settings.idempotencyMs <= this.#writing.nowMs) {
        this.#forgetKey.run(app.seq, key);
        continue;
      }
      if (Buffer.compare(record.fingerprint, fingerprint) !== 0) return { kind: "conflict", key, eventId };
      duplicate ??= {
        kind: "duplicate",
        eventId,
        deliveries,
        fanOut: fanOutPending === 1 ? "pending" : "done",
      };
    }
    return duplicate;
  }

  #store(app: AppFacts, { event, deliveries, fanOut, idempotency, source }: Acceptance): AcceptResult {
    const { nowMs } = this.#writing;
    const seq = this.#writing.takeEventSeq();
    const dueAtMs = Math.max(nowMs, event.deliverAtMs ?? 0);
    let first = 0;
    let unleased: DeliveryId[] = NONE;
    for (const delivery of deliveries) {
      const deliverySeq = this.#writing.takeDeliverySeq();
      first ||= deliverySeq;
      const leased = this.#deliver(deliverySeq, app, { seq, dueAtMs }, delivery);
      if (!leased && delivery.lease !== null) unleased = [...unleased, delivery.id];
    }
    this.#insertEvent.run(
      seq,
      event.id,
      app.seq,
      event.uid,
      event.eventType,
      event.timestamp,
      event.channels.length === 0 ? null : JSON.stringify(event.channels),
      event.orderingKey,
      event.deliverAtMs,
      nowMs,
      first,
      deliveries.length,
      fanOut.length,
      event.dataStart,
      event.dataEnd,
      event.payload,
      event.hops,
    );
    if (fanOut.length > 0) this.#insertFanOut.run(seq, JSON.stringify(fanOut));
    for (const { key, fingerprint } of idempotency)
      this.#insertKey.run(app.seq, key, fingerprint, seq, nowMs);
    if (source !== null) this.#setPosition.run(source.sourceId, source.position, nowMs);
    return unleased === NONE ? ACCEPTED : { kind: "accepted", unleased };
  }

  /** True: stored leased, for the caller to send. */
  #deliver(seq: number, app: AppFacts, event: EventFacts, delivery: NewDelivery): boolean {
    const writing = this.#writing;
    const endpoint = ownEndpoint(writing.endpoint(delivery.endpointId), app, delivery);
    const held = delivery.orderKey !== null && this.#order.mustWait(endpoint.seq, delivery.orderKey);
    const lease = held || event.dueAtMs > writing.nowMs ? null : this.#leaseFor(delivery.lease);
    this.#insertDelivery.run(
      seq,
      delivery.id,
      app.seq,
      endpoint.seq,
      event.seq,
      delivery.trigger,
      delivery.class,
      delivery.orderKey,
      held ? null : event.dueAtMs,
      event.dueAtMs + Math.round(delivery.expiresInMs),
      lease,
      writing.nowMs,
    );
    if (!held && lease === null) writing.noteDue(endpoint.seq, event.dueAtMs);
    return lease !== null;
  }

  /** Only the incarnation that lives now gets leases. */
  #leaseFor(wanted: IncarnationId | null): number | null {
    const { incarnation } = this.#writing;
    return incarnation !== undefined && wanted === incarnation.id ? incarnation.seq : null;
  }
}

const NONE: DeliveryId[] = [];
const ACCEPTED: AcceptResult = { kind: "accepted", unleased: NONE };

function ownEndpoint(
  endpoint: EndpointFacts | undefined,
  app: AppFacts,
  { endpointId }: NewDelivery,
): EndpointFacts {
  if (endpoint !== undefined && endpoint.appSeq === app.seq && endpoint.removed === 0) return endpoint;
  throw new Error(`app ${app.id} has no endpoint ${endpointId}`);
}

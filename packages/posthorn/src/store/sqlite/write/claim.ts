/** Claim: leases due deliveries of the named lanes. Costs by the lanes named and the rows given, never by a lane's length. */
import type { DeliveryId, EventId } from "../../../base/ids.ts";
import type { DeliveryClass, DeliveryTrigger } from "../../../domain/delivery.ts";
import type { Claim, ClaimedDelivery, ClaimedLane, LaneRoom } from "../../store.ts";
import { EPOCH } from "../options.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { EndpointFacts, Writing } from "../writing.ts";
import type { Finish } from "./finish.ts";

interface DueRow {
  readonly seq: number;
  readonly id: DeliveryId;
  readonly trigger: DeliveryTrigger;
  readonly class: DeliveryClass;
  readonly orderKey: string | null;
  readonly failures: number;
  readonly attempts: number;
  readonly eventId: EventId;
  readonly eventType: string;
  readonly expunged: 0 | 1;
  readonly hops: number;
  readonly payload: Uint8Array;
}

/** What is left of a claim's room. */
interface Room {
  bytes: number;
  given: number;
}

/** One class at a time, so that the entries of deliveries_due stand in the order wanted. */
export const DUE_ROWS = `
  SELECT d.seq, d.id, d.trigger, d.class, d.order_key AS orderKey, d.failures, d.attempt_count AS attempts,
    e.id AS eventId, e.event_type AS eventType, e.expunged_at_ms IS NOT NULL AS expunged, e.hops, e.payload
  FROM deliveries d JOIN events e ON e.seq = d.event_seq
  WHERE d.endpoint_seq = ? AND d.class = ? AND d.leased_by IS NULL AND d.due_at_ms IS NOT NULL AND d.due_at_ms <= ?
  ORDER BY d.due_at_ms LIMIT ?`;

const FIRST_DUE = (
  deliveryClass: number,
): string => `(SELECT due_at_ms FROM deliveries WHERE endpoint_seq = ?1 AND class = ${deliveryClass}
  AND leased_by IS NULL AND due_at_ms IS NOT NULL ORDER BY due_at_ms LIMIT 1)`;
/** min() of several arguments is NULL if one of them is, hence the great number. */
export const NEXT_DUE = `SELECT nullif(min(${[0, 1, 2].map((each) => `ifnull(${FIRST_DUE(each)}, 9e15)`).join(", ")}), 9e15) AS nextDueAtMs`;

export class ClaimVerb {
  #writing: Writing;
  #finish: Finish;
  #due: Query<DueRow>;
  #nextDue: Query<{ nextDueAtMs: number | null }>;
  #lane: Query<{ runnable: 0 | 1 }>;
  #lease: Statement;
  #setLane: Statement;

  constructor(writing: Writing, finish: Finish) {
    const { db } = writing;
    this.#writing = writing;
    this.#finish = finish;
    this.#due = query(db, DUE_ROWS);
    this.#nextDue = query(db, NEXT_DUE);
    this.#lane = query(db, "SELECT runnable FROM lanes WHERE endpoint_seq = ?");
    this.#lease = statement(db, "UPDATE deliveries SET leased_by = ? WHERE seq = ?");
    this.#setLane = statement(
      db,
      `UPDATE lanes SET next_due_at_ms = ?2, probe_at_ms = CASE WHEN ?3 AND breaker = 'open' THEN ?4 + probe_every_ms ELSE probe_at_ms END
      WHERE endpoint_seq = ?1`,
    );
  }

  run({ incarnation, lanes, bytesMax }: Claim): ClaimedLane[] {
    const writing = this.#writing;
    writing.writeDue();
    const holder = writing.incarnation?.id === incarnation ? writing.incarnation.seq : null;
    if (holder === null) return lanes.map(({ endpointId }) => nothing(endpointId));
    const room: Room = { bytes: bytesMax, given: 0 };
    return lanes.map((lane) => this.#claimLane(lane, holder, room));
  }

  #claimLane({ endpointId, room, totalMax }: LaneRoom, holder: number, left: Room): ClaimedLane {
    const endpoint = this.#writing.endpoint(endpointId);
    if (endpoint === undefined || this.#lane.get(endpoint.seq)?.runnable !== 1) return nothing(endpointId);
    const deliveries: ClaimedDelivery[] = [];
    for (const [each, classMax] of room.entries()) {
      const max = Math.min(classMax, totalMax - deliveries.length);
      if (max > 0) deliveries.push(...this.#claimClass(endpoint, each, max, holder, left));
    }
    const nextDueAtMs = this.#nextDue.get(endpoint.seq)?.nextDueAtMs ?? null;
    const { nowMs } = this.#writing;
    this.#setLane.run(endpoint.seq, nextDueAtMs, deliveries.length > 0 ? 1 : 0, nowMs);
    return {
      endpointId,
      epoch: EPOCH,
      elsewhere: false,
      deliveries,
      more: nextDueAtMs !== null && nextDueAtMs <= nowMs,
    };
  }

  #claimClass(
    endpoint: EndpointFacts,
    each: number,
    max: number,
    holder: number,
    left: Room,
  ): ClaimedDelivery[] {
    const rows = this.#take(endpoint, each, max, left);
    const claimed: ClaimedDelivery[] = [];
    for (const row of rows) {
      if (row.expunged === 1) {
        // Expunging ends what is pending; this one a crash left behind. Its bytes are zeros and must not be sent.
        this.#finish.any(row.seq, { state: "cancelled", reason: "expunged", attempts: 0 });
        continue;
      }
      this.#lease.run(holder, row.seq);
      claimed.push({
        id: row.id,
        appId: endpoint.appId,
        endpointId: endpoint.id,
        eventId: row.eventId,
        eventType: row.eventType,
        trigger: row.trigger,
        class: row.class,
        orderKey: row.orderKey,
        failures: row.failures,
        attempts: row.attempts,
        hops: row.hops,
        payload: row.payload,
      });
    }
    return claimed;
  }

  /** Stops reading at the first payload that does not fit. */
  #take(endpoint: EndpointFacts, each: number, max: number, left: Room): DueRow[] {
    const rows: DueRow[] = [];
    for (const row of this.#due.iterate(endpoint.seq, each, this.#writing.nowMs, max)) {
      if (left.given > 0 && row.payload.length > left.bytes) break;
      rows.push(row);
      left.given += 1;
      left.bytes -= row.payload.length;
    }
    return rows;
  }
}

function nothing(endpointId: LaneRoom["endpointId"]): ClaimedLane {
  return { endpointId, epoch: EPOCH, elsewhere: false, deliveries: [], more: false };
}

/** The end of a delivery: from the queue into history, in one transaction, and what its order makes of it. */
import type { AppId, DeliveryId, EndpointId, EventId } from "../../../base/ids.ts";
import type { CancelReason, DeadLetterReason, FinalState } from "../../../domain/delivery.ts";
import type { EndedDelivery } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";
import type { EndedRow, Order } from "./order.ts";

export interface End {
  readonly state: FinalState;
  readonly reason: DeadLetterReason | CancelReason | null;
  /** 1: an attempt that counts goes with it. */
  readonly attempts: 0 | 1;
}

export interface Finished {
  readonly seq: number;
  readonly released: boolean;
}

interface DescribedRow {
  readonly id: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  readonly eventType: string;
}

const INTO_HISTORY = `
  INSERT INTO delivery_history (seq, id, app_seq, endpoint_seq, event_seq, trigger, later, state, reason, attempts,
    created_at_ms, finished_at_ms)
  SELECT seq, id, app_seq, endpoint_seq, event_seq, trigger, later, ?, ?, failures + ?, created_at_ms, ?
  FROM deliveries`;

export class Finish {
  #writing: Writing;
  #order: Order;
  #copyLeased: Statement;
  #copy: Statement;
  #delete: Query<EndedRow>;
  #describe: Query<DescribedRow>;

  constructor(writing: Writing, order: Order) {
    const { db } = writing;
    this.#writing = writing;
    this.#order = order;
    this.#copyLeased = statement(db, `${INTO_HISTORY} WHERE id = ? AND leased_by = ?`);
    this.#copy = statement(db, `${INTO_HISTORY} WHERE seq = ?`);
    this.#delete = query(
      db,
      `DELETE FROM deliveries WHERE seq = ?
      RETURNING endpoint_seq AS endpointSeq, event_seq AS eventSeq, order_key AS orderKey, trigger, due_at_ms IS NULL AS held`,
    );
    this.#describe = query(
      db,
      `SELECT d.id, a.id AS appId, p.id AS endpointId, e.id AS eventId, e.event_type AS eventType
      FROM deliveries d JOIN apps a ON a.seq = d.app_seq JOIN endpoints p ON p.seq = d.endpoint_seq
        JOIN events e ON e.seq = d.event_seq
      WHERE d.seq = ?`,
    );
  }

  /** Ends a delivery that this incarnation holds. undefined: it does not. */
  leased(id: DeliveryId, incarnationSeq: number, end: End): Finished | undefined {
    const { changes, lastInsertRowid } = this.#copyLeased.run(
      end.state,
      end.reason,
      end.attempts,
      this.#writing.nowMs,
      id,
      incarnationSeq,
    );
    return changes === 0 ? undefined : this.#leave(Number(lastInsertRowid), end.state);
  }

  /** Ends a delivery, whoever holds it. */
  any(seq: number, end: End): Finished {
    this.#copy.run(end.state, end.reason, end.attempts, this.#writing.nowMs, seq);
    return this.#leave(seq, end.state);
  }

  /** Ends deliveries and tells which they were. */
  all(rows: readonly { readonly seq: number }[], endOf: (seq: number) => End): EndedDelivery[] {
    return rows.map(({ seq }) => {
      const described = this.#describe.get(seq);
      if (described === undefined) throw new Error(`delivery row ${seq} does not belong to an event`);
      const end = endOf(seq);
      this.any(seq, end);
      return { ...described, state: end.state, reason: end.reason };
    });
  }

  #leave(seq: number, state: FinalState): Finished {
    const row = this.#delete.get(seq);
    return { seq, released: row !== undefined && this.#order.ended(row, state) };
  }
}

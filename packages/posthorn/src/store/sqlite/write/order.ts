/**
 * Order: of the unfinished deliveries of an endpoint that share an order key, only the oldest has a due time. Whatever
 * ends it releases the next in the same transaction, unless a dead letter blocks the key.
 */
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";

/** A delivery that has just ended, as far as order is concerned. */
export interface EndedRow {
  readonly endpointSeq: number;
  readonly eventSeq: number;
  readonly orderKey: string | null;
  readonly trigger: string;
  /** Held: it was not at the head. */
  readonly held: 0 | 1;
}

export class Order {
  #writing: Writing;
  #anyUnfinished: Query<object>;
  #anyBlock: Query<object>;
  #releaseHead: Query<{ seq: number }>;
  #insertBlock: Statement;
  #liftByEvent: Query<{ orderKey: string }>;
  #liftAll: Query<{ orderKey: string }>;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#anyUnfinished = query(
      db,
      "SELECT 1 FROM deliveries WHERE endpoint_seq = ? AND order_key = ? LIMIT 1",
    );
    this.#anyBlock = query(db, "SELECT 1 FROM lane_blocks WHERE endpoint_seq = ? AND order_key = ?");
    this.#releaseHead = query(
      db,
      `UPDATE deliveries SET due_at_ms = ?3
      WHERE seq = (SELECT seq FROM deliveries WHERE endpoint_seq = ?1 AND order_key = ?2 ORDER BY seq LIMIT 1)
        AND due_at_ms IS NULL
      RETURNING seq`,
    );
    this.#insertBlock = statement(
      db,
      `INSERT INTO lane_blocks (endpoint_seq, order_key, event_seq, created_at_ms) VALUES (?, ?, ?, ?)
      ON CONFLICT DO NOTHING`,
    );
    this.#liftByEvent = query(
      db,
      "DELETE FROM lane_blocks WHERE endpoint_seq = ? AND event_seq = ? RETURNING order_key AS orderKey",
    );
    this.#liftAll = query(
      db,
      "DELETE FROM lane_blocks WHERE endpoint_seq = ? RETURNING order_key AS orderKey",
    );
  }

  /** A new delivery of this key may not be due yet. */
  mustWait(endpointSeq: number, orderKey: string): boolean {
    return (
      this.#anyUnfinished.get(endpointSeq, orderKey) !== undefined ||
      this.#anyBlock.get(endpointSeq, orderKey) !== undefined
    );
  }

  /** What follows from the end of a delivery. True: the next one of its key is due. */
  ended(row: EndedRow, state: "delivered" | "dead_lettered" | "cancelled"): boolean {
    if (row.orderKey === null) {
      if (state !== "delivered" || row.trigger === "publish") return false;
      return this.#releaseKeys(row.endpointSeq, this.#liftByEvent.all(row.endpointSeq, row.eventSeq));
    }
    if (row.held === 1) return false;
    if (state === "dead_lettered" && this.#blocks(row.endpointSeq)) {
      this.#insertBlock.run(row.endpointSeq, row.orderKey, row.eventSeq, this.#writing.nowMs);
      return false;
    }
    return this.#release(row.endpointSeq, row.orderKey);
  }

  unblock(endpointSeq: number): void {
    this.#releaseKeys(endpointSeq, this.#liftAll.all(endpointSeq));
  }

  #blocks(endpointSeq: number): boolean {
    const { ordering, onDeadLetter } = this.#writing.endpointBySeq(endpointSeq);
    return ordering !== "unordered" && onDeadLetter === "block";
  }

  #releaseKeys(endpointSeq: number, keys: readonly { readonly orderKey: string }[]): boolean {
    let released = false;
    for (const { orderKey } of keys) released = this.#release(endpointSeq, orderKey) || released;
    return released;
  }

  #release(endpointSeq: number, orderKey: string): boolean {
    const { nowMs } = this.#writing;
    const head = this.#releaseHead.get(endpointSeq, orderKey, nowMs);
    if (head === undefined) return false;
    this.#writing.noteDue(endpointSeq, nowMs);
    return true;
  }
}

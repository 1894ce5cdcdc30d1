/** Continues events for more endpoints than are reached at once, oldest event first. */
import { type EndpointId, locatorOf, newId } from "../../../base/ids.ts";
import type { DutyResult } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { EndpointFacts, Writing } from "../writing.ts";
import type { Later } from "./later.ts";
import type { Order } from "./order.ts";

interface FanOutRow {
  readonly eventSeq: number;
  readonly endpoints: string;
  readonly cursor: number;
  readonly orderingKey: string | null;
  readonly deliverAtMs: number | null;
}

export class FanOut {
  #writing: Writing;
  #later: Later;
  #order: Order;
  #first: Query<FanOutRow>;
  #move: Statement;
  #end: Statement;

  constructor(writing: Writing, later: Later, order: Order) {
    const { db } = writing;
    this.#writing = writing;
    this.#later = later;
    this.#order = order;
    this.#first = query(
      db,
      `SELECT f.event_seq AS eventSeq, f.endpoints, f.cursor, e.ordering_key AS orderingKey, e.deliver_at_ms AS deliverAtMs
      FROM fan_outs f JOIN events e ON e.seq = f.event_seq ORDER BY f.event_seq LIMIT 1`,
    );
    this.#move = statement(db, "UPDATE fan_outs SET cursor = ? WHERE event_seq = ?");
    this.#end = statement(db, "DELETE FROM fan_outs WHERE event_seq = ?");
  }

  extend(deliveriesMax: number): DutyResult {
    let done = 0;
    let row = this.#first.get();
    // What is left of a short disk is for settling; the cursor waits.
    if (row !== undefined && !this.#writing.space.accepting()) return { done, more: false };
    while (row !== undefined && done < deliveriesMax) {
      const endpoints = JSON.parse(row.endpoints) as EndpointId[];
      const chunk = endpoints.slice(row.cursor, row.cursor + deliveriesMax - done);
      for (const id of chunk) this.#deliver(row, this.#writing.endpoint(id));
      done += chunk.length;
      const cursor = row.cursor + chunk.length;
      if (cursor >= endpoints.length) this.#end.run(row.eventSeq);
      else this.#move.run(cursor, row.eventSeq);
      row = this.#first.get();
    }
    return { done, more: row !== undefined };
  }

  /** Endpoints removed since are passed over: their deliveries would be cancelled. */
  #deliver(row: FanOutRow, endpoint: EndpointFacts | undefined): void {
    if (endpoint === undefined || endpoint.removed === 1) return;
    const { nowMs, settings } = this.#writing;
    const orderKey = orderKeyOf(endpoint, row.orderingKey);
    const held = orderKey !== null && this.#order.mustWait(endpoint.seq, orderKey);
    const dueAtMs = Math.max(nowMs, row.deliverAtMs ?? 0);
    this.#later.insert({
      id: newId("dlv", locatorOf(endpoint.appId)),
      eventSeq: row.eventSeq,
      endpoint,
      trigger: "publish",
      class: 1,
      orderKey,
      dueAtMs: held ? null : dueAtMs,
      expiresAtMs: dueAtMs + settings.waitMsMax,
    });
  }
}

function orderKeyOf({ ordering }: EndpointFacts, orderingKey: string | null): string | null {
  switch (ordering) {
    case "unordered":
      return null;
    case "fifo":
      return "";
    case "keyed":
      return orderingKey;
  }
}

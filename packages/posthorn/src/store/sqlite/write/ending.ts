/** Ends from outside a delivery's attempts: past its deadline, or cancelled. In slices. */

import { unreachable } from "../../../base/errors.ts";
import { LIMITS } from "../../../domain/defaults.ts";
import type { CancelTarget, DutyResult, EndedDelivery } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";
import type { End, Finish } from "./finish.ts";

export type EndingResult = DutyResult & { readonly ended: readonly EndedDelivery[] };

interface SeqRow {
  readonly seq: number;
}

interface UnverifiedRow extends SeqRow {
  readonly sinceMs: number;
}

const EXPIRED: End = { state: "dead_lettered", reason: "expired", attempts: 0 };

export class Ending {
  #finish: Finish;
  #writing: Writing;
  #expired: Query<SeqRow & { disabled: 0 | 1 }>;
  #unverified: Query<UnverifiedRow>;
  /** The endpoint up to which the unverified ones have been looked at. */
  #lookedAtSeq = 0;
  #ordered: Query<object>;
  #held: Query<SeqRow & { createdAtMs: number }>;
  #due: Query<SeqRow>;
  #byId: Query<SeqRow>;
  #byEvent: Query<SeqRow>;
  #byEndpoint: Query<SeqRow>;
  #endFanOut: Statement;
  #undrained: Query<SeqRow>;
  #setDrained: Statement;

  constructor(writing: Writing, finish: Finish) {
    const { db } = writing;
    this.#writing = writing;
    this.#finish = finish;
    this.#expired = query(
      db,
      `SELECT d.seq, p.status = 'disabled' AS disabled FROM deliveries d JOIN endpoints p ON p.seq = d.endpoint_seq
      WHERE d.leased_by IS NULL AND d.expires_at_ms <= ? ORDER BY d.expires_at_ms, d.seq LIMIT ?`,
    );
    this.#unverified = query(
      db,
      `SELECT seq, unverified_at_ms AS sinceMs FROM endpoints WHERE unverified_at_ms IS NOT NULL AND seq > ? ORDER BY seq LIMIT ?`,
    );
    this.#ordered = query(
      db,
      "SELECT 1 FROM deliveries WHERE endpoint_seq = ? AND order_key IS NOT NULL LIMIT 1",
    );
    this.#held = query(
      db,
      `SELECT seq, created_at_ms AS createdAtMs FROM deliveries
      WHERE endpoint_seq = ? AND leased_by IS NULL AND due_at_ms IS NULL ORDER BY seq`,
    );
    this.#due = query(
      db,
      `SELECT seq FROM deliveries WHERE endpoint_seq = ? AND class = ? AND leased_by IS NULL AND due_at_ms IS NOT NULL
        AND due_at_ms <= ? ORDER BY due_at_ms LIMIT ?`,
    );
    this.#byId = query(db, "SELECT seq FROM deliveries WHERE id = ?");
    this.#byEvent = query(
      db,
      `SELECT d.seq FROM events e JOIN deliveries d ON d.seq >= e.delivery_first AND d.seq < e.delivery_first + e.delivery_count
        AND d.event_seq = e.seq WHERE e.id = ?1
      UNION SELECT d.seq FROM events e JOIN deliveries d ON d.event_seq = e.seq AND d.later = 1 WHERE e.id = ?1
      ORDER BY 1 LIMIT ?2`,
    );
    this.#byEndpoint = query(
      db,
      `SELECT seq FROM deliveries WHERE endpoint_seq = ?1 AND leased_by IS NULL
      UNION ALL SELECT seq FROM deliveries WHERE leased_by IS NOT NULL AND endpoint_seq = ?1
      LIMIT ?2`,
    );
    this.#endFanOut = statement(
      db,
      "DELETE FROM fan_outs WHERE event_seq = (SELECT seq FROM events WHERE id = ?)",
    );
    this.#undrained = query(
      db,
      "SELECT seq FROM endpoints WHERE removed_at_ms IS NOT NULL AND drained = 0 ORDER BY seq LIMIT 1",
    );
    this.#setDrained = statement(db, "UPDATE endpoints SET drained = 1 WHERE seq = ?");
  }

  expire(deliveriesMax: number): EndingResult {
    const overdue = this.#expireOverdue(deliveriesMax);
    if (overdue.more) return overdue;
    const unwanted = this.#expireUnverified(deliveriesMax - overdue.done);
    const ended = [...overdue.ended, ...unwanted.ended];
    return { done: ended.length, more: unwanted.more, ended };
  }

  #expireOverdue(deliveriesMax: number): EndingResult {
    const rows = this.#expired.all(this.#writing.nowMs, deliveriesMax);
    const disabled = new Set(rows.filter((row) => row.disabled === 1).map((row) => row.seq));
    const ended = this.#finish.all(rows, (seq) => ({
      state: "dead_lettered",
      reason: disabled.has(seq) ? "endpoint_disabled" : "expired",
      attempts: 0,
    }));
    return { done: ended.length, more: rows.length === deliveriesMax, ended };
  }

  /** Looks at no more than `max` unverified endpoints, and goes on from there the next time. */
  #expireUnverified(max: number): EndingResult {
    const endpoints = this.#unverified.all(this.#lookedAtSeq, max);
    const rows: SeqRow[] = [];
    for (const endpoint of endpoints) {
      rows.push(...this.#unwanted(endpoint, max - rows.length));
      if (rows.length === max) break;
      this.#lookedAtSeq = endpoint.seq;
    }
    const more = rows.length === max || endpoints.length === max;
    if (!more) this.#lookedAtSeq = 0;
    const ended = this.#finish.all(rows, () => EXPIRED);
    return { done: ended.length, more, ended };
  }

  /**
   * What has waited too long: since it was due, or, held by its order, since it was made. What is held comes first, so that
   * the end of a head gives its turn to one that has not.
   */
  #unwanted({ seq, sinceMs }: UnverifiedRow, max: number): SeqRow[] {
    const untilMs = this.#writing.nowMs - LIMITS.unverifiedMsMax;
    if (sinceMs > untilMs) return [];
    const rows = this.#ordered.get(seq) === undefined ? [] : this.#heldUntil(seq, untilMs, max);
    for (const each of [0, 1, 2]) rows.push(...this.#due.all(seq, each, untilMs, max - rows.length));
    return rows;
  }

  /** In the order of creation: the first younger one ends the search. */
  #heldUntil(endpointSeq: number, untilMs: number, max: number): SeqRow[] {
    const rows: SeqRow[] = [];
    for (const row of this.#held.iterate(endpointSeq)) {
      if (rows.length === max || row.createdAtMs > untilMs) break;
      rows.push(row);
    }
    return rows;
  }

  cancel(target: CancelTarget, deliveriesMax: number): EndingResult {
    if (target.kind === "removed_endpoints") return this.#cancelRemoved(target, deliveriesMax);
    if (target.kind === "event") this.#endFanOut.run(target.id);
    return this.#end(this.#rowsOf(target, deliveriesMax), target.reason, deliveriesMax);
  }

  /** One endpoint after the other; each is looked at until it holds nothing any more. */
  #cancelRemoved({ reason }: CancelTarget, deliveriesMax: number): EndingResult {
    const ended: EndedDelivery[] = [];
    for (let endpoint = this.#undrained.get(); endpoint !== undefined; endpoint = this.#undrained.get()) {
      const max = deliveriesMax - ended.length;
      const slice = this.#end(this.#byEndpoint.all(endpoint.seq, max), reason, max);
      ended.push(...slice.ended);
      if (slice.more) return { done: ended.length, more: true, ended };
      this.#setDrained.run(endpoint.seq);
    }
    return { done: ended.length, more: false, ended };
  }

  #rowsOf(target: Exclude<CancelTarget, { kind: "removed_endpoints" }>, deliveriesMax: number): SeqRow[] {
    switch (target.kind) {
      case "delivery":
        return this.#byId.all(target.id);
      case "event":
        return this.#byEvent.all(target.id, deliveriesMax);
      case "endpoint": {
        const endpoint = this.#writing.endpoint(target.id);
        return endpoint === undefined ? [] : this.#byEndpoint.all(endpoint.seq, deliveriesMax);
      }
      default:
        return unreachable(target, "cancel target");
    }
  }

  #end(rows: readonly SeqRow[], reason: CancelTarget["reason"], deliveriesMax: number): EndingResult {
    const ended = this.#finish.all(rows, () => ({ state: "cancelled", reason, attempts: 0 }));
    return { done: ended.length, more: rows.length > 0 && rows.length === deliveriesMax, ended };
  }
}

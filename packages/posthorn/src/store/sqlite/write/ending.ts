/** Ends from outside a delivery's attempts: past its deadline, or cancelled. In slices. */

import { unreachable } from "../../../base/errors.ts";
import type { CancelTarget, DutyResult, EndedDelivery } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";
import type { Finish } from "./finish.ts";

export type EndingResult = DutyResult & { readonly ended: readonly EndedDelivery[] };

interface SeqRow {
  readonly seq: number;
}

export class Ending {
  #finish: Finish;
  #writing: Writing;
  #expired: Query<SeqRow & { disabled: 0 | 1 }>;
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
    const rows = this.#expired.all(this.#writing.nowMs, deliveriesMax);
    const disabled = new Set(rows.filter((row) => row.disabled === 1).map((row) => row.seq));
    const ended = this.#finish.all(rows, (seq) => ({
      state: "dead_lettered",
      reason: disabled.has(seq) ? "endpoint_disabled" : "expired",
      attempts: 0,
    }));
    return { done: ended.length, more: rows.length === deliveriesMax, ended };
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

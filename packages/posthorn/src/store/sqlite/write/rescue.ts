/** Rescue: what incarnations held that are no more. Each of their deliveries may have been sent, so it gets an `unknown` attempt. */
import { type AppId, locatorOf, newId } from "../../../base/ids.ts";
import { LIMITS } from "../../../domain/defaults.ts";
import type { EndedDelivery, RescueResult } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";
import type { Finish } from "./finish.ts";

interface LeasedRow {
  readonly seq: number;
  readonly endpointSeq: number;
  readonly appId: AppId;
  readonly failures: number;
  readonly attempts: number;
  readonly unknowns: number;
}

export class Rescue {
  #writing: Writing;
  #finish: Finish;
  #leased: Query<LeasedRow>;
  #insertAttempt: Statement;
  #giveBack: Statement;

  constructor(writing: Writing, finish: Finish) {
    const { db } = writing;
    this.#writing = writing;
    this.#finish = finish;
    this.#leased = query(
      db,
      `SELECT d.seq, d.endpoint_seq AS endpointSeq, a.id AS appId, d.failures, d.attempt_count AS attempts, d.unknowns
      FROM deliveries d JOIN apps a ON a.seq = d.app_seq
      WHERE d.leased_by IS NOT NULL AND d.leased_by < ? ORDER BY d.leased_by LIMIT ?`,
    );
    this.#insertAttempt = statement(
      db,
      `INSERT INTO attempts (delivery_seq, number, id, started_at_ms, duration_ms, outcome, url)
      VALUES (?, (SELECT ifnull(max(number), 0) + 1 FROM attempts WHERE delivery_seq = ?1), ?, ?, 0, 'unknown', ?)`,
    );
    this.#giveBack = statement(
      db,
      `UPDATE deliveries SET leased_by = NULL, class = max(class, 1), attempt_count = attempt_count + 1,
        due_at_ms = ?2, failures = ?3, unknowns = ?4,
        -- A step of the schedule that is longer than the wait left may not expire before it is due.
        expires_at_ms = max(expires_at_ms, ?2 + ?5)
      WHERE seq = ?1`,
    );
  }

  run(deliveriesMax: number): RescueResult {
    const current = this.#writing.incarnation?.seq ?? Number.MAX_SAFE_INTEGER;
    const rows = this.#leased.all(current, deliveriesMax);
    const exhausted: EndedDelivery[] = [];
    for (const row of rows) exhausted.push(...this.#rescue(row));
    return { done: rows.length, more: rows.length === deliveriesMax, exhausted };
  }

  #rescue(row: LeasedRow): EndedDelivery[] {
    const { nowMs } = this.#writing;
    const endpoint = this.#writing.endpointBySeq(row.endpointSeq);
    this.#insertAttempt.run(row.seq, newId("att", locatorOf(row.appId)), nowMs, endpoint.url);
    if (row.unknowns + 1 < LIMITS.unknownInARowMax) {
      this.#return(row, nowMs, row.failures, row.unknowns + 1);
      return [];
    }
    // A payload that takes the node down each time must end: this one counts as a failed attempt.
    const schedule = JSON.parse(endpoint.retrySchedule) as readonly number[];
    const delaySeconds = schedule[row.failures];
    if (delaySeconds !== undefined) {
      this.#return(row, nowMs + Math.round(delaySeconds * 1000), row.failures + 1, 0);
      return [];
    }
    return this.#finish.all([row], () => ({
      state: "dead_lettered",
      reason: "attempts_exhausted",
      attempts: 1,
    }));
  }

  #return(row: LeasedRow, dueAtMs: number, failures: number, unknowns: number): void {
    this.#giveBack.run(row.seq, dueAtMs, failures, unknowns, this.#writing.settings.waitMsMax);
    this.#writing.noteDue(row.endpointSeq, dueAtMs);
  }
}

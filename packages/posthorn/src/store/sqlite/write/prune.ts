/**
 * Prune: deletes an event, with its deliveries and their attempts, once it and all of them are past the app's retention
 * and none is unfinished; and whatever else has had its time. It walks one app after the other, oldest event first, and
 * remembers where it was, so that events which must stay do not stop it.
 */
import type { PruneResult } from "../../store.ts";
import { DAY_MS } from "../day.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";

/** Of a slice, so that the writer is not kept from accepting: about 10 ms. */
const EVENTS_MAX = 200;

interface EventRow {
  readonly seq: number;
  readonly acceptedAtMs: number;
  readonly first: number;
  readonly count: number;
}

interface AppRow {
  readonly seq: number;
  readonly retentionDays: number;
}

interface Counts {
  events: number;
  deliveries: number;
  attempts: number;
}

export class Prune {
  #writing: Writing;
  #appSeq = 0;
  #eventSeq = 0;
  #nextApp: Query<AppRow>;
  #nextEvents: Query<EventRow>;
  #needed: Query<object>;
  #ofEvent: Query<{ seq: number }>;
  #deleteAttempts: Statement;
  #deleteDelivery: Statement;
  #deleteEvent: Statement;
  #setPruned: Statement;
  #aged: readonly { readonly keepMs: number; readonly delete: Statement }[];
  #removedEndpoint: Query<{ seq: number }>;
  #deleteEndpoint: readonly Statement[];
  #deleteApps: Statement;

  constructor(writing: Writing) {
    const { db, settings } = writing;
    this.#writing = writing;
    this.#nextApp = query(
      db,
      "SELECT seq, retention_days AS retentionDays FROM apps WHERE seq >= ? ORDER BY seq LIMIT 1",
    );
    // The newest event stays, so that no seq is ever given twice.
    this.#nextEvents = query(
      db,
      `SELECT seq, accepted_at_ms AS acceptedAtMs, delivery_first AS first, delivery_count AS count FROM events
      WHERE app_seq = ? AND seq > ? AND seq < (SELECT max(seq) FROM events) ORDER BY seq LIMIT ?`,
    );
    this.#needed = query(
      db,
      `SELECT 1 WHERE EXISTS (SELECT 1 FROM deliveries WHERE seq >= ?2 AND seq < ?2 + ?3 AND event_seq = ?1)
        OR EXISTS (SELECT 1 FROM deliveries WHERE event_seq = ?1 AND later = 1)
        OR EXISTS (SELECT 1 FROM delivery_history WHERE event_seq = ?1 AND later = 1 AND created_at_ms > ?4)
        OR EXISTS (SELECT 1 FROM fan_outs WHERE event_seq = ?1)`,
    );
    this.#ofEvent = query(
      db,
      `SELECT seq FROM delivery_history WHERE seq >= ?2 AND seq < ?2 + ?3 AND event_seq = ?1
      UNION ALL SELECT seq FROM delivery_history WHERE event_seq = ?1 AND later = 1`,
    );
    this.#deleteAttempts = statement(db, "DELETE FROM attempts WHERE delivery_seq = ?");
    this.#deleteDelivery = statement(db, "DELETE FROM delivery_history WHERE seq = ?");
    this.#deleteEvent = statement(db, "DELETE FROM events WHERE seq = ?");
    this.#setPruned = statement(db, "UPDATE store_facts SET pruned_at_ms = ?");
    this.#aged = [
      {
        keepMs: settings.idempotencyMs,
        delete: statement(
          db,
          `DELETE FROM idempotency WHERE seq IN (SELECT seq FROM (SELECT seq, created_at_ms FROM idempotency ORDER BY seq LIMIT ?2)
          WHERE created_at_ms <= ?1)`,
        ),
      },
      {
        keepMs: settings.figuresMs,
        delete: statement(
          db,
          `DELETE FROM figures WHERE (endpoint_seq, minute_ms, incarnation_seq) IN
            (SELECT endpoint_seq, minute_ms, incarnation_seq FROM figures WHERE minute_ms < ?1 ORDER BY minute_ms LIMIT ?2)`,
        ),
      },
      {
        keepMs: settings.figuresMs,
        delete: statement(
          db,
          `DELETE FROM replays WHERE seq IN (SELECT seq FROM replays WHERE finished_at_ms <= ?1 LIMIT ?2)`,
        ),
      },
      {
        keepMs: settings.figuresMs,
        delete: statement(
          db,
          `DELETE FROM incarnations WHERE seq IN (SELECT seq FROM incarnations WHERE voided_at_ms <= ?1 LIMIT ?2)
          AND NOT EXISTS (SELECT 1 FROM deliveries WHERE leased_by = incarnations.seq)`,
        ),
      },
      {
        keepMs: 0,
        delete: statement(
          db,
          "DELETE FROM sessions WHERE seq IN (SELECT seq FROM sessions WHERE expires_at_ms <= ?1 LIMIT ?2)",
        ),
      },
      {
        keepMs: DAY_MS,
        delete: statement(
          db,
          `DELETE FROM usage WHERE (day_ms, scope) IN (SELECT day_ms, scope FROM usage WHERE day_ms <= ?1 ORDER BY day_ms LIMIT ?2)`,
        ),
      },
    ];
    this.#removedEndpoint = query(
      db,
      `SELECT seq FROM endpoints e WHERE removed_at_ms <= ? AND drained = 1
        AND NOT EXISTS (SELECT 1 FROM delivery_history WHERE endpoint_seq = e.seq)
        AND NOT EXISTS (SELECT 1 FROM figures WHERE endpoint_seq = e.seq)
        AND NOT EXISTS (SELECT 1 FROM replays WHERE endpoint_seq = e.seq)
      ORDER BY removed_at_ms LIMIT 1`,
    );
    this.#deleteEndpoint = [
      "lane_blocks WHERE endpoint_seq",
      "lanes WHERE endpoint_seq",
      "endpoints WHERE seq",
    ].map((rows) => statement(db, `DELETE FROM ${rows} = ?`));
    this.#deleteApps = statement(
      db,
      `DELETE FROM apps WHERE removed_at_ms <= ? AND NOT EXISTS (SELECT 1 FROM events WHERE app_seq = apps.seq)
        AND NOT EXISTS (SELECT 1 FROM endpoints WHERE app_seq = apps.seq)
        AND NOT EXISTS (SELECT 1 FROM replays WHERE app_seq = apps.seq)`,
    );
  }

  run(rowsMax: number): PruneResult {
    const counts: Counts = { events: 0, deliveries: 0, attempts: 0 };
    const limit = Math.min(rowsMax, EVENTS_MAX);
    const eventsLeft = this.#walk(limit, counts);
    const agedLeft = this.#pruneAged(limit);
    const rowsLeft = this.#pruneRemoved(limit);
    const more = eventsLeft || agedLeft || rowsLeft;
    if (!more) this.#setPruned.run(this.#writing.nowMs);
    return { ...counts, done: counts.events, more };
  }

  /** Looks at no more than `limit` events. True: it has not come round yet. */
  #walk(limit: number, counts: Counts): boolean {
    let left = limit;
    for (
      let app = this.#nextApp.get(this.#appSeq);
      app !== undefined;
      app = this.#nextApp.get(this.#appSeq)
    ) {
      if (app.seq !== this.#appSeq) this.#startApp(app.seq);
      const cutoffMs = this.#writing.nowMs - app.retentionDays * DAY_MS;
      const events = this.#nextEvents.all(app.seq, this.#eventSeq, left);
      for (const event of events) {
        if (event.acceptedAtMs > cutoffMs) break;
        this.#eventSeq = event.seq;
        left -= 1;
        this.#pruneEvent(event, cutoffMs, counts);
      }
      if (left === 0) return true;
      this.#startApp(app.seq + 1);
    }
    this.#startApp(0);
    return false;
  }

  #startApp(seq: number): void {
    this.#appSeq = seq;
    this.#eventSeq = 0;
  }

  #pruneEvent({ seq, first, count }: EventRow, cutoffMs: number, counts: Counts): void {
    if (this.#needed.get(seq, first, count, cutoffMs) !== undefined) return;
    for (const delivery of this.#ofEvent.all(seq, first, count)) {
      counts.attempts += Number(this.#deleteAttempts.run(delivery.seq).changes);
      this.#deleteDelivery.run(delivery.seq);
      counts.deliveries += 1;
    }
    this.#deleteEvent.run(seq);
    counts.events += 1;
  }

  #pruneAged(limit: number): boolean {
    let more = false;
    for (const { keepMs, delete: remove } of this.#aged) {
      more = remove.run(this.#writing.nowMs - keepMs, limit).changes === limit || more;
    }
    return more;
  }

  /** Rows of removed endpoints and apps, once nothing tells of them any more. */
  #pruneRemoved(limit: number): boolean {
    const { nowMs } = this.#writing;
    for (let done = 0; done < limit; done++) {
      const endpoint = this.#removedEndpoint.get(nowMs - DAY_MS);
      if (endpoint === undefined) {
        this.#deleteApps.run(nowMs - DAY_MS);
        return false;
      }
      for (const remove of this.#deleteEndpoint) remove.run(endpoint.seq);
      this.#writing.forget();
    }
    return true;
  }
}

/** Stats: read from the figures and from the index of waiting deliveries, never from raw rows. */
import { addFigures, emptyFigures, type Figures } from "../../../domain/figures.ts";
import type { Stats, StatsQuery } from "../../store.ts";
import { type Query, query } from "../statement.ts";
import type { Reading } from "./reading.ts";

const PENDING_MAX = 10_000;
const MINUTE_MS = 60_000;

interface FiguresRow {
  readonly minuteMs: number;
  readonly created: number;
  readonly delivered: number;
  readonly dead_lettered: number;
  readonly cancelled: number;
  readonly succeeded: number;
  readonly rejected: number;
  readonly timed_out: number;
  readonly unreachable: number;
  readonly invalid: number;
  readonly unknown: number;
  readonly filterErrors: number;
  readonly latency: string;
}

interface Leased {
  readonly endpointSeq: number;
  readonly count: number;
  readonly oldestAtMs: number;
}

interface Pending {
  count: number;
  oldestAtMs: number;
}

export class StatsVerb {
  #reading: Reading;
  #endpoints: Query<{ seq: number; endpointId: string }>;
  #figures: Query<FiguresRow>;
  #countWaiting: Query<{ count: number }>;
  #leased: Query<Leased>;
  #oldestWaiting: Query<{ createdAtMs: number }>;

  constructor(reading: Reading) {
    const { db } = reading;
    this.#reading = reading;
    this.#endpoints = query(
      db,
      "SELECT seq, id AS endpointId FROM endpoints WHERE app_seq = (SELECT seq FROM apps WHERE id = ?)",
    );
    this.#figures = query(
      db,
      `SELECT minute_ms AS minuteMs, created, delivered, dead_lettered, cancelled, succeeded, rejected, timed_out, unreachable,
        invalid, unknown, filter_errors AS filterErrors, latency
      FROM figures WHERE endpoint_seq = ? AND minute_ms >= ? AND minute_ms < ?`,
    );
    this.#countWaiting = query(
      db,
      "SELECT count(*) AS count FROM (SELECT 1 FROM deliveries WHERE endpoint_seq = ? AND leased_by IS NULL LIMIT ?)",
    );
    this.#leased = query(
      db,
      `SELECT endpoint_seq AS endpointSeq, count(*) AS count, min(created_at_ms) AS oldestAtMs FROM deliveries
      WHERE leased_by IS NOT NULL AND app_seq = (SELECT seq FROM apps WHERE id = ?) GROUP BY endpoint_seq`,
    );
    this.#oldestWaiting = query(
      db,
      "SELECT created_at_ms AS createdAtMs FROM deliveries WHERE endpoint_seq = ? AND leased_by IS NULL ORDER BY seq LIMIT 1",
    );
  }

  run({ appId, endpointId, sinceMs, untilMs }: StatsQuery): Stats {
    const total = emptyFigures();
    const minutes = new Map<number, Figures>();
    const pending: Pending = { count: 0, oldestAtMs: Number.POSITIVE_INFINITY };
    const leased = new Map(this.#leased.all(appId).map((row) => [row.endpointSeq, row]));
    const fromMs = sinceMs - (((sinceMs % MINUTE_MS) + MINUTE_MS) % MINUTE_MS);
    for (const endpoint of this.#endpoints.all(appId)) {
      if (endpointId !== undefined && endpoint.endpointId !== endpointId) continue;
      for (const row of this.#figures.iterate(endpoint.seq, fromMs, untilMs)) {
        const figures = figuresOf(row);
        addFigures(total, figures);
        addFigures(minuteOf(minutes, row.minuteMs), figures);
      }
      this.#addPending(pending, endpoint.seq, leased.get(endpoint.seq));
    }
    return {
      total,
      minutes: [...minutes].sort(([a], [b]) => a - b).map(([atMs, figures]) => ({ atMs, figures })),
      pending: Math.min(pending.count, PENDING_MAX),
      pendingCapped: pending.count > PENDING_MAX,
      oldestPendingAgeMs:
        pending.count === 0 ? null : Math.max(0, this.#reading.nowMs() - pending.oldestAtMs),
    };
  }

  #addPending(pending: Pending, endpointSeq: number, leased: Leased | undefined): void {
    const room = Math.max(0, PENDING_MAX + 1 - pending.count);
    pending.count += (this.#countWaiting.get(endpointSeq, room)?.count ?? 0) + (leased?.count ?? 0);
    const waiting = this.#oldestWaiting.get(endpointSeq);
    pending.oldestAtMs = Math.min(
      pending.oldestAtMs,
      waiting?.createdAtMs ?? Number.POSITIVE_INFINITY,
      leased?.oldestAtMs ?? Number.POSITIVE_INFINITY,
    );
  }
}

function minuteOf(minutes: Map<number, Figures>, minuteMs: number): Figures {
  const known = minutes.get(minuteMs) ?? emptyFigures();
  minutes.set(minuteMs, known);
  return known;
}

function figuresOf(row: FiguresRow): Figures {
  const { created, delivered, dead_lettered, cancelled, filterErrors, latency } = row;
  const { succeeded, rejected, timed_out, unreachable, invalid, unknown } = row;
  return {
    created,
    finals: { delivered, dead_lettered, cancelled },
    attempts: { succeeded, rejected, timed_out, unreachable, invalid, unknown },
    filterErrors,
    latency: JSON.parse(latency),
  };
}

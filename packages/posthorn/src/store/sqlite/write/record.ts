/** Adds figures to the current minute of a node. */
import type { IncarnationId } from "../../../base/ids.ts";
import type { EndpointFigures } from "../../../domain/figures.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";

export const MINUTE_MS = 60_000;

export class Record {
  #writing: Writing;
  #incarnation: Query<{ seq: number }>;
  #latency: Query<{ latency: string }>;
  #add: Statement;
  #addFilterErrors: Statement;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#incarnation = query(db, "SELECT seq FROM incarnations WHERE id = ?");
    this.#latency = query(
      db,
      "SELECT latency FROM figures WHERE endpoint_seq = ? AND minute_ms = ? AND incarnation_seq = ?",
    );
    this.#add = statement(
      db,
      `INSERT INTO figures (endpoint_seq, minute_ms, incarnation_seq, created, delivered, dead_lettered, cancelled,
        succeeded, rejected, timed_out, unreachable, invalid, unknown, filter_errors, latency)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET created = created + excluded.created, delivered = delivered + excluded.delivered,
        dead_lettered = dead_lettered + excluded.dead_lettered, cancelled = cancelled + excluded.cancelled,
        succeeded = succeeded + excluded.succeeded, rejected = rejected + excluded.rejected,
        timed_out = timed_out + excluded.timed_out, unreachable = unreachable + excluded.unreachable,
        invalid = invalid + excluded.invalid, unknown = unknown + excluded.unknown,
        filter_errors = filter_errors + excluded.filter_errors, latency = excluded.latency`,
    );
    this.#addFilterErrors = statement(
      db,
      "UPDATE lanes SET filter_errors = filter_errors + ?, filter_error = ifnull(?, filter_error) WHERE endpoint_seq = ?",
    );
  }

  run(incarnation: IncarnationId, figures: readonly EndpointFigures[]): void {
    const { nowMs } = this.#writing;
    const incarnationSeq = this.#incarnation.get(incarnation)?.seq ?? 0;
    const minuteMs = nowMs - (nowMs % MINUTE_MS);
    for (const each of figures) {
      const endpoint = this.#writing.endpoint(each.endpointId);
      if (endpoint === undefined) continue;
      const before = this.#latency.get(endpoint.seq, minuteMs, incarnationSeq);
      const { finals, attempts } = each;
      this.#add.run(
        endpoint.seq,
        minuteMs,
        incarnationSeq,
        each.created,
        finals.delivered,
        finals.dead_lettered,
        finals.cancelled,
        attempts.succeeded,
        attempts.rejected,
        attempts.timed_out,
        attempts.unreachable,
        attempts.invalid,
        attempts.unknown,
        each.filterErrors,
        JSON.stringify(added(each.latency, before)),
      );
      if (each.filterErrors > 0) this.#addFilterErrors.run(each.filterErrors, each.filterError, endpoint.seq);
    }
  }
}

function added(
  latency: readonly number[],
  before: { readonly latency: string } | undefined,
): readonly number[] {
  if (before === undefined) return latency;
  const sums = JSON.parse(before.latency) as number[];
  for (const [bucket, count] of latency.entries()) sums[bucket] = (sums[bucket] ?? 0) + count;
  return sums;
}

/** Settle: an attempt and what follows from it. */
import type { AttemptId, DeliveryId } from "../../../base/ids.ts";
import { isFailure } from "../../../domain/attempt.ts";
import type { FinalState } from "../../../domain/delivery.ts";
import { outcomeColumns } from "../../outcome.ts";
import type { BreakerChange, LaneFailures, NewAttempt, Settlement, SettleResult } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";
import type { End, Finish, Finished } from "./finish.ts";

/** Made once: most settlements end like this. */
const SETTLED: SettleResult = { kind: "settled", lane: null, released: false };

export class Settle {
  #writing: Writing;
  #finish: Finish;
  #insertAttempt: Statement;
  #retry: Query<{ seq: number; endpointSeq: number }>;
  #release: Query<{ endpointSeq: number }>;
  #laneFailed: Query<{ failingSinceMs: number; failures: number }>;
  #laneRecovered: Statement;
  #findUnfinished: Query<{ seq: number }>;
  #findFinal: Query<{ seq: number; state: FinalState }>;
  #findAttempt: Query<object>;
  #nextNumber: Query<{ number: number }>;
  #countAttempt: Statement;
  #setBreaker: Statement;

  constructor(writing: Writing, finish: Finish) {
    const { db } = writing;
    this.#writing = writing;
    this.#finish = finish;
    this.#insertAttempt = statement(
      db,
      `INSERT INTO attempts (delivery_seq, number, id, started_at_ms, duration_ms, outcome, status, facts, url, response_body)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (delivery_seq, number) DO NOTHING`,
    );
    this.#retry = query(
      db,
      `UPDATE deliveries SET leased_by = NULL, due_at_ms = ?, expires_at_ms = ?, class = max(class, 1),
        failures = failures + 1, attempt_count = attempt_count + 1, unknowns = 0
      WHERE id = ? AND leased_by = ? RETURNING seq, endpoint_seq AS endpointSeq`,
    );
    this.#release = query(
      db,
      `UPDATE deliveries SET leased_by = NULL, due_at_ms = ? WHERE id = ? AND leased_by = ?
      RETURNING endpoint_seq AS endpointSeq`,
    );
    this.#laneFailed = query(
      db,
      `UPDATE lanes SET failures = failures + 1, failing_since_ms = ifnull(failing_since_ms, ?2) WHERE endpoint_seq = ?1
      RETURNING failing_since_ms AS failingSinceMs, failures`,
    );
    this.#laneRecovered = statement(
      db,
      "UPDATE lanes SET failures = 0, failing_since_ms = NULL WHERE endpoint_seq = ?",
    );
    this.#findUnfinished = query(db, "SELECT seq FROM deliveries WHERE id = ?");
    this.#findFinal = query(db, "SELECT seq, state FROM delivery_history WHERE id = ?");
    this.#findAttempt = query(db, "SELECT 1 FROM attempts WHERE delivery_seq = ? AND id = ?");
    this.#nextNumber = query(
      db,
      "SELECT ifnull(max(number), 0) + 1 AS number FROM attempts WHERE delivery_seq = ?",
    );
    this.#countAttempt = statement(
      db,
      "UPDATE deliveries SET attempt_count = attempt_count + 1 WHERE seq = ?",
    );
    this.#setBreaker = statement(
      db,
      `UPDATE lanes SET breaker = ?, probe_at_ms = ?, probe_every_ms = ?
      WHERE endpoint_seq = (SELECT seq FROM endpoints WHERE id = ?)`,
    );
  }

  run(settlement: Settlement): SettleResult {
    const { incarnation } = this.#writing;
    const holder = incarnation?.id === settlement.incarnation ? incarnation.seq : null;
    return (holder === null ? undefined : this.#held(settlement, holder)) ?? this.#fenced(settlement);
  }

  setBreaker({ endpointId, state, probeInMs }: BreakerChange): void {
    const everyMs = Math.round(probeInMs);
    const open = state === "open";
    this.#setBreaker.run(
      state,
      open ? this.#writing.nowMs + everyMs : null,
      open ? everyMs : null,
      endpointId,
    );
  }

  /** undefined: the lease is not this writer's any more. */
  #held(settlement: Settlement, holder: number): SettleResult | undefined {
    const { next, attempt, deliveryId } = settlement;
    if (next.kind === "release") return this.#giveBack(deliveryId, holder);
    if (attempt === null) throw new Error(`the settlement of ${deliveryId} has no attempt`);
    let finished: Finished | undefined;
    if (next.kind === "retry") finished = this.#retryLater(deliveryId, holder, next);
    else finished = this.#finish.leased(deliveryId, holder, endOf(next));
    if (finished === undefined) return undefined;
    // A fenced writer's late attempt may have taken the number that this one was begun with.
    if (!this.#record(finished.seq, attempt.number, attempt)) this.#recordNext(finished.seq, attempt);
    const lane = this.#laneFacts(settlement, attempt);
    return lane === null && !finished.released
      ? SETTLED
      : { kind: "settled", lane, released: finished.released };
  }

  #giveBack(id: DeliveryId, holder: number): SettleResult | undefined {
    const row = this.#release.get(this.#writing.nowMs, id, holder);
    if (row === undefined) return undefined;
    this.#writing.noteDue(row.endpointSeq, this.#writing.nowMs);
    return SETTLED;
  }

  #retryLater(
    id: DeliveryId,
    holder: number,
    next: { inMs: number; expiresInMs: number },
  ): Finished | undefined {
    const { nowMs } = this.#writing;
    const dueAtMs = nowMs + Math.max(0, Math.round(next.inMs));
    const row = this.#retry.get(dueAtMs, nowMs + Math.round(next.expiresInMs), id, holder);
    if (row === undefined) return undefined;
    this.#writing.noteDue(row.endpointSeq, dueAtMs);
    return { seq: row.seq, released: false };
  }

  #laneFacts({ endpointId, recovers }: Settlement, { outcome }: NewAttempt): LaneFailures | null {
    if (!recovers && !isFailure(outcome)) return null;
    const endpoint = this.#writing.endpoint(endpointId);
    if (endpoint === undefined) return null;
    if (!isFailure(outcome)) {
      this.#laneRecovered.run(endpoint.seq);
      return null;
    }
    const { nowMs } = this.#writing;
    const lane = this.#laneFailed.get(endpoint.seq, nowMs);
    return lane === undefined ? null : { failingForMs: nowMs - lane.failingSinceMs, failures: lane.failures };
  }

  /** The attempt is on record whoever made it; of its verdict only a success counts, while there is something to finish. */
  #fenced({ deliveryId, attempt }: Settlement): SettleResult {
    const final = this.#findFinal.get(deliveryId);
    if (final !== undefined) {
      this.#recordLate(final.seq, attempt);
      return { kind: "final", state: final.state };
    }
    const row = this.#findUnfinished.get(deliveryId);
    if (row === undefined) throw new Error(`there is no delivery ${deliveryId}`);
    if (attempt === null || !this.#recordLate(row.seq, attempt)) return { kind: "fenced", finished: false };
    if (attempt.outcome.kind !== "succeeded") {
      this.#countAttempt.run(row.seq);
      return { kind: "fenced", finished: false };
    }
    this.#finish.any(row.seq, { state: "delivered", reason: null, attempts: 1 });
    return { kind: "fenced", finished: true };
  }

  /** False: it was on record already, from a settlement whose answer was lost. */
  #recordLate(deliverySeq: number, attempt: NewAttempt | null): boolean {
    if (attempt === null || this.#findAttempt.get(deliverySeq, attempt.id) !== undefined) return false;
    this.#recordNext(deliverySeq, attempt);
    return true;
  }

  #recordNext(deliverySeq: number, attempt: NewAttempt): void {
    this.#record(deliverySeq, this.#nextNumber.get(deliverySeq)?.number ?? 1, attempt);
  }

  /** False: the delivery has an attempt of that number. */
  #record(deliverySeq: number, number: number, attempt: NewAttempt): boolean {
    const { id, startedAgoMs, durationMs, outcome, responseBody, url } = attempt;
    const { status, facts } = outcomeColumns(outcome);
    const { changes } = this.#insertAttempt.run(
      deliverySeq,
      number,
      id satisfies AttemptId,
      this.#writing.nowMs - Math.round(startedAgoMs),
      Math.round(durationMs),
      outcome.kind,
      status,
      facts,
      url,
      responseBody,
    );
    return changes === 1;
  }
}

function endOf(
  next: { kind: "delivered" } | { kind: "dead_lettered"; reason: NonNullable<End["reason"]> },
): End {
  return next.kind === "delivered"
    ? { state: "delivered", reason: null, attempts: 1 }
    : { state: "dead_lettered", reason: next.reason, attempts: 1 };
}

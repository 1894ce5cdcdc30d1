/** Settle: a batch of outcomes in one statement (migrations/0004.sql); if it fails as a whole, in halves, so that a bad element fails alone. */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../../base/errors.ts";
import { locatorOf } from "../../../base/ids.ts";
import { isFailure } from "../../../domain/attempt.ts";
import type { FinalState } from "../../../domain/delivery.ts";
import { outcomeColumns } from "../../outcome.ts";
import { sliced, weightOfSettlement } from "../../slices.ts";
import type { BreakerChange, NextStep, Settlement, SettleResult } from "../../store.ts";
import { Blob } from "../blob.ts";
import { type Context, numberOf } from "../context.ts";
import { failureOf, toPosthornError } from "../failure.ts";
import { plainArray, textArray } from "../literal.ts";
import { ensurePartitionsOf } from "../partitions-ahead.ts";

interface Row {
  readonly n: number;
  readonly kind: "settled" | "fenced" | "fenced_finished" | `final:${FinalState}` | "failed";
  readonly failures: number | null;
  readonly failing_for_ms: number | null;
  readonly released: boolean;
}

const PARAMETERS = 27;
const SETTLE = {
  name: "settle",
  text: `SELECT * FROM posthorn.settle(${Array.from({ length: PARAMETERS }, (_, index) => `$${index + 1}`).join(", ")})`,
};
const TURNS_MAX = 4;
const AGAIN_MS = 20;
const SETTLED: SettleResult = { kind: "settled", lane: null, released: false };

export async function settle(
  context: Context,
  settlements: readonly Settlement[],
  breakers: readonly BreakerChange[],
): Promise<SettleResult[]> {
  const slices = sliced(settlements, weightOfSettlement);
  const results: SettleResult[] = [];
  for (const [index, { items }] of slices.entries()) {
    results.push(...(await settleSlice(context, items, index === slices.length - 1 ? breakers : [])));
  }
  return results;
}

/** @throws PosthornError when the store cannot take it now: the caller keeps it and comes again */
async function settleSlice(
  context: Context,
  settlements: readonly Settlement[],
  breakers: readonly BreakerChange[],
  turn = 1,
): Promise<SettleResult[]> {
  const { doubtful } = context;
  // A lease that is given back does not say which lease it is: if it was given back, and this node has claimed the delivery
  // again, giving it back once more would send it twice. It is left to the duty that looks for leases nobody holds.
  const whole = settlements.filter(
    ({ attempt, next, deliveryId }) =>
      attempt !== null || (next.kind === "release" && !doubtful.has(deliveryId)),
  );
  const again = whole.some(({ deliveryId }) => doubtful.has(deliveryId));
  try {
    const values = [...settlementValues(context, whole), ...breakerValues(context, breakers), again];
    const rows = await context.connections.run<Row>("settle", SETTLE, values);
    const results = answers(settlements, whole, rows);
    for (const { deliveryId } of settlements) doubtful.delete(deliveryId);
    return results;
  } catch (error) {
    const kind = failureOf(error);
    if (kind === "lost") for (const { deliveryId } of settlements) doubtful.add(deliveryId);
    if (kind === "other") return settleHalves(context, settlements, breakers, error);
    if (kind === "unavailable" || kind === "full" || turn === TURNS_MAX) throw toPosthornError(error);
    if (kind === "no_partition") {
      const ids = settlements.map(({ deliveryId }) => deliveryId);
      await ensurePartitionsOf(context, ids);
    }
  }
  await sleep(AGAIN_MS * turn);
  return settleSlice(context, settlements, breakers, turn + 1);
}

async function settleHalves(
  context: Context,
  settlements: readonly Settlement[],
  breakers: readonly BreakerChange[],
  error: unknown,
): Promise<SettleResult[]> {
  if (settlements.length === 0) throw error;
  if (settlements.length === 1) {
    if (breakers.length > 0) await settleSlice(context, [], breakers);
    return [{ kind: "failed", message: messageOf(error) }];
  }
  const middle = settlements.length >> 1;
  const first = await settleSlice(context, settlements.slice(0, middle), []);
  return [...first, ...(await settleSlice(context, settlements.slice(middle), breakers))];
}

function answers(
  settlements: readonly Settlement[],
  whole: readonly Settlement[],
  rows: readonly Row[],
): SettleResult[] {
  const special = new Map(rows.map((row) => [row.n, row]));
  let position = 0;
  return settlements.map((settlement): SettleResult => {
    const { deliveryId, next } = settlement;
    if (whole[position] !== settlement) {
      if (next.kind !== "release")
        return { kind: "failed", message: `the settlement of ${deliveryId} has no attempt` };
      return { kind: "fenced", finished: false };
    }
    position += 1;
    const row = special.get(position);
    return row === undefined ? SETTLED : resultOf(row, whole[position - 1] as Settlement);
  });
}

function resultOf(
  { kind, failures, failing_for_ms, released }: Row,
  { deliveryId }: Settlement,
): SettleResult {
  switch (kind) {
    case "settled": {
      const lane = failures === null ? null : { failures, failingForMs: failing_for_ms ?? 0 };
      return { kind, lane, released };
    }
    case "fenced":
      return { kind, finished: false };
    case "fenced_finished":
      return { kind: "fenced", finished: true };
    case "failed":
      return { kind, message: `there is no delivery ${deliveryId}` };
    default:
      return { kind: "final", state: kind.slice("final:".length) as FinalState };
  }
}

function settlementValues(context: Context, settlements: readonly Settlement[]): unknown[] {
  const bodies = new Blob();
  for (const { attempt } of settlements) bodies.add(attempt?.responseBody ?? null);
  const attempts = settlements.map(({ attempt }) => attempt);
  const outcomes = attempts.map((attempt) => (attempt === null ? null : outcomeColumns(attempt.outcome)));
  return [
    plainArray(settlements.map(({ deliveryId }) => deliveryId)),
    plainArray(settlements.map(({ deliveryId }) => locatorOf(deliveryId))),
    plainArray(settlements.map(({ incarnation }) => numberOf(context, incarnation))),
    plainArray(settlements.map(({ endpointId }) => endpointId)),
    plainArray(settlements.map(({ next }) => next.kind)),
    plainArray(settlements.map(({ next }) => (next.kind === "dead_lettered" ? next.reason : null))),
    plainArray(settlements.map(({ next }) => dueInMs(next))),
    plainArray(settlements.map(({ next }) => (next.kind === "retry" ? Math.round(next.expiresInMs) : null))),
    plainArray(attempts.map((attempt) => attempt !== null && isFailure(attempt.outcome))),
    plainArray(settlements.map(({ attempt, recovers }) => recovers && attempt?.outcome.kind === "succeeded")),
    plainArray(attempts.map((attempt) => attempt?.id ?? null)),
    plainArray(attempts.map((attempt) => attempt?.number ?? null)),
    plainArray(attempts.map((attempt) => (attempt === null ? null : Math.round(attempt.startedAgoMs)))),
    plainArray(attempts.map((attempt) => (attempt === null ? null : Math.round(attempt.durationMs)))),
    plainArray(attempts.map((attempt) => attempt?.outcome.kind ?? null)),
    plainArray(outcomes.map((outcome) => outcome?.status ?? null)),
    textArray(outcomes.map((outcome) => outcome?.facts ?? null)),
    textArray(attempts.map((attempt) => attempt?.url ?? null)),
    plainArray(bodies.starts),
    plainArray(bodies.lengths),
    bodies.whole(),
  ];
}

function dueInMs(next: NextStep): number | null {
  switch (next.kind) {
    case "retry":
      return Math.max(0, Math.round(next.inMs));
    case "release":
      return 0;
    case "delivered":
    case "dead_lettered":
      return null;
  }
}

function breakerValues(context: Context, breakers: readonly BreakerChange[]): string[] {
  return [
    plainArray(breakers.map(({ endpointId }) => endpointId)),
    plainArray(breakers.map(({ incarnation }) => numberOf(context, incarnation))),
    plainArray(breakers.map(({ epoch }) => epoch)),
    plainArray(breakers.map(({ state }) => state)),
    plainArray(breakers.map(({ probeInMs }) => Math.round(probeInMs))),
  ];
}

/** Figures are counted as they happen, per endpoint and minute; stats read these and never the raw rows. */
import type { AppId, EndpointId } from "../base/ids.ts";
import { OUTCOME_KINDS, type OutcomeKind } from "./attempt.ts";
import type { FinalState } from "./delivery.ts";

/** Upper bounds of the latency histogram in milliseconds; the last bucket has no bound. About 25 % apart. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 65, 80, 100, 125, 160, 200, 250, 320, 400, 500, 640,
  800, 1000, 1250, 1600, 2000, 2500, 3200, 4000, 5000, 6400, 8000, 10_000, 15_000, 20_000, 30_000,
];

export interface Figures {
  /** Deliveries made. */
  created: number;
  finals: Record<FinalState, number>;
  attempts: Record<OutcomeKind, number>;
  /** Events that a filter could not judge. */
  filterErrors: number;
  /** Durations of attempts that were answered or timed out, by bucket of LATENCY_BOUNDS_MS. */
  latency: number[];
}

export interface EndpointFigures extends Figures {
  readonly endpointId: EndpointId;
  readonly appId: AppId;
  /** What the filter's last error said; null: none since the last time. */
  filterError: string | null;
}

export function emptyFigures(): Figures {
  return {
    created: 0,
    finals: { delivered: 0, dead_lettered: 0, cancelled: 0 },
    attempts: Object.fromEntries(OUTCOME_KINDS.map((kind) => [kind, 0])) as Record<OutcomeKind, number>,
    filterErrors: 0,
    latency: new Array<number>(LATENCY_BOUNDS_MS.length + 1).fill(0),
  };
}

/** The bucket of a duration, by binary search. */
export function latencyBucket(durationMs: number): number {
  let low = 0;
  let high = LATENCY_BOUNDS_MS.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (durationMs <= (LATENCY_BOUNDS_MS[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The upper bound in milliseconds below which the fraction `q` of a histogram lies; null when it is empty. */
export function latencyQuantile(latency: readonly number[], q: number): number | null {
  const total = latency.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let seen = 0;
  for (const [bucket, count] of latency.entries()) {
    seen += count;
    if (seen >= q * total) return LATENCY_BOUNDS_MS[Math.min(bucket, LATENCY_BOUNDS_MS.length - 1)] ?? null;
  }
  return null;
}

export function addFigures(sum: Figures, more: Figures): void {
  sum.created += more.created;
  sum.filterErrors += more.filterErrors;
  for (const state of Object.keys(sum.finals) as FinalState[]) sum.finals[state] += more.finals[state];
  for (const kind of OUTCOME_KINDS) sum.attempts[kind] += more.attempts[kind];
  for (const [bucket, count] of more.latency.entries())
    sum.latency[bucket] = (sum.latency[bucket] ?? 0) + count;
}

/** Counts what happens: per endpoint for the store's minutes, and in all for /metrics. */
import type { AppId, EndpointId, IncarnationId } from "../base/ids.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { FinalState } from "../domain/delivery.ts";
import {
  addFigures,
  type EndpointFigures,
  emptyFigures,
  type Figures,
  latencyBucket,
} from "../domain/figures.ts";
import type { StoreWriter } from "../store/store.ts";

export class FiguresCounter {
  readonly total: Figures = emptyFigures();
  accepted = 0;
  duplicates = 0;
  refused = 0;
  latencySumMs = 0;
  #byEndpoint = new Map<EndpointId, EndpointFigures>();

  created(appId: AppId, endpointId: EndpointId, count = 1): void {
    this.total.created += count;
    this.#of(appId, endpointId).created += count;
  }

  attempted(appId: AppId, endpointId: EndpointId, outcome: AttemptOutcome, durationMs: number): void {
    const figures = this.#of(appId, endpointId);
    this.total.attempts[outcome.kind] += 1;
    figures.attempts[outcome.kind] += 1;
    if (!hasLatency(outcome)) return;
    const bucket = latencyBucket(durationMs);
    this.total.latency[bucket] = (this.total.latency[bucket] ?? 0) + 1;
    figures.latency[bucket] = (figures.latency[bucket] ?? 0) + 1;
    this.latencySumMs += durationMs;
  }

  ended(appId: AppId, endpointId: EndpointId, state: FinalState): void {
    this.total.finals[state] += 1;
    this.#of(appId, endpointId).finals[state] += 1;
  }

  filterFailed(appId: AppId, endpointId: EndpointId, message: string): void {
    this.total.filterErrors += 1;
    const figures = this.#of(appId, endpointId);
    figures.filterErrors += 1;
    figures.filterError = message.slice(0, 500);
  }

  /**
   * Writes what has been counted since the last time. A crash loses at most one interval of figures, never a delivery; what
   * cannot be written goes with the next interval.
   */
  async flush(write: StoreWriter, incarnation: IncarnationId): Promise<void> {
    if (this.#byEndpoint.size === 0) return;
    const counted = this.#byEndpoint;
    this.#byEndpoint = new Map();
    try {
      await write.record(incarnation, [...counted.values()]);
    } catch (error) {
      for (const more of this.#byEndpoint.values()) {
        const figures = counted.get(more.endpointId);
        if (figures === undefined) counted.set(more.endpointId, more);
        else {
          addFigures(figures, more);
          figures.filterError = more.filterError ?? figures.filterError;
        }
      }
      this.#byEndpoint = counted;
      throw error;
    }
  }

  #of(appId: AppId, endpointId: EndpointId): EndpointFigures {
    let figures = this.#byEndpoint.get(endpointId);
    if (figures === undefined) {
      figures = { endpointId, appId, filterError: null, ...emptyFigures() };
      this.#byEndpoint.set(endpointId, figures);
    }
    return figures;
  }
}

/** A refused connection takes a millisecond, and says nothing about how fast a receiver is. */
function hasLatency({ kind }: AttemptOutcome): boolean {
  return kind === "succeeded" || kind === "rejected" || kind === "timed_out";
}

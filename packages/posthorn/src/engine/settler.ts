/**
 * Brings outcomes into the store, in batches. An outcome is never dropped: when the store cannot take a batch (a full
 * disk), it waits in bounded memory and is tried again, and meanwhile no new attempt starts.
 */
import { setTimeout as wait } from "node:timers/promises";
import { monotonicMs } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { DeliveryId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { LIMITS } from "../domain/defaults.ts";
import type { BreakerChange, NewAttempt, Settlement, SettleResult, StoreWriter } from "../store/store.ts";
import { Batcher } from "./batcher.ts";

/** A settlement whose attempt knows when it began; the store is told how long ago, at the moment of the call. */
export interface Outcome {
  readonly settlement: Omit<Settlement, "attempt">;
  readonly attempt: (Omit<NewAttempt, "startedAgoMs"> & { readonly startedAtMs: number }) | null;
  readonly breaker: BreakerChange | null;
}

/** How long the store is left alone after it could not take a batch. */
const RETRY_MS = 500;

/**
 * When a breaker opens, its whole window goes back at once; ten lanes at once are 2,500 rows, and in one transaction they
 * kept every publication waiting for 60 ms. In parts, accepts go between.
 */
const SETTLED_AT_ONCE = 256;

export class Settler {
  #write: Pick<StoreWriter, "settle">;
  #logger: Logger;
  #queueMax: number;
  #retryMs: number;
  #batches: Batcher<Outcome, SettleResult>;
  #failing = false;
  #givenUp = false;

  constructor(write: Pick<StoreWriter, "settle">, logger: Logger, queueMax: number, retryMs = RETRY_MS) {
    this.#write = write;
    this.#logger = logger;
    this.#queueMax = queueMax;
    this.#retryMs = retryMs;
    this.#batches = new Batcher({
      run: (outcomes) => this.#settle(outcomes),
      itemsMax: SETTLED_AT_ONCE,
      weightMax: LIMITS.batchBytesMax,
    });
  }

  /** False while outcomes cannot be written: no new attempt may start. */
  get accepting(): boolean {
    return !this.#failing && this.#batches.waiting < this.#queueMax;
  }

  get failing(): boolean {
    return this.#failing;
  }

  settle(outcome: Outcome): Promise<SettleResult> {
    return this.#batches.push(outcome, 200 + (outcome.attempt?.responseBody?.length ?? 0));
  }

  /** The deliveries whose outcomes the store has not confirmed yet. */
  *settling(): Iterable<DeliveryId> {
    for (const { settlement } of this.#batches.unanswered()) yield settlement.deliveryId;
  }

  async idle(): Promise<void> {
    await this.#batches.idle();
  }

  /** Stops retrying: what is not written by now is found leased at the next start, and gets an `unknown` attempt. */
  giveUp(): void {
    this.#givenUp = true;
  }

  async #settle(outcomes: readonly Outcome[]): Promise<readonly SettleResult[]> {
    for (;;) {
      try {
        const results = await this.#write.settle(settlementsOf(outcomes), breakersOf(outcomes));
        this.#failing = false;
        return results;
      } catch (error) {
        if (this.#givenUp) throw error;
        if (!this.#failing)
          this.#logger.error({ outcomes: outcomes.length, error: messageOf(error) }, "settle.failed");
        this.#failing = true;
        await wait(this.#retryMs, undefined, { ref: false });
      }
    }
  }
}

function settlementsOf(outcomes: readonly Outcome[]): Settlement[] {
  const nowMs = monotonicMs();
  return outcomes.map(({ settlement, attempt }) => ({
    ...settlement,
    attempt: attempt === null ? null : toNewAttempt(attempt, nowMs),
  }));
}

function toNewAttempt(
  { startedAtMs, ...attempt }: NonNullable<Outcome["attempt"]>,
  nowMs: number,
): NewAttempt {
  return { ...attempt, startedAgoMs: Math.max(0, Math.round(nowMs - startedAtMs)) };
}

/** Of several changes of one breaker in a batch the last one counts. */
function breakersOf(outcomes: readonly Outcome[]): BreakerChange[] {
  const last = new Map<string, BreakerChange>();
  for (const { breaker } of outcomes) if (breaker !== null) last.set(breaker.endpointId, breaker);
  return [...last.values()];
}

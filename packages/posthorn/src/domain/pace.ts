/**
 * The pace of a rate-limited lane: the generic cell rate algorithm, aimed half a per cent below the rate.
 *
 * The tolerance lets timers that are late catch up. An interval of 1.005 / rate and a tolerance below 50 ms (0.5 % of
 * 10 s) together mean that 10 s never see more than 10 x rate, however low the rate. Where 1 % is more than one send,
 * the tolerance grows to what keeps 1 + (10 s + tolerance + 30 ms) / interval <= 10.1 x rate: the receiver counts arrivals,
 * and with 30 ms less of tolerance than the senders' own count allows, their jitter does not show as too many.
 */
export class Pace {
  #intervalMs: number;
  #toleranceMs: number;
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number) {
    this.#intervalMs = 1005 / perSecond;
    this.#toleranceMs = Math.max(49, 119 - this.#intervalMs);
  }

  /** Milliseconds until the next send is allowed; 0 or less: now. Monotonic time. */
  waitMs(nowMs: number): number {
    return this.#nextMs - this.#toleranceMs - nowMs;
  }

  /** Takes one send. */
  take(nowMs: number): void {
    this.#nextMs = Math.max(this.#nextMs, nowMs) + this.#intervalMs;
  }
}

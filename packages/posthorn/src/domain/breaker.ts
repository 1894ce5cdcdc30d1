/**
 * The circuit breaker of a lane: pure. It opens at 70 % failures of at least 10 attempts in 5 minutes. Open, it spends
 * nothing but one due delivery every 30 s; the first success makes it half open, one delivery at a time; after 5
 * successes in a row it closes, and the lane ramps up. Its state is kept on the lane's row, so a restart is no herd.
 */

export interface BreakerPolicy {
  readonly windowMs: number;
  readonly attemptsMin: number;
  readonly failureRate: number;
  readonly probeEveryMs: number;
  readonly successesToClose: number;
}

export const BREAKER_POLICY: BreakerPolicy = {
  windowMs: 5 * 60_000,
  attemptsMin: 10,
  failureRate: 0.7,
  probeEveryMs: 30_000,
  successesToClose: 5,
};

export const BREAKER_STATES = ["closed", "open", "half_open"] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** The window moves in slices of 30 s: it looks back for 4.5 to 5 minutes. */
const SLICES = 10;

export class Breaker {
  state: BreakerState;
  #policy: BreakerPolicy;
  #successes = 0;
  #sliceMs: number;
  #slices = new Array<{ slot: number; attempts: number; failures: number }>(SLICES);

  constructor(state: BreakerState, policy: BreakerPolicy = BREAKER_POLICY) {
    this.state = state;
    this.#policy = policy;
    this.#sliceMs = policy.windowMs / SLICES;
    for (let i = 0; i < SLICES; i++)
      this.#slices[i] = { slot: Number.NEGATIVE_INFINITY, attempts: 0, failures: 0 };
  }

  /** Counts an attempt at a monotonic time. Returns true when the state changed, so that it is written down. */
  record(failed: boolean, nowMs: number): boolean {
    const before = this.state;
    switch (before) {
      case "closed":
        this.#count(failed, nowMs);
        if (failed && this.#tooManyFailures(nowMs)) this.#open();
        break;
      case "open":
      case "half_open":
        if (failed) this.#open();
        else this.#succeeded();
        break;
    }
    return this.state !== before;
  }

  #open(): void {
    this.state = "open";
    this.#successes = 0;
  }

  #succeeded(): void {
    this.state = "half_open";
    this.#successes += 1;
    if (this.#successes < this.#policy.successesToClose) return;
    this.state = "closed";
    this.#successes = 0;
    for (const slice of this.#slices) slice.slot = Number.NEGATIVE_INFINITY;
  }

  #count(failed: boolean, nowMs: number): void {
    const slot = Math.floor(nowMs / this.#sliceMs);
    const slice = this.#slices[slot % SLICES];
    if (slice === undefined) return;
    if (slice.slot !== slot) {
      slice.slot = slot;
      slice.attempts = 0;
      slice.failures = 0;
    }
    slice.attempts += 1;
    if (failed) slice.failures += 1;
  }

  #tooManyFailures(nowMs: number): boolean {
    const oldest = Math.floor(nowMs / this.#sliceMs) - SLICES;
    let attempts = 0;
    let failures = 0;
    for (const slice of this.#slices) {
      if (slice.slot <= oldest) continue;
      attempts += slice.attempts;
      failures += slice.failures;
    }
    return attempts >= this.#policy.attemptsMin && failures >= attempts * this.#policy.failureRate;
  }
}

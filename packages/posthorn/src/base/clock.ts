/**
 * A steady clock: unix milliseconds that no step of the wall clock can move by much.
 * It starts at the wall's time and runs on the monotonic clock; towards the wall it slews by at most 1 % of
 * the time that passes, so that a clock set forward by an hour makes no burst of due work and one set back no stall.
 */
export interface SteadyClockSources {
  /** Unix milliseconds of the wall clock. */
  wallMs(): number;
  /** Monotonic milliseconds from any origin. */
  monotonicMs(): number;
  /** The clock never starts before this: what an earlier process had reached. */
  notBeforeMs?: number;
}

export interface SteadyClock {
  nowMs(): number;
  /** Moves the clock forward, for tests. */
  advance(ms: number): void;
}

const SLEW = 0.01;

export function createSteadyClock(sources: SteadyClockSources): SteadyClock {
  let lastMonotonic = sources.monotonicMs();
  let current = Math.max(sources.wallMs(), sources.notBeforeMs ?? 0);
  let advanced = 0;
  return {
    nowMs() {
      const monotonic = sources.monotonicMs();
      const elapsed = Math.max(0, monotonic - lastMonotonic);
      lastMonotonic = monotonic;
      const steady = current + elapsed;
      const towardsWall = sources.wallMs() - steady;
      const slewMax = elapsed * SLEW;
      current = steady + Math.max(-slewMax, Math.min(slewMax, towardsWall));
      return Math.floor(current + advanced);
    },
    advance(ms) {
      advanced += ms;
    },
  };
}

/** Monotonic milliseconds, shared by all threads of the machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

// Measures at what rate requests arrive: how long it takes after a fault until it is what it was.
import { setTimeout as wait } from "node:timers/promises";
import type { ReceivedLine } from "../src/cli/proof/ledger.ts";

const SAMPLE_EVERY_MS = 100;
/** The rate is that of so much time: less is noise. */
const WINDOW_MS = 1000;
const BEFORE_MS = 1500;

export interface Meter {
  /** Per second, over the last second and a half. */
  rateBefore(): number;
  /** Milliseconds until the first whole second from now with at least so many is over; null: not within `deadlineMs`. */
  untilAtLeast(perSecond: number, deadlineMs: number): Promise<number | null>;
  close(): void;
}

/** @param arrived how many have arrived so far */
export function startMeter(arrived: () => number): Meter {
  const samples: { atMs: number; count: number }[] = [];
  const sample = (): void => {
    samples.push({ atMs: performance.now(), count: arrived() });
    if (samples.length > (2 * BEFORE_MS) / SAMPLE_EVERY_MS) samples.shift();
  };
  sample();
  const timer = setInterval(sample, SAMPLE_EVERY_MS);

  function rateSince(fromMs: number): number {
    const last = samples.at(-1)!;
    const first = samples.findLast(({ atMs }) => atMs <= fromMs) ?? samples[0]!;
    return last === first ? 0 : (1000 * (last.count - first.count)) / (last.atMs - first.atMs);
  }

  return {
    rateBefore: () => rateSince(performance.now() - BEFORE_MS),
    async untilAtLeast(perSecond, deadlineMs) {
      const startMs = performance.now();
      while (performance.now() - startMs < deadlineMs) {
        await wait(SAMPLE_EVERY_MS);
        const sinceMs = performance.now() - startMs;
        if (sinceMs >= WINDOW_MS && rateSince(startMs + sinceMs - WINDOW_MS) >= perSecond) return sinceMs;
      }
      return null;
    },
    close: () => clearInterval(timer),
  };
}

/** The longest time without any request at the endpoint, between its first and its last one. */
export function longestGapMs(received: readonly ReceivedLine[], endpoint: string): number {
  let lastUs: number | undefined;
  let longestUs = 0;
  for (const line of received) {
    if (line.endpoint !== endpoint) continue;
    if (lastUs !== undefined) longestUs = Math.max(longestUs, line.receivedUs - lastUs);
    lastUs = line.receivedUs;
  }
  return longestUs / 1000;
}

/** The most requests that the endpoint got within any such time. */
export function mostWithin(received: readonly ReceivedLine[], endpoint: string, windowMs: number): number {
  const times = received.filter((line) => line.endpoint === endpoint).map(({ receivedUs }) => receivedUs);
  let first = 0;
  let most = 0;
  for (const [index, timeUs] of times.entries()) {
    while (times[first]! <= timeUs - windowMs * 1000) first += 1;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

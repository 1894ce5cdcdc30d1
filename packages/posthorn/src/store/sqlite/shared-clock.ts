/**
 * The store's `now`, shared by its threads: the writer keeps the steady clock and publishes how far it is ahead of the
 * machine's monotonic clock; the reader adds that to the same monotonic clock.
 */
import { createSteadyClock, monotonicMs } from "../../base/clock.ts";

export type ClockMemory = SharedArrayBuffer;

export function createClockMemory(): ClockMemory {
  return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
}

export interface WriterClock {
  nowMs(): number;
  advance(ms: number): void;
}

export function createWriterClock(memory: ClockMemory, notBeforeMs: number): WriterClock {
  const offset = new BigInt64Array(memory);
  const steady = createSteadyClock({ wallMs: Date.now, monotonicMs, notBeforeMs });
  let lastMs = 0;
  const nowMs = (): number => {
    // Never backwards, so that creation order is time order.
    lastMs = Math.max(lastMs, steady.nowMs());
    Atomics.store(offset, 0, BigInt(Math.round((lastMs - monotonicMs()) * 1000)));
    return lastMs;
  };
  nowMs();
  return {
    nowMs,
    advance(ms) {
      steady.advance(ms);
      nowMs();
    },
  };
}

export function createReaderClock(memory: ClockMemory): () => number {
  const offset = new BigInt64Array(memory);
  return () => Math.floor(monotonicMs() + Number(Atomics.load(offset, 0)) / 1000);
}

/** Marks in memory: for one process, and until it ends. */
import { UnderWay } from "../../under-way.ts";
import type { DedupeStore } from "../dedupe.ts";
import { checkWindow, Keys } from "../keys.ts";
import { RunningKeys } from "../running-keys.ts";
import { MemoryMarks } from "./memory-marks.ts";

export interface MemoryDedupeOptions {
  /** How long an event is remembered; 7 days unless told otherwise. */
  readonly windowMs?: number;
  /** How many are remembered at most; beyond that the oldest are forgotten first. */
  readonly entriesMax?: number;
}

/** @throws RangeError for an option out of range */
export function memoryDedupe({
  windowMs,
  entriesMax = 1_000_000,
}: MemoryDedupeOptions = {}): DedupeStore<undefined> {
  if (!Number.isInteger(entriesMax) || entriesMax < 1) {
    throw new RangeError(`entriesMax is ${entriesMax}: it must be a whole number from 1`);
  }
  const marks = new MemoryMarks(checkWindow(windowMs), entriesMax);
  const running = new RunningKeys();
  const calls = new UnderWay("dedupe store");
  return {
    once: (given, work) =>
      calls.run(async () => {
        const keys = new Keys(given);
        return running.hold(keys.distinct, async () => {
          const fresh = new Set(keys.distinct.filter((key) => !marks.has(key)));
          if (fresh.size > 0) await work(undefined, keys.indicesOf(fresh));
          for (const key of fresh) marks.add(key);
          return keys.outcomes(fresh);
        });
      }),
    onceMax: Number.POSITIVE_INFINITY,
    close: () => calls.close(),
  };
}

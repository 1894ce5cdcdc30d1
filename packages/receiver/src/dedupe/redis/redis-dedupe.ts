/**
 * Marks in Redis or Valkey, for any number of processes. There is no transaction: between the handler's end and its mark lies a step
 * in which a crash, or a Redis that cannot be reached, lets the event be handled again.
 */
import process from "node:process";
import type { RedisClient } from "../../clients/redis.ts";
import { UnderWay } from "../../under-way.ts";
import type { DedupeStore, OnceOutcome, OnceWork } from "../dedupe.ts";
import { checkWindow, Keys } from "../keys.ts";
import { RunningKeys } from "../running-keys.ts";
import { type Lock, RedisMarks } from "./redis-marks.ts";

export interface RedisDedupeOptions {
  /** How long an event is remembered; 7 days unless told otherwise. */
  readonly windowMs?: number;
  /** Of the keys in Redis; `posthorn:receiver:` unless told otherwise. */
  readonly prefix?: string;
  /**
   * How long an event stays `busy` after the process that worked on it died; 30 s unless told otherwise. It is renewed while a handler
   * runs, so handlers may take longer.
   */
  readonly lockMs?: number;
  /**
   * Told when events were handled and may be handled once more: a lock was lost to another process (this one stood still for longer
   * than `lockMs`), or the marks could not be set. A process warning unless told otherwise.
   */
  readonly onMarkLost?: (error: Error) => void;
}

const LOCK_MS_MIN = 1000;

/** @throws RangeError for an option out of range */
export function redisDedupe(
  client: RedisClient,
  {
    windowMs,
    prefix = "posthorn:receiver:",
    lockMs = 30_000,
    onMarkLost = (error) => process.emitWarning(error),
  }: RedisDedupeOptions = {},
): DedupeStore<undefined> {
  if (!Number.isInteger(lockMs) || lockMs < LOCK_MS_MIN) {
    throw new RangeError(`lockMs is ${lockMs}: it must be a whole number from ${LOCK_MS_MIN}`);
  }
  const marks = new RedisMarks(client, { windowMs: checkWindow(windowMs), prefix, lockMs });
  const running = new RunningKeys();
  const calls = new UnderWay("dedupe store");
  return {
    once: (given, work) =>
      calls.run(async () => {
        const keys = new Keys(given);
        return running.hold(keys.distinct, () => onceAlone(marks, keys, work, onMarkLost));
      }),
    // All share the client's one connection.
    onceMax: Number.POSITIVE_INFINITY,
    close: () => calls.close(),
  };
}

async function onceAlone(
  marks: RedisMarks,
  keys: Keys,
  work: OnceWork<undefined>,
  onMarkLost: (error: Error) => void,
): Promise<readonly OnceOutcome[]> {
  const { lock, busy } = await marks.lock(keys.distinct);
  if (lock.keys.length > 0) {
    await workUnderLock(marks, lock, () => work(undefined, keys.indicesOf(new Set(lock.keys))));
    // The work is done: to say otherwise would have the sender repeat it for certain.
    await marks.finish(lock).then(
      (lost) => {
        if (lost.length > 0) onMarkLost(lostError(lost, "another process took over the lock"));
      },
      (error: unknown) => onMarkLost(lostError(lock.keys, "the mark could not be set", error)),
    );
  }
  return keys.outcomes(new Set(lock.keys), busy);
}

async function workUnderLock(marks: RedisMarks, lock: Lock, work: () => Promise<void>): Promise<void> {
  const stop = marks.keep(lock);
  try {
    await work();
  } catch (error) {
    // What cannot be released now ends by itself.
    await marks.release(lock).catch(() => undefined);
    throw error;
  } finally {
    stop();
  }
}

function lostError(keys: readonly string[], why: string, cause?: unknown): Error {
  return new Error(`Handled, but may be handled once more, because ${why}: ${keys.join(", ")}`, { cause });
}

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createDuty, type Duty } from "./lifecycle.ts";
import { silentLogger } from "./logger.ts";

const FOREVER_MS = 2 ** 30;

/** A duty whose pieces of work the test ends one by one. */
function watchedDuty(everyMs = FOREVER_MS) {
  const runs: { end(result: { more: boolean }): void; fail(error: unknown): void }[] = [];
  const waiting: (() => void)[] = [];
  const errors: object[] = [];
  const duty = createDuty({
    name: "prune",
    everyMs,
    logger: { ...silentLogger, error: (fields) => errors.push(fields) },
    runOnce: () =>
      new Promise((resolve, reject) => {
        runs.push({ end: resolve, fail: reject });
        for (const wake of waiting.splice(0)) wake();
      }),
  });
  return {
    duty,
    runs,
    errors,
    async begun(count: number) {
      while (runs.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async over() {
      const stopped = duty.stop();
      runs.at(-1)?.end({ more: false });
      await stopped;
    },
  };
}

/** Timers of one length fire in the order they were made: afterwards, what was due at once has run. */
async function turns(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("a duty", { timeout: 10_000 }, () => {
  // Its own timers do not keep a process alive, so the test does.
  let alive: NodeJS.Timeout;
  before(() => {
    alive = setInterval(() => {}, 1000);
  });
  after(() => clearInterval(alive));

  test("runOnce does one piece and says whether more is waiting, started or not", async () => {
    const duty: Duty = createDuty({
      name: "expire",
      everyMs: FOREVER_MS,
      logger: silentLogger,
      runOnce: async () => ({ more: true }),
    });
    assert.deepEqual(await duty.runOnce(), { more: true });
  });

  test("runs when started, again at once while there is more, then not before its time", async () => {
    const { duty, runs, begun, over } = watchedDuty();
    duty.start();
    await begun(1);
    runs[0]?.end({ more: true });
    await begun(2);
    runs[1]?.end({ more: false });
    await turns();
    assert.equal(runs.length, 2);
    await over();
  });

  test("runs again when its time has come", async () => {
    const { duty, runs, begun, over } = watchedDuty(1);
    duty.start();
    await begun(1);
    runs[0]?.end({ more: false });
    await begun(2);
    await over();
  });

  test("a wake runs it soon; one during a run runs it once more afterwards, never beside", async () => {
    const { duty, runs, begun, over } = watchedDuty();
    duty.start();
    await begun(1);
    runs[0]?.end({ more: false });
    await turns();
    duty.wake();
    await begun(2);
    duty.wake();
    duty.wake();
    await turns();
    assert.equal(runs.length, 2);
    runs[1]?.end({ more: false });
    await begun(3);
    runs[2]?.end({ more: false });
    await turns();
    assert.equal(runs.length, 3);
    await over();
  });

  test("started twice it runs once", async () => {
    const { duty, runs, begun, over } = watchedDuty();
    duty.start();
    await begun(1);
    duty.start();
    await turns();
    assert.equal(runs.length, 1);
    await over();
  });

  test("stop waits for the piece in hand, and nothing runs afterwards, woken or not", async () => {
    const { duty, runs, begun, over } = watchedDuty();
    duty.start();
    await begun(1);
    let stopped = false;
    const stop = duty.stop().then(() => {
      stopped = true;
    });
    await turns();
    assert.equal(stopped, false);
    runs[0]?.end({ more: true });
    await stop;
    duty.wake();
    await turns();
    assert.equal(runs.length, 1);
    await over();
  });

  test("an error is logged and the duty goes on", async () => {
    const { duty, runs, errors, begun, over } = watchedDuty(1);
    duty.start();
    await begun(1);
    runs[0]?.fail(new Error("disk full"));
    await begun(2);
    assert.deepEqual(errors, [{ duty: "prune", error: "disk full" }]);
    await over();
  });

  test("so is one that is thrown before there is a promise", async () => {
    const logged = Promise.withResolvers<object>();
    const duty = createDuty({
      name: "beat",
      everyMs: FOREVER_MS,
      logger: { ...silentLogger, error: logged.resolve },
      runOnce: () => {
        throw new Error("no store");
      },
    });
    duty.start();
    assert.deepEqual(await logged.promise, { duty: "beat", error: "no store" });
    await duty.stop();
  });
});

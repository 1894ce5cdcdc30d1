/**
 * The form of every background duty: `runOnce()` does one bounded piece of work and says whether more is waiting;
 * `start()` repeats it every `everyMs`, at once while there is more; `stop()` waits for the piece in hand.
 * Tests call `runOnce()` and never sleep.
 */
import { messageOf } from "./errors.ts";
import type { Logger } from "./logger.ts";

export interface Duty {
  readonly name: string;
  runOnce(): Promise<{ more: boolean }>;
  start(): void;
  stop(): Promise<void>;
  /** Runs soon, without waiting for the next turn. */
  wake(): void;
}

export interface DutyOptions {
  name: string;
  everyMs: number;
  logger: Logger;
  runOnce(): Promise<{ more: boolean }>;
}

export function createDuty(options: DutyOptions): Duty {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let stopped = true;
  let wakeAsked = false;

  function schedule(delayMs: number): void {
    if (stopped) return;
    clearTimeout(timer);
    timer = setTimeout(turn, delayMs);
    timer.unref();
  }

  function turn(): void {
    if (running !== undefined || stopped) return;
    wakeAsked = false;
    running = Promise.try(options.runOnce)
      .catch((error: unknown) => {
        options.logger.error({ duty: options.name, error: messageOf(error) }, "duty.failed");
        return { more: false };
      })
      .then(({ more }) => {
        running = undefined;
        schedule(more || wakeAsked ? 0 : options.everyMs);
      });
  }

  return {
    name: options.name,
    runOnce: options.runOnce,
    start() {
      stopped = false;
      schedule(0);
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
    wake() {
      wakeAsked = true;
      if (running === undefined) schedule(0);
    },
  };
}

/** The time that a stop has for all that waits for the store together: one that is away keeps nobody from ending. */
import { monotonicMs } from "../base/clock.ts";

export class Grace {
  #untilMs: number;

  /** From now on. */
  constructor(ms: number) {
    this.#untilMs = monotonicMs() + ms;
  }

  /** Waits for work that has begun, however it ends, for `leastMs` in any case. False: it goes on, and is nobody's concern any more. */
  async waitFor(work: Promise<unknown>, leastMs = 0): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), Math.max(leastMs, this.#untilMs - monotonicMs()));
    const done = work.then(
      () => true,
      () => true,
    );
    const inTime = await Promise.race([done, late]);
    clearTimeout(timer);
    return inTime;
  }
}

/**
 * When the inbox is looked at: woken by whoever put something in, and when an entry is due again. Nothing is asked for in between, but
 * for a look once a minute, which finds what another process left when it crashed.
 */
import { type InboxOptions, type Settling, type Taken, takeFromInbox } from "./inbox-take.ts";

const LOOK_AGAIN_MS = 60_000;
/** For the counter alone, which is kept in memory in between: counting costs by how many wait. */
const COUNT_AGAIN_MS = 60_000;
/** Due, and yet nothing was taken: another process has it. */
const TAKEN_BY_OTHERS_MS = 1000;
const REST_FIRST_MS = 1000;
const REST_MAX_MS = 5000;
/** As many failures of processors in a row mean that something is down: a rest, or all that waits would be tried and put off for nothing. */
const FAILURES_IN_A_ROW = 3;

export class InboxLoop {
  readonly #options: InboxOptions;
  /** What has to be there before anything is taken; false: it is not. */
  readonly #isReady: () => Promise<boolean>;
  /** Functions get each event in a transaction of its own, several at a time; processors alone get whole batches, one after another. */
  readonly #limit: number;
  readonly #workersMax: number;
  readonly #workers = new Set<Promise<void>>();
  readonly #settling: Settling = new Map();
  #begun = false;
  #countedAtMs = Number.NEGATIVE_INFINITY;
  #woken = false;
  #closed = false;
  #resting = false;
  #restMs = REST_FIRST_MS;
  #failuresInARow = 0;
  /** How many of a batch that failed are still to be taken one by one. */
  #singles = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: InboxOptions, isReady: () => Promise<boolean>) {
    this.#options = options;
    this.#isReady = isReady;
    const { routes, batch, concurrencyMax } = options.setup;
    const { takesMax } = options.inbox;
    const batched = routes.every((route) => route.batched);
    this.#limit = batched ? batch.sizeMax : 1;
    this.#workersMax = batched ? 1 : Math.min(concurrencyMax, takesMax);
  }

  /** @param count how many entries there may be to take; as many as can be worked at, when left out, and the first time */
  wake(count = this.#workersMax): void {
    if (this.#closed || this.#resting) return;
    this.#woken = true;
    const wanted = this.#begun ? count : this.#workersMax;
    this.#begun = true;
    for (let more = Math.min(wanted, this.#workersMax - this.#workers.size); more > 0; more -= 1) {
      const worker: Promise<void> = this.#work().then(async () => {
        this.#workers.delete(worker);
        if (this.#workers.size === 0) await this.#sleep();
      });
      this.#workers.add(worker);
    }
  }

  /** Takes nothing more, and waits for what was taken. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    for (;;) {
      if (this.#closed || this.#resting) return;
      const single = this.#singles > 0;
      if (single) this.#singles -= 1;
      else this.#woken = false;
      const taken = (await this.#isReady())
        ? await takeFromInbox(this.#options, this.#settling, single ? 1 : this.#limit)
        : "down";
      if (this.#isOver(taken)) return;
    }
  }

  /** @returns whether there is nothing more to take */
  #isOver(taken: Taken): boolean {
    switch (taken) {
      case "done":
        this.#failuresInARow = 0;
        this.#restMs = REST_FIRST_MS;
        return false;
      case "none":
        this.#singles = 0;
        return !this.#woken;
      case "processor_failed":
        this.#failuresInARow += 1;
        this.#resting = this.#failuresInARow >= FAILURES_IN_A_ROW;
        return this.#resting;
      case "put_off":
        return false;
      case "down":
        this.#resting = true;
        return true;
      default:
        this.#singles += taken.failedTogether;
        return false;
    }
  }

  /** Until an entry is due, or the rest is over. */
  async #sleep(): Promise<void> {
    const sleepMs = this.#resting ? this.#restMs : await this.#nextDueInMs();
    if (this.#closed || this.#workers.size > 0) return;
    if (this.#resting) this.#restMs = Math.min(this.#restMs * 2, REST_MAX_MS);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#resting = false;
      this.#failuresInARow = 0;
      this.wake();
    }, sleepMs);
    // Sleeping keeps no process alive. Not every runtime's timers have this.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  async #nextDueInMs(): Promise<number> {
    const { inbox, tally, setup } = this.#options;
    try {
      const nextDueInMs = await inbox.nextDueInMs(setup.name);
      if (nextDueInMs === null) {
        tally.inInbox = 0;
        return LOOK_AGAIN_MS;
      }
      if (performance.now() - this.#countedAtMs >= COUNT_AGAIN_MS) {
        this.#countedAtMs = performance.now();
        tally.inInbox = await inbox.waiting(setup.name);
      }
      return nextDueInMs === 0 ? TAKEN_BY_OTHERS_MS : Math.min(nextDueInMs, LOOK_AGAIN_MS);
    } catch (error) {
      setup.report(error, { during: "store", by: "inbox" });
      return REST_MAX_MS;
    }
  }
}

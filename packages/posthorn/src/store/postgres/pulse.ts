/** What the heartbeat thread tells the main thread, through shared memory: also while the main thread is busy or was stopped. */
import type { Beat } from "../store.ts";

/** Milliseconds and counts, each in a cell of its own. */
const ALIVE = 0;
const VALID_UNTIL_US = 1;
const DISPATCHERS = 2;
const PUBLISHERS = 3;
const ADVANCED_MS = 4;
const CELLS = 5;

export type PulseMemory = SharedArrayBuffer;

export class Pulse {
  readonly memory: PulseMemory;
  #cells: BigInt64Array;

  constructor(memory: PulseMemory = new SharedArrayBuffer(CELLS * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#cells = new BigInt64Array(memory);
  }

  get beat(): Beat {
    return {
      alive: Atomics.load(this.#cells, ALIVE) === 1n,
      validUntilMs: Number(Atomics.load(this.#cells, VALID_UNTIL_US)) / 1000,
      dispatchers: Number(Atomics.load(this.#cells, DISPATCHERS)),
      publishers: Number(Atomics.load(this.#cells, PUBLISHERS)),
    };
  }

  set beat({ alive, validUntilMs, dispatchers, publishers }: Beat) {
    Atomics.store(this.#cells, VALID_UNTIL_US, BigInt(Math.floor(validUntilMs * 1000)));
    Atomics.store(this.#cells, DISPATCHERS, BigInt(dispatchers));
    Atomics.store(this.#cells, PUBLISHERS, BigInt(publishers));
    Atomics.store(this.#cells, ALIVE, alive ? 1n : 0n);
  }

  /** How far a test has moved the store's clock. */
  get advancedMs(): number {
    return Number(Atomics.load(this.#cells, ADVANCED_MS));
  }

  set advancedMs(ms: number) {
    Atomics.store(this.#cells, ADVANCED_MS, BigInt(ms));
  }
}

/** Each new mark makes room for itself; removing one more than that lets old ones go. */
const REMOVED_PER_MARK = 2;

/** A bounded set of keys, each for as long as the window. */
export class MemoryMarks {
  readonly #windowMs: number;
  readonly #entriesMax: number;
  /** Key to when it ends, unix milliseconds; the oldest first. */
  readonly #endsAtMs = new Map<string, number>();
  /** Kept from call to call: a new iterator would first have to walk over all that was removed since the map last grew. */
  #iterator = this.#endsAtMs.entries();
  /** The oldest, which the iterator is already past. */
  #oldest: readonly [key: string, endsAtMs: number] | undefined;

  constructor(windowMs: number, entriesMax: number) {
    this.#windowMs = windowMs;
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#endsAtMs.size;
  }

  has(key: string): boolean {
    const endsAtMs = this.#endsAtMs.get(key);
    return endsAtMs !== undefined && endsAtMs > Date.now();
  }

  add(key: string): void {
    const nowMs = Date.now();
    // To the end of the order, if an old one is still there.
    this.#endsAtMs.delete(key);
    this.#endsAtMs.set(key, nowMs + this.#windowMs);
    for (let removed = 0; removed < REMOVED_PER_MARK; removed += 1) {
      const oldest = this.#findOldest();
      if (oldest === undefined || (oldest[1] > nowMs && this.size <= this.#entriesMax)) return;
      this.#endsAtMs.delete(oldest[0]);
    }
  }

  #findOldest(): readonly [key: string, endsAtMs: number] | undefined {
    // One that was removed, or set again since, is not the oldest any more.
    while (this.#oldest === undefined || this.#endsAtMs.get(this.#oldest[0]) !== this.#oldest[1]) {
      const next = this.#iterator.next();
      if (next.done === true) {
        // It walked through all there was. One that is done stays done, so the next begins with what is added from now on.
        this.#iterator = this.#endsAtMs.entries();
        this.#oldest = undefined;
        return undefined;
      }
      this.#oldest = next.value;
    }
    return this.#oldest;
  }
}

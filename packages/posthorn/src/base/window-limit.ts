/** So many in a window of time for each of many: a window begins with the first one, and all are let in again when it ends. */

export interface WindowLimitOptions {
  readonly max: number;
  readonly windowMs: number;
  /** Whose counts are remembered: beyond that the earliest are forgotten. */
  readonly countedMax: number;
  /** Milliseconds of any steady clock. */
  now?(): number;
}

interface Window {
  count: number;
  readonly endsMs: number;
}

export class WindowLimit {
  readonly #options: WindowLimitOptions;
  readonly #now: () => number;
  /** In the order of their beginning. */
  readonly #windows = new Map<string, Window>();

  constructor(options: WindowLimitOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  get size(): number {
    return this.#windows.size;
  }

  /** Counts one, before anything is waited for. `null`: it may go on; else nothing was counted, and so long it has to wait. */
  take(of: string): number | null {
    const { max, windowMs, countedMax } = this.#options;
    const nowMs = this.#now();
    const window = this.#windows.get(of);
    if (window !== undefined && window.endsMs > nowMs) {
      if (window.count >= max) return window.endsMs - nowMs;
      window.count += 1;
      return null;
    }
    this.#windows.delete(of);
    const [earliest] = this.#windows.keys();
    if (this.#windows.size >= countedMax && earliest !== undefined) this.#windows.delete(earliest);
    this.#windows.set(of, { count: 1, endsMs: nowMs + windowMs });
    return null;
  }

  /** One that was counted is none after all. */
  giveBack(of: string): void {
    const window = this.#windows.get(of);
    if (window === undefined) return;
    window.count -= 1;
    if (window.count === 0) this.#windows.delete(of);
  }
}

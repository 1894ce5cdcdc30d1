/** The calls under way of something that can be closed. */
export class UnderWay {
  readonly #name: string;
  readonly #calls = new Set<Promise<unknown>>();
  #isClosed = false;

  /** @param name for the error of calls that come too late, such as `inbox` */
  constructor(name: string) {
    this.#name = name;
  }

  async run<Result>(call: () => Promise<Result>): Promise<Result> {
    if (this.#isClosed) throw new Error(`The ${this.#name} is closed.`);
    const running = call();
    this.#calls.add(running);
    try {
      return await running;
    } finally {
      this.#calls.delete(running);
    }
  }

  /** Takes no more calls, and waits for those under way, however they end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#calls);
  }
}

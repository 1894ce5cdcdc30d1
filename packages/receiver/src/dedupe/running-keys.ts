/**
 * Which keys are being worked on in this process. Who wants one of them waits here, and holds nothing while waiting: no connection
 * of a pool, and no other key, so that two calls cannot wait for each other.
 */
export class RunningKeys {
  readonly #ends = new Map<string, Promise<void>>();

  async hold<Result>(keys: readonly string[], work: () => Promise<Result>): Promise<Result> {
    for (let end = this.#endOfAny(keys); end !== undefined; end = this.#endOfAny(keys)) await end;
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const key of keys) this.#ends.set(key, promise);
    try {
      return await work();
    } finally {
      for (const key of keys) this.#ends.delete(key);
      resolve();
    }
  }

  #endOfAny(keys: readonly string[]): Promise<void> | undefined {
    const running = keys.find((key) => this.#ends.has(key));
    return running === undefined ? undefined : this.#ends.get(running);
  }
}

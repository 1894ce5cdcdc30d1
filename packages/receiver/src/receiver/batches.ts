/**
 * A queue that works in batches without waiting for them to fill: while one batch runs others queue, and what queued is the next.
 * How much may queue is the business of whoever adds.
 */

export interface BatchesOptions<Item, Result> {
  readonly sizeMax: number;
  /** How long the first of an idle queue waits for company; 0: not at all. */
  readonly waitMs: number;
  /** Batches at the same time. */
  readonly concurrencyMax: number;
  /** One result per item. */
  run(items: readonly Item[]): Promise<readonly Result[]>;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class Batches<Item, Result> {
  readonly #options: BatchesOptions<Item, Result>;
  #queue: Waiting<Item, Result>[] = [];
  #running = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: BatchesOptions<Item, Result>) {
    this.#options = options;
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      if (this.#queue.length >= this.#options.sizeMax || this.#options.waitMs === 0) this.#pump();
      else if (this.#running === 0) this.#timer ??= setTimeout(() => this.#pump(), this.#options.waitMs);
    });
  }

  #pump(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#queue.length > 0 && this.#running < this.#options.concurrencyMax) {
      const batch = this.#queue.splice(0, this.#options.sizeMax);
      this.#running += 1;
      void this.#run(batch).finally(() => {
        this.#running -= 1;
        this.#pump();
      });
    }
  }

  async #run(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#options.run(batch.map(({ item }) => item));
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

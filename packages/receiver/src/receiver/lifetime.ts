/** The processors of a receiver: each started once before the first event, and closed at the end. */
import type { Processor } from "../processors/processor.ts";

export class Lifetime {
  readonly #processors: readonly Processor[];
  readonly #started = new Set<Processor>();
  #starting: Promise<void> | undefined;

  constructor(processors: readonly Processor[]) {
    this.#processors = processors;
  }

  /** What failed is tried again by the next call; what started is not. @throws whatever keeps a processor from starting */
  start(): Promise<void> {
    this.#starting ??= this.#startAll().catch((error) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async #startAll(): Promise<void> {
    for (const processor of this.#processors) {
      if (this.#started.has(processor)) continue;
      await processor.start?.();
      this.#started.add(processor);
    }
  }

  /** All of them, whatever fails. @throws the first error */
  async close(): Promise<void> {
    const closing = [...this.#started].map((processor) => processor.close?.());
    const failed = (await Promise.allSettled(closing)).find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

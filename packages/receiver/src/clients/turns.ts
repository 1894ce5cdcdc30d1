/** `urgent`: short, and somebody waits for the answer. */
export type Line = "urgent" | "usual";

/**
 * One at a time. Who waits in the urgent line goes before the usual one; when both wait they alternate, so that neither waits for ever,
 * and the urgent wait for one usual turn at most.
 */
export class Turns {
  readonly #waiting: Record<Line, (() => void)[]> = { urgent: [], usual: [] };
  /** Whose turn it is; undefined: nobody's. */
  #current: Line | undefined;

  async run<Result>(line: Line, work: () => Promise<Result>): Promise<Result> {
    if (this.#current === undefined) this.#current = line;
    else await new Promise<void>((resolve) => this.#waiting[line].push(resolve));
    try {
      return await work();
    } finally {
      this.#pass();
    }
  }

  #pass(): void {
    const preferred: Line = this.#current === "urgent" ? "usual" : "urgent";
    const other: Line = preferred === "urgent" ? "usual" : "urgent";
    this.#current = [preferred, other].find((line) => this.#waiting[line].length > 0);
    if (this.#current !== undefined) this.#waiting[this.#current].shift()?.();
  }
}

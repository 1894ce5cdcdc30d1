/** The keys of one call: checked, and told apart. */
import { DEDUPE_WINDOW_MS, type OnceOutcome } from "./dedupe.ts";

const LENGTH_MAX = 512;
const WINDOW_MS_MAX = 3650 * 24 * 60 * 60 * 1000;

/**
 * NUL and lone surrogates are refused because a database refuses the one, and two keys that differ in the others would be the same
 * to it.
 * @throws RangeError
 */
export function checkKey(key: string): void {
  if (key === "" || key.length > LENGTH_MAX) {
    throw new RangeError(
      `a deduplication key has 1 to ${LENGTH_MAX} characters, not ${key.length}: hash longer ones`,
    );
  }
  if (key.includes("\0") || !key.isWellFormed()) {
    throw new RangeError(
      `the deduplication key ${JSON.stringify(key)} holds NUL or half a surrogate pair: hash it`,
    );
  }
}

/** @throws RangeError */
export function checkWindow(windowMs: number = DEDUPE_WINDOW_MS): number {
  if (!Number.isInteger(windowMs) || windowMs < 1 || windowMs > WINDOW_MS_MAX) {
    throw new RangeError(
      `windowMs is ${windowMs}: it must be a whole number of milliseconds, from 1 to ten years`,
    );
  }
  return windowMs;
}

export class Keys {
  readonly #keys: readonly string[];
  /** In the order in which they were given. */
  readonly #firstIndex = new Map<string, number>();

  /** @throws RangeError for a key that no store takes */
  constructor(keys: readonly string[]) {
    this.#keys = keys;
    keys.forEach((key, index) => {
      checkKey(key);
      if (!this.#firstIndex.has(key)) this.#firstIndex.set(key, index);
    });
  }

  /** Each once. */
  get distinct(): readonly string[] {
    return [...this.#firstIndex.keys()];
  }

  /** Ascending. */
  indicesOf(fresh: ReadonlySet<string>): readonly number[] {
    return [...this.#firstIndex].filter(([key]) => fresh.has(key)).map(([, index]) => index);
  }

  /** Of a call whose work went well: one for each key given. */
  outcomes(
    fresh: ReadonlySet<string>,
    busy: ReadonlySet<string> = new Set<string>(),
  ): readonly OnceOutcome[] {
    return this.#keys.map((key, index) => {
      if (busy.has(key)) return "busy";
      return fresh.has(key) && this.#firstIndex.get(key) === index ? "done" : "duplicate";
    });
  }
}

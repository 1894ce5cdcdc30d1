/**
 * What one evaluation of a filter may spend. CEL always ends, but not soon: a macro over 100,000 elements or a search in
 * a text of 1 MiB takes long, and a filter runs on the publish path. So each operation whose cost grows with the event
 * spends steps before it runs, and an evaluation that runs out of them stops. One step is at most 100 ns,
 * measured on code that Node has not optimised yet; the prices are for the worst case, so most work is far cheaper.
 */

/** At most 4 ms, so that a hostile filter stays under 5 ms; an honest one on a common event takes a few hundred steps. */
const STEPS_MAX = 40_000;

export const EXHAUSTED = new Error(
  `it needs more than ${STEPS_MAX} steps on this event. Compare less: shorter texts, fewer elements, simpler patterns`,
);

/** One budget for all filters: evaluations are synchronous and never inside one another. */
let stepsLeft = 0;

export function refillBudget(): void {
  stepsLeft = STEPS_MAX;
}

/** @throws EXHAUSTED, and again for every later spending until the next refill */
export function spend(steps: number): void {
  stepsLeft -= steps;
  if (budgetExhausted()) throw EXHAUSTED;
}

/** An error inside CEL may be swallowed (`a || b`, `exists`): this tells it all the same. */
export function budgetExhausted(): boolean {
  // Not `< 0`: a price that came out as NaN must end the evaluation, not make it free.
  return !(stepsLeft >= 0);
}

export const PRICE = {
  /** One element of a list or map compared, copied or looked at. */
  element: 1,
  /** An iteration of a macro, beside one step per node of its body. */
  iteration: 2,
  /** An error that a quantifier swallows and goes on from. */
  swallowedError: 30,
  /** Comparing two texts, per character: native and fast. */
  comparedCharacter: 1 / 2048,
  /** startsWith and endsWith, per character of what is looked for: native, but not as fast. */
  prefixCharacter: 1 / 256,
  /** Joining texts, per character: a plain copy. */
  copiedCharacter: 1 / 128,
  /** Looking at each character: counting, changing case, reading a number. */
  walkedCharacter: 1 / 40,
  /** A whole number of up to 100 digits as text. */
  printedNumber: 10,
  /** Splitting makes an object per piece. */
  splitCharacter: 1 / 8,
} as const;

/**
 * The worst case of String.prototype.includes on V8, per search: texts and patterns of few different characters.
 * Up to 6 characters it tries every place (5 ns each), then it skips (3 ns), and over 250, where its tables end, the
 * product of both lengths counts.
 */
export function searchSteps(textLength: number, patternLength: number): number {
  if (patternLength < 7) return textLength / 20;
  if (patternLength <= 250) return textLength / 32;
  return (textLength * patternLength) / 400;
}

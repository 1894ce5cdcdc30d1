/** Calls between two sweeps cost nothing for them; a sweep costs as much as the marks that were set since the last one. */
const MARKS_BETWEEN = 32;

/** Removes old marks twice as fast as new ones come, in slices, so that a store that grew shrinks again. */
export class SweepPace {
  /** The first call sweeps: there are processes that live for one event. */
  #marksSince = MARKS_BETWEEN;

  /** @returns how many old marks may be removed along with this call, at most; mostly 0 */
  after(marks: number): number {
    this.#marksSince += marks;
    if (this.#marksSince < MARKS_BETWEEN) return 0;
    const slice = 2 * this.#marksSince;
    this.#marksSince = 0;
    return slice;
  }
}

/**
 * How many of something may be done per second: a bucket that fills at that rate and holds what one second brings, at
 * least one. Times are monotonic milliseconds, given by the caller.
 */
export class TokenBucket {
  #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = this.#capacity;
    this.#atMs = nowMs;
  }

  /** Takes over another rate. What was left stays, as far as the new bucket holds it. */
  setRate(perSecond: number, nowMs: number): void {
    if (perSecond === this.#perSecond) return;
    this.#fill(nowMs);
    this.#perSecond = perSecond;
    this.#tokens = Math.min(this.#tokens, this.#capacity);
  }

  /** Milliseconds until one can be taken; 0: now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    // What is missing by a rounding error is there.
    const missing = 1 - this.#tokens;
    return missing < 1e-9 ? 0 : (missing / this.#perSecond) * 1000;
  }

  /** Only after `waitMs` said 0. */
  take(): void {
    this.#tokens = Math.max(0, this.#tokens - 1);
  }

  giveBack(): void {
    this.#tokens = Math.min(this.#tokens + 1, this.#capacity);
  }

  /** Whole ones that can be taken now. */
  left(nowMs: number): number {
    this.#fill(nowMs);
    return Math.floor(this.#tokens + 1e-9);
  }

  /** Milliseconds until it is full. */
  fullInMs(nowMs: number): number {
    this.#fill(nowMs);
    return ((this.#capacity - this.#tokens) / this.#perSecond) * 1000;
  }

  get #capacity(): number {
    return Math.max(1, this.#perSecond);
  }

  #fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#tokens = Math.min(this.#capacity, this.#tokens + (elapsedMs / 1000) * this.#perSecond);
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}

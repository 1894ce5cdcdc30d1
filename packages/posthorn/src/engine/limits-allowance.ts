/** What one app or key has left of its limits on this node. Times are monotonic milliseconds. */
import { PosthornError } from "../base/errors.ts";
import type { AppId, KeyId } from "../base/ids.ts";
import type { KeyLimits, LimitStanding } from "../domain/limits.ts";
import { TokenBucket } from "../domain/token-bucket.ts";

const DAY_SECONDS = 86_400;

/** An app or a key with the limits that were set for it. */
export interface Limited {
  readonly kind: "app" | "key";
  readonly id: AppId | KeyId;
  /** As messages call it. */
  readonly name: string;
  readonly limits: KeyLimits;
}

export class Allowance {
  readonly id: AppId | KeyId;
  usedAtMs = 0;
  #kind: Limited["kind"];
  #name: string;
  #limits: KeyLimits;
  #bucket: TokenBucket | null = null;
  /** Of this day, as the store knew it at the last look; null: it was never looked at. */
  #stored: number | null = null;
  #dayEndsAtMs = 0;
  /** Accepted, and on the way to the store's count, or not yet. */
  #writing = 0;
  #unwritten = 0;
  /** Admitted, and not yet accepted or refused: they have their place in the quota. */
  #pending = 0;

  constructor({ kind, id, name, limits }: Limited) {
    this.id = id;
    this.#kind = kind;
    this.#name = name;
    this.#limits = limits;
  }

  /** Takes over the limits as they are now, and this node's part of the rate. */
  follow({ name, limits }: Limited, nodes: number, nowMs: number): void {
    this.#name = name;
    this.#limits = limits;
    this.usedAtMs = nowMs;
    const { publishPerSecond } = limits;
    if (publishPerSecond === null) this.#bucket = null;
    else if (this.#bucket === null) this.#bucket = new TokenBucket(publishPerSecond / nodes, nowMs);
    else this.#bucket.setRate(publishPerSecond / nodes, nowMs);
  }

  get hasQuota(): boolean {
    return this.#limits.eventsPerDay !== null;
  }

  /** It has a quota, and what is used of it was not asked for yet. */
  get unknown(): boolean {
    return this.hasQuota && this.#stored === null;
  }

  // ---- judging ----------------------------------------------------------------------------------------------------

  /** @throws PosthornError `payload_too_large` */
  checkPayload(bytes: number): void {
    const { payloadBytes } = this.#limits;
    if (payloadBytes === null || bytes <= payloadBytes) return;
    throw new PosthornError(
      "payload_too_large",
      `The payload has ${bytes} bytes; ${this.#owner} may publish at most ${payloadBytes} (its limit payloadBytes).`,
      { pointer: "/data" },
    );
  }

  /** Takes nothing. @throws PosthornError `rate_limited`, `quota_exceeded` */
  check(nowMs: number): void {
    const waitMs = this.#bucket?.waitMs(nowMs) ?? 0;
    if (waitMs > 0) {
      throw new PosthornError(
        "rate_limited",
        `${capitalised(this.#owner)} may publish ${this.#limits.publishPerSecond} events per second (its limit publishPerSecond). Send fewer at once, or wait.`,
        { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) },
      );
    }
    if (this.#left(nowMs) > 0) return;
    throw new PosthornError(
      "quota_exceeded",
      `${capitalised(this.#owner)} may publish ${this.#limits.eventsPerDay} events per day (its limit eventsPerDay), and they are used up until 0:00 UTC.`,
      { retryAfterSeconds: Math.max(1, this.#dayEndsInSeconds(nowMs)) },
    );
  }

  /** A rate counts what was asked: the token is gone whatever becomes of the event. A quota counts what is accepted. */
  take(): void {
    this.#bucket?.take();
    this.#pending += 1;
  }

  accepted(): void {
    this.#pending -= 1;
    this.count();
  }

  refused(): void {
    this.#pending -= 1;
  }

  /** As if it had never been asked. */
  undo(): void {
    this.#pending -= 1;
    this.#bucket?.giveBack();
  }

  /** Counts one that nobody asked about. */
  count(): void {
    if (this.hasQuota) this.#unwritten += 1;
  }

  // ---- the store's count --------------------------------------------------------------------------------------------

  /** What is to be added to the store's count. Ends with `written` or `unwritable`. */
  takeUnwritten(): number {
    this.#writing = this.#unwritten;
    this.#unwritten = 0;
    return this.#writing;
  }

  written(): void {
    this.#stored = this.#stored === null ? null : this.#stored + this.#writing;
    this.#writing = 0;
  }

  unwritable(): void {
    this.#unwritten += this.#writing;
    this.#writing = 0;
  }

  /** What the store says, asked while nothing was being written. */
  looked(events: number, dayEndsAtMs: number): void {
    this.#stored = events;
    this.#dayEndsAtMs = dayEndsAtMs;
  }

  /** Nothing is lost when it is forgotten: asked again, it would stand as it stands now. */
  isForgettable(nowMs: number): boolean {
    const open = this.#pending + this.#unwritten + this.#writing;
    return open === 0 && (this.#bucket === null || this.#bucket.fullInMs(nowMs) <= 0);
  }

  // ---- for the headers ----------------------------------------------------------------------------------------------

  standings(nowMs: number): LimitStanding[] {
    const { publishPerSecond, eventsPerDay } = this.#limits;
    const list: LimitStanding[] = [];
    if (publishPerSecond !== null && this.#bucket !== null) {
      list.push({
        policy: `${this.#kind}-rate`,
        ...rateInWholeNumbers(publishPerSecond),
        remaining: this.#bucket.left(nowMs),
        resetSeconds: Math.ceil(this.#bucket.fullInMs(nowMs) / 1000),
      });
    }
    if (eventsPerDay !== null && this.#stored !== null) {
      list.push({
        policy: `${this.#kind}-day`,
        quota: eventsPerDay,
        windowSeconds: DAY_SECONDS,
        remaining: Math.max(0, this.#left(nowMs)),
        resetSeconds: Math.max(0, this.#dayEndsInSeconds(nowMs)),
      });
    }
    return list;
  }

  #left(nowMs: number): number {
    const { eventsPerDay } = this.#limits;
    if (eventsPerDay === null) return Number.POSITIVE_INFINITY;
    if (this.#stored !== null && nowMs >= this.#dayEndsAtMs) {
      // What is not written yet counts for the day in which it is.
      this.#stored = 0;
      this.#dayEndsAtMs += DAY_SECONDS * 1000;
    }
    return eventsPerDay - (this.#stored ?? 0) - this.#writing - this.#unwritten - this.#pending;
  }

  #dayEndsInSeconds(nowMs: number): number {
    return Math.ceil((this.#dayEndsAtMs - nowMs) / 1000);
  }

  get #owner(): string {
    return `${this.#kind} ${this.#name}`;
  }
}

/** The headers have whole numbers: one below 1 per second is said as one in so many seconds; else what one second has. */
function rateInWholeNumbers(perSecond: number): Pick<LimitStanding, "quota" | "windowSeconds"> {
  if (perSecond >= 1) return { quota: Math.floor(perSecond), windowSeconds: 1 };
  return { quota: 1, windowSeconds: Math.ceil(1 / perSecond) };
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

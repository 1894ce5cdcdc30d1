/** How often an address may fail to sign in. A key has 256 random bits: this keeps the log readable, not the keys safe. */
import { isIPv6 } from "node:net";
import { PosthornError } from "../../base/errors.ts";
import { WindowLimit } from "../../base/window-limit.ts";

const FAILURES_MAX = 10;
const WINDOW_MS = 60_000;
/** Addresses that are remembered: about 1 MiB. Beyond that the earliest are forgotten. */
const ADDRESSES_MAX = 10_000;

export class SignInLimit {
  readonly #limit: WindowLimit;

  constructor(now?: () => number) {
    const limits = { max: FAILURES_MAX, windowMs: WINDOW_MS, countedMax: ADDRESSES_MAX };
    this.#limit = new WindowLimit(now === undefined ? limits : { ...limits, now });
  }

  get size(): number {
    return this.#limit.size;
  }

  /**
   * An attempt counts as failed until it has succeeded: many at once are no more than one after the other.
   * @throws PosthornError `rate_limited` while the address has failed too often; the right key does not help either
   */
  begin(address: string): void {
    const waitMs = this.#limit.take(networkOf(address));
    if (waitMs === null) return;
    throw new PosthornError(
      "rate_limited",
      `${FAILURES_MAX} attempts to sign in have failed from this address within a minute, or are under way. Wait, and try again.`,
      { retryAfterSeconds: Math.ceil(waitMs / 1000) },
    );
  }

  /** It did not fail. */
  succeeded(address: string): void {
    this.#limit.giveBack(networkOf(address));
  }
}

/** Of IPv6 the first 64 bits: whoever has one address there has all of them. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes(".")) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const groups = head === "" ? [] : head.split(":");
  const known = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - groups.length - known.length;
  return [...groups, ...Array.from({ length: zeros }, () => "0"), ...known].slice(0, 4).join(":");
}

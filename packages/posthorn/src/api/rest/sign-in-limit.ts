/** How often an address may fail to sign in. A key has 256 random bits: this keeps the log readable, not the keys safe. */
import { isIPv6 } from "node:net";
import { PosthornError } from "../../base/errors.ts";

const FAILURES_MAX = 10;
const WINDOW_MS = 60_000;
/** Addresses that are remembered: about 1 MiB. Beyond that the earliest are forgotten. */
const ADDRESSES_MAX = 10_000;

interface Failures {
  count: number;
  readonly untilMs: number;
}

export class SignInLimit {
  /** In the order of their first failure. */
  readonly #failures = new Map<string, Failures>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#failures.size;
  }

  /** @throws PosthornError `rate_limited` while the address has failed too often; the right key does not help either */
  check(address: string): void {
    const failures = this.#current(networkOf(address));
    if (failures === undefined || failures.count < FAILURES_MAX) return;
    throw new PosthornError(
      "rate_limited",
      `${FAILURES_MAX} attempts to sign in have failed from this address within a minute. Wait, and try again.`,
      { retryAfterSeconds: Math.ceil((failures.untilMs - this.#now()) / 1000) },
    );
  }

  failed(address: string): void {
    const network = networkOf(address);
    const failures = this.#current(network);
    if (failures !== undefined) {
      failures.count += 1;
      return;
    }
    this.#failures.delete(network);
    const [earliest] = this.#failures.keys();
    if (this.#failures.size >= ADDRESSES_MAX && earliest !== undefined) this.#failures.delete(earliest);
    this.#failures.set(network, { count: 1, untilMs: this.#now() + WINDOW_MS });
  }

  #current(network: string): Failures | undefined {
    const failures = this.#failures.get(network);
    return failures !== undefined && failures.untilMs > this.#now() ? failures : undefined;
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

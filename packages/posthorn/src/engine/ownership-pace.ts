/**
 * How fast questions go out, whoever has them sent and by what: a hundred changes of a URL, endpoints that are made and
 * removed, a duty that finds many at once. An endpoint is asked every `apartMs` at most (5 s). One app asks one host five
 * times at once, and as often per 25 s; an app asks all hosts, and a host is asked by all apps, 20 times per 20 s. So one app
 * cannot use up what others may ask of a host that they share. Per node; a name is a host, whatever address is behind it.
 */
import { WindowLimit } from "../base/window-limit.ts";
import type { Endpoint } from "../domain/endpoint.ts";

/** Of each kind: about 1 MiB. Beyond that the earliest are forgotten: it takes 500 apps at their full pace. */
const COUNTED_MAX = 10_000;

type Asked = Pick<Endpoint, "appId" | "url" | "verification">;

export class OwnershipPace {
  readonly #apartMs: number;
  readonly #ofApp: WindowLimit;
  readonly #ofHost: WindowLimit;
  readonly #ofAppAtHost: WindowLimit;

  constructor(apartMs: number, now?: () => number) {
    const window = (max: number, windowMs: number): WindowLimit =>
      new WindowLimit({ max, windowMs, countedMax: COUNTED_MAX, ...(now === undefined ? {} : { now }) });
    this.#apartMs = apartMs;
    this.#ofApp = window(20, 4 * apartMs);
    this.#ofHost = window(20, 4 * apartMs);
    this.#ofAppAtHost = window(5, 5 * apartMs);
  }

  /** Counts one question. `null`: it may go out; else nothing was counted, and so many milliseconds it has to wait. */
  take({ appId, url, verification }: Asked): number | null {
    const apartMs = this.#apartMs - (Date.now() - (verification?.checkedAtMs ?? 0));
    if (apartMs > 0) return apartMs;
    const host = new URL(url).hostname.replace(/\.$/, "");
    const counted: [WindowLimit, string][] = [];
    for (const [limit, of] of [
      [this.#ofAppAtHost, `${appId} ${host}`],
      [this.#ofApp, appId],
      [this.#ofHost, host],
    ] as const) {
      const waitMs = limit.take(of);
      if (waitMs === null) {
        counted.push([limit, of]);
        continue;
      }
      for (const [before, was] of counted) before.giveBack(was);
      return waitMs;
    }
    return null;
  }
}

/** Where a URL leads, worked out once per URL and not once per shipment. */
import { PosthornError } from "../../base/errors.ts";
import type { AttemptOutcome } from "../../domain/attempt.ts";
import type { AddressGuard } from "../../security/address-guard.ts";

export type Target =
  | { readonly kind: "reachable"; readonly origin: string; readonly path: string }
  /** The guard refuses the URL; no connection is tried. */
  | { readonly kind: "refused"; readonly outcome: AttemptOutcome };

export function createTargets(guard: AddressGuard, targetsMax: number): (url: string) => Target {
  const known = new Map<string, Target>();

  return (url) => {
    let target = known.get(url);
    if (target === undefined) {
      // A simple bound: all active URLs are back after one shipment each.
      if (known.size >= targetsMax) known.clear();
      target = targetOf(guard, url);
      known.set(url, target);
    }
    return target;
  };
}

function targetOf(guard: AddressGuard, url: string): Target {
  try {
    const { origin, pathname, search } = guard.checkUrl(url);
    return { kind: "reachable", origin, path: pathname + search };
  } catch (error) {
    if (!(error instanceof PosthornError)) throw error;
    return {
      kind: "refused",
      outcome: { kind: "unreachable", cause: "address_refused", detail: error.message.slice(0, 200) },
    };
  }
}

/**
 * How the limits of an app or a key are told: `RateLimit-Policy` says what is allowed, `RateLimit` what is left of it, as
 * lists of structured fields (draft-ietf-httpapi-ratelimit-headers-10, 3 and 4).
 */
import type { LimitStanding } from "../../domain/limits.ts";

/** Nothing when no limit applies. */
export function rateLimitHeaders(
  standings: readonly LimitStanding[],
): readonly (readonly [string, string])[] {
  if (standings.length === 0) return [];
  const policies = standings.map(
    ({ policy, quota, windowSeconds }) => `"${policy}";q=${quota};w=${windowSeconds}`,
  );
  const left = standings.map(
    ({ policy, remaining, resetSeconds }) => `"${policy}";r=${remaining};t=${resetSeconds}`,
  );
  return [
    ["ratelimit-policy", policies.join(", ")],
    ["ratelimit", left.join(", ")],
  ];
}

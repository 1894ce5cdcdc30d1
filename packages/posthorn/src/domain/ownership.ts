/**
 * The ownership check: an endpoint proves that it wants what is sent to it, so that no one can aim Posthorn at a third party.
 * `challenge`: a random value must come back. `cloudevents`: the handshake of CloudEvents' HTTP 1.1 Web Hooks (4).
 */
import { z } from "zod";

export const OWNERSHIP_POLICIES = ["off", "challenge", "cloudevents"] as const;
export type OwnershipPolicy = (typeof OWNERSHIP_POLICIES)[number];
export const ownershipPolicySchema = z.enum(OWNERSHIP_POLICIES);

/** What is known of an endpoint's consent; its URL is the one that was asked. */
export interface Verification {
  readonly policy: Exclude<OwnershipPolicy, "off">;
  /** null: not yet, or the URL changed since. */
  readonly verifiedAtMs: number | null;
  readonly checkedAtMs: number | null;
  /** Made since it was last asked for proof: the more they are, the longer the next one waits. */
  readonly checks: number;
  /** Why the last check failed, in words for people; null: it did not, or none was made. */
  readonly problem: string | null;
  /** cloudevents: the value of `WebHook-Request-Origin`, which each delivery carries. */
  readonly origin: string | null;
  /** cloudevents: requests per minute that were granted; null: no bound. */
  readonly grantedPerMinute: number | null;
  /** cloudevents: the callback by which the receiver may grant later. Used once. */
  readonly callback: { readonly hash: string; readonly expiresAtMs: number } | null;
}

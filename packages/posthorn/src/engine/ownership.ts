/**
 * What the ownership check means for an endpoint: when it has to prove that it wants its events, and when it is asked again.
 * Nothing but the question is sent to an unverified endpoint. Pure.
 */
import type { Endpoint } from "../domain/endpoint.ts";
import type { OwnershipPolicy, Verification } from "../domain/ownership.ts";
import type { EndpointFields } from "./endpoint-edits.ts";
import type { EngineOptions } from "./options.ts";

const MINUTE_MS = 60_000;
/** 1, 2, 4 ... minutes after each other, then every 6 h: with 20 checks the last one is made after 68 h, and deliveries wait 72. */
const CHECK_AGAIN_MS_MAX = 6 * 3_600_000;
const CHECKS_MAX = 20;

export const UNPROVED: Omit<Verification, "policy"> = {
  verifiedAtMs: null,
  checkedAtMs: null,
  checks: 0,
  problem: null,
  origin: null,
  grantedPerMinute: null,
  callback: null,
};

/**
 * The fields as a change may leave them, whoever makes it, so that nobody gets around the check. An operator who wants an
 * endpoint without it sets the app's `ownershipCheck` to off.
 */
export function fieldsUnderPolicy(
  before: Endpoint | null,
  changed: EndpointFields,
  policy: OwnershipPolicy,
): EndpointFields {
  if (policy === "off") return releasedFields(changed, before?.url === changed.url);
  if (before === null || before.url !== changed.url) return unprovedFields(changed, { ...UNPROVED, policy });
  if (takesUpAgain(before, changed) || enablesUnproved(before, changed)) {
    return unprovedFields(changed, { ...(changed.verification ?? UNPROVED), ...ASKED_ANEW, policy });
  }
  return changed;
}

/** A question of before, and what answers it, counts no more. When it was asked stays known: that paces the next one. */
const ASKED_ANEW = { verifiedAtMs: null, checks: 0, callback: null } as const;

/** It asked not to be sent anything: whatever way leads out of that, the consent of before is gone. */
function takesUpAgain(before: Endpoint, changed: EndpointFields): boolean {
  return hasRenounced(before) && changed.status !== "disabled";
}

function enablesUnproved(before: Endpoint, { status, verification }: EndpointFields): boolean {
  const enables = status === "enabled" && before.status !== "enabled";
  return enables && verification !== null && verification.verifiedAtMs === null;
}

function unprovedFields(changed: EndpointFields, verification: Verification): EndpointFields {
  const runs = changed.status === "enabled" || changed.status === "unverified";
  return { ...changed, verification, ...(runs ? { status: "unverified", disableReason: null } : {}) };
}

/** It has nothing to prove; what it proved for this URL stays known. */
export function releasedFields(changed: EndpointFields, isSameUrl: boolean): EndpointFields {
  const { verification, status } = changed;
  return {
    ...changed,
    verification: isSameUrl && verification?.verifiedAtMs ? verification : null,
    status: status === "unverified" ? "enabled" : status,
  };
}

/** Its receiver took its consent back, by 410 or by `webhook-delivery: disable`. */
function hasRenounced({ status, disableReason }: Pick<Endpoint, "status" | "disableReason">): boolean {
  return status === "disabled" && (disableReason === "gone" || disableReason === "receiver_asked");
}

/**
 * Whether such an answer is news: also while it is paused or disabled by hand, which ends, else a pause at the right moment
 * would keep the consent. An unverified endpoint has none.
 */
export function mayRenounce(endpoint: Pick<Endpoint, "status" | "disableReason">): boolean {
  return endpoint.status !== "unverified" && !hasRenounced(endpoint);
}

/** Whether the duty is to ask it again. */
export function isDue({ checks, checkedAtMs, callback }: Verification, nowMs: number): boolean {
  if (checkedAtMs === null) return true;
  // It was asked, and has what it may answer with.
  if (callback !== null && callback.expiresAtMs > nowMs) return false;
  const waitMs = Math.min(MINUTE_MS * 2 ** Math.max(0, checks - 1), CHECK_AGAIN_MS_MAX);
  return checks < CHECKS_MAX && nowMs - checkedAtMs >= waitMs;
}

// ---- how this server asks -----------------------------------------------------------------------------------------

type Named = Pick<EngineOptions, "ownershipCheck" | "originName" | "publicUrl" | "requestRatePerMinute">;

export interface OwnName {
  readonly origin: string;
  /** Where callbacks lead; null: they must be https (4.1.2), and it is not, or not known. */
  readonly callbacks: string | null;
  readonly ratePerMinute: number | null;
}

/**
 * What this server calls itself in the handshake of CloudEvents; null: it has no name.
 * @throws Error when the handshake is the server's policy, and it has none
 */
export function ownNameOf({
  ownershipCheck,
  originName,
  publicUrl,
  requestRatePerMinute,
}: Named): OwnName | null {
  const origin = originName !== "" ? originName : publicUrl === "" ? null : new URL(publicUrl).hostname;
  if (origin === null) {
    if (ownershipCheck !== "cloudevents") return null;
    throw new Error(
      "ownershipCheck is cloudevents, and this server has no name to ask with. Set originName to its DNS name, or publicUrl, whose host is taken.",
    );
  }
  return {
    origin,
    callbacks: publicUrl.startsWith("https://") ? `${publicUrl.replace(/\/+$/, "")}/v1/verifications/` : null,
    ratePerMinute: requestRatePerMinute === 0 ? null : requestRatePerMinute,
  };
}

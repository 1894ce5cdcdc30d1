/** How an endpoint's requests are signed, and in whose form they are sent. */
import { z } from "zod";

/**
 * Posthorn's own body, signed: HMAC (Standard Webhooks v1), ed25519 (v1a), both of them, v1 first, or HTTP Message Signatures
 * (RFC 9421, ed25519).
 */
export const SIGNATURE_SCHEMES = ["standard", "standard-ed25519", "standard-both", "http-message"] as const;
export type SignatureScheme = (typeof SIGNATURE_SCHEMES)[number];

/** Those that sign with a key whose public half everybody may have; the stores have an index of them. */
export const KEY_SCHEMES = [
  "standard-ed25519",
  "standard-both",
  "http-message",
] as const satisfies SignatureScheme[];

/**
 * Sender profiles: body, headers, encryption and the answer that counts are those of a sender that receivers know already. The
 * names are those of the receiver package's schemes.
 */
export const PROFILES = [
  "svix",
  "github",
  "gitlab",
  "gitlab-signing",
  "bitbucket",
  "stripe",
  "shopify",
  "slack",
  "wechat",
  "wecom",
  "feishu",
  "dingtalk",
  "alipay",
] as const;
export type ProfileName = (typeof PROFILES)[number];

export const SCHEMES = [...SIGNATURE_SCHEMES, ...PROFILES] as const;
export type Scheme = (typeof SCHEMES)[number];

const NAMES: ReadonlySet<string> = new Set(PROFILES);
export function isProfile(scheme: Scheme): scheme is ProfileName {
  return NAMES.has(scheme);
}

/** A secret whose parts have names, such as `{"token": "...", "encodingAESKey": "..."}`. */
export type SecretParts = Readonly<Record<string, string>>;
export type GivenSecret = string | SecretParts;

/** What whoever makes or rotates an endpoint gives of its own. */
export interface GivenSecrets {
  readonly secret?: GivenSecret | undefined;
  readonly signingKey?: string | undefined;
}

export const secretPartsSchema = z
  .record(z.string().min(1).max(64), z.string().max(256))
  .refine((parts) => Object.keys(parts).length <= 8, "must have at most 8 parts");
/** Only the form that all schemes share: what the endpoint's own scheme makes of it is for engine/endpoint-secrets.ts. */
export const secretSchema = z.union(
  [z.string().min(1).max(1024), secretPartsSchema],
  "must be text of 1 to 1024 characters, or an object of texts for a scheme whose secret has parts",
);
/** `whsk_...`, or PEM: an RSA key of 8192 bits is 6.4 kB of it. */
export const signingKeySchema = z.string().min(1).max(8192);

/**
 * Standard Webhooks 1.0.0, version `v1`: HMAC-SHA256 over `id.timestamp.body`.
 * Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 * The sender and the receiver use this same file.
 */
import { Buffer } from "node:buffer";
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { type HeadersInput, readHeader } from "../headers.ts";
import { VerificationError } from "../verification-error.ts";

const PREFIX = "whsec_";
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** No sign, fraction, exponent or space: `parseInt` would take "1614265330x". */
const UNIX_SECONDS = /^\d{1,12}$/;
const SECRET_BYTES = { generated: 24, min: 24, max: 64 } as const;

/** A decoded signing secret, kept where neither a logger nor JSON.stringify finds it. Decode once, use often. */
export class StandardSecret {
  readonly #key: KeyObject;

  /** @param key the raw bytes of the HMAC key, not empty */
  constructor(key: Uint8Array) {
    if (key.length === 0) throw new VerificationError("invalid_secret", "The signing secret is empty.");
    this.#key = createSecretKey(key);
  }

  /** The `v1,<base64>` entry for a body; `prefix` is `id.timestamp.`. */
  sign(prefix: string, body: Uint8Array | string): string {
    return `v1,${createHmac("sha256", this.#key).update(prefix).update(body).digest("base64")}`;
  }
}

/** `whsec_...` or its base64 alone, the raw key bytes, or what `importStandardSecret` made. */
export type StandardSecretInput = string | Uint8Array | StandardSecret;

/**
 * Decodes `whsec_` + base64. The prefix and the padding may be missing, as in the reference libraries.
 * @param options.strict also demand the 24 to 64 bytes of the specification; a receiver takes what its sender gave it
 * @throws VerificationError `invalid_secret`; the message never holds the secret
 */
export function importStandardSecret(secret: string, options: { strict?: boolean } = {}): StandardSecret {
  if (/^wh[sp]k_/.test(secret)) {
    throw new VerificationError(
      "invalid_secret",
      "This is an ed25519 key (whsk_ or whpk_); v1 needs a secret that starts with whsec_.",
    );
  }
  const base64 = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
  if (!BASE64.test(base64) || base64.replace(/=+$/, "").length % 4 === 1) {
    throw new VerificationError(
      "invalid_secret",
      "The signing secret is not base64 after whsec_. Copy it again, whole and without spaces.",
    );
  }
  const key = Buffer.from(base64, "base64");
  if (options.strict && (key.length < SECRET_BYTES.min || key.length > SECRET_BYTES.max)) {
    throw new VerificationError(
      "invalid_secret",
      `The signing secret has ${key.length} bytes; it must have ${SECRET_BYTES.min} to ${SECRET_BYTES.max} random bytes, base64-encoded.`,
    );
  }
  return new StandardSecret(key);
}

/** A new secret: `whsec_` and the base64 of 24 random bytes. */
export function generateStandardSecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES.generated).toString("base64");
}

export interface StandardSignInput {
  /** The `webhook-id`: the same for every attempt of an event. It holds no dot, which separates the signed parts. */
  readonly id: string;
  /** The `webhook-timestamp`: unix seconds of this attempt. */
  readonly timestampSeconds: number;
  /** The exact body as sent. */
  readonly body: Uint8Array | string;
  /** During a rotation the new secret and the old. */
  readonly secrets: readonly StandardSecretInput[];
}

/**
 * The value of `webhook-signature`: one `v1,<base64>` per secret, separated by spaces.
 * @throws RangeError when the id or the timestamp cannot be signed without ambiguity, or there is no secret
 */
export function signStandard({ id, timestampSeconds, body, secrets }: StandardSignInput): string {
  if (id === "" || id.includes(".")) throw new RangeError(`webhook-id "${id}" is empty or holds a dot`);
  if (!UNIX_SECONDS.test(String(timestampSeconds))) {
    throw new RangeError(`webhook-timestamp ${timestampSeconds} is not a whole number of unix seconds`);
  }
  if (secrets.length === 0) throw new RangeError("there is no secret to sign with");
  const prefix = `${id}.${timestampSeconds}.`;
  return secrets.map((secret) => prepare(secret).sign(prefix, body)).join(" ");
}

export interface StandardVerifyInput {
  readonly headers: HeadersInput;
  /** The exact body as received, before any parser touched it. */
  readonly body: Uint8Array | string;
  /** Any one of them may have signed. */
  readonly secrets: readonly StandardSecretInput[];
  /** How far the timestamp may lie in the past or the future, both ends included. */
  readonly toleranceSeconds?: number;
  /** Unix seconds; the clock when left out. */
  readonly nowSeconds?: number;
}

export interface VerifiedRequest {
  /** Use it as idempotency key: attempts of one event share it. */
  readonly id: string;
  readonly timestampSeconds: number;
}

/**
 * Checks that a request was signed with one of the secrets, not long ago and over exactly this body.
 * @throws VerificationError whose `code` says what is wrong and whose text says what to check
 */
export function verifyStandard(input: StandardVerifyInput): VerifiedRequest {
  const { headers, body, toleranceSeconds = 300, nowSeconds = Math.floor(Date.now() / 1000) } = input;
  if (typeof body !== "string" && !(body instanceof Uint8Array)) {
    throw new VerificationError(
      "invalid_body",
      "The body must be the raw bytes or text of the request, not an object made from it: keep it before a JSON parser runs.",
    );
  }
  const secrets = input.secrets.map(prepare);
  if (secrets.length === 0)
    throw new VerificationError("invalid_secret", "There is no signing secret to check with.");
  const id = readHeader(headers, "webhook-id");
  const timestamp = readHeader(headers, "webhook-timestamp");
  const signatures = readHeader(headers, "webhook-signature", { repeatable: true }).split(" ");
  const timestampSeconds = checkTimestamp(timestamp, nowSeconds, toleranceSeconds);

  const candidates = signatures.filter((entry) => entry.startsWith("v1,")).map((entry) => Buffer.from(entry));
  for (const secret of secrets) {
    const expected = Buffer.from(secret.sign(`${id}.${timestamp}.`, body));
    for (const candidate of candidates) {
      if (candidate.length === expected.length && timingSafeEqual(candidate, expected))
        return { id, timestampSeconds };
    }
  }
  throw new VerificationError(
    "no_matching_signature",
    candidates.length === 0
      ? "webhook-signature has no v1 entry. Check that the sender signs this endpoint with a whsec_ secret."
      : "No signature matches. Check that the secret is the one of this endpoint and that the body is byte for byte as received.",
  );
}

function checkTimestamp(timestamp: string, nowSeconds: number, toleranceSeconds: number): number {
  // A NaN would make both comparisons below false and let every timestamp pass.
  if (!(toleranceSeconds >= 0) || !Number.isFinite(nowSeconds)) {
    throw new RangeError("toleranceSeconds must be at least 0 and nowSeconds a finite number");
  }
  if (!UNIX_SECONDS.test(timestamp)) {
    throw new VerificationError(
      "invalid_timestamp",
      "webhook-timestamp must be unix seconds, digits only. Check that no proxy changes it.",
    );
  }
  const timestampSeconds = Number(timestamp);
  const ageSeconds = nowSeconds - timestampSeconds;
  if (ageSeconds > toleranceSeconds) {
    throw new VerificationError(
      "timestamp_too_old",
      `webhook-timestamp is ${ageSeconds} s old, more than the ${toleranceSeconds} s allowed. Check this machine's clock, and that the request was not recorded and sent again.`,
    );
  }
  if (-ageSeconds > toleranceSeconds) {
    throw new VerificationError(
      "timestamp_too_new",
      `webhook-timestamp is ${-ageSeconds} s ahead, more than the ${toleranceSeconds} s allowed. Check this machine's clock.`,
    );
  }
  return timestampSeconds;
}

function prepare(secret: StandardSecretInput): StandardSecret {
  if (secret instanceof StandardSecret) return secret;
  return typeof secret === "string" ? importStandardSecret(secret) : new StandardSecret(secret);
}

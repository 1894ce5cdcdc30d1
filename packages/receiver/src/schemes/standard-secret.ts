/** Secrets of Standard Webhooks 1.0.0, version `v1`: HMAC-SHA256 over `id.timestamp.body`. */
import { Buffer } from "node:buffer";
import { createHmac, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { VerificationError } from "../verification-error.ts";

const PREFIX = "whsec_";
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const SECRET_BYTES = { generated: 24, min: 24, max: 64 } as const;

/** A decoded signing secret, kept where neither a logger nor JSON.stringify finds it. Decode once, use often. */
export class StandardSecret {
  readonly #key: KeyObject;

  /** @param key the raw bytes of the HMAC key, not empty */
  constructor(key: Uint8Array) {
    if (key.length === 0) {
      throw new VerificationError(
        "invalid_secret",
        "The signing secret is empty: whatever it is read from (an environment variable, a file) has none.",
      );
    }
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
  const hasPrefix = secret.startsWith(PREFIX);
  const base64 = hasPrefix ? secret.slice(PREFIX.length) : secret;
  if (base64 !== "" && (!BASE64.test(base64) || base64.replace(/=+$/, "").length % 4 === 1)) {
    throw new VerificationError(
      "invalid_secret",
      `The signing secret is not base64${hasPrefix ? ` after ${PREFIX}` : ""}. Copy it again, whole and without spaces.`,
    );
  }
  const key = Buffer.from(base64, "base64");
  if (options.strict && key.length > 0 && (key.length < SECRET_BYTES.min || key.length > SECRET_BYTES.max)) {
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

export function prepareSecret(secret: StandardSecretInput): StandardSecret {
  if (secret instanceof StandardSecret) return secret;
  return typeof secret === "string" ? importStandardSecret(secret) : new StandardSecret(secret);
}

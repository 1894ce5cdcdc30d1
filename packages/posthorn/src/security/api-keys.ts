/** API keys: opaque, shown once, stored as SHA-256. A slow hash is for what people choose; these are 256 random bits. */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";

export interface GeneratedApiKey {
  /** `phk_` and 43 characters of base64url: 256 random bits. Shown once, never stored. */
  readonly key: string;
  /** SHA-256 of the key's text, 32 bytes. */
  readonly hash: Uint8Array;
  /** `phk_` and six characters, to tell keys apart in lists. */
  readonly prefix: string;
}

const PREFIX = "phk_";
const RANDOM_BYTES = 32;
const SHOWN_CHARACTERS = 6;

export function generateApiKey(): GeneratedApiKey {
  const key = PREFIX + randomBytes(RANDOM_BYTES).toString("base64url");
  return { key, hash: hashApiKey(key), prefix: apiKeyPrefix(key) };
}

/** SHA-256 of any text that was presented as a key; 32 bytes. */
export function hashApiKey(key: string): Uint8Array {
  return hash("sha256", key, "buffer");
}

/** The part of a key that may be shown. */
export function apiKeyPrefix(key: string): string {
  return key.slice(0, PREFIX.length + SHOWN_CHARACTERS);
}

/** Compares two hashes in time that does not depend on their content. Unequal lengths are unequal. */
export function equalHashes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

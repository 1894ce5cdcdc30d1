/** Secrets that are used as the text they are: its UTF-8 is the key of the HMAC. */
import { Buffer } from "node:buffer";
import { createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { VerificationError } from "../verification-error.ts";
import { checkSome } from "./secret-parts.ts";

/** No space, tab or line end inside: one that slipped in with copying would only show as signatures that never match. */
const SECRET = /^[\x21-\x7e]{1,4096}$/;

/**
 * A secret that the sender made up, from a file or an option; the line end behind it is not part of it.
 * @throws VerificationError `invalid_secret`; the message never holds the secret
 */
export function parseTextSecret(text: string): string {
  const secret = text.trim();
  if (SECRET.test(secret)) return secret;
  throw new VerificationError(
    "invalid_secret",
    "The secret is empty, or has spaces, line ends or characters beyond ASCII in it. Copy it again, whole.",
  );
}

/** @throws VerificationError `invalid_secret` when one cannot be used, and when there is none */
export function importTextSecrets(secrets: readonly string[]): readonly [KeyObject, ...KeyObject[]] {
  const [first, ...others] = checkSome(secrets);
  return [importTextSecret(first), ...others.map(importTextSecret)];
}

function importTextSecret(secret: unknown): KeyObject {
  if (typeof secret === "string" && secret !== "") return createSecretKey(Buffer.from(secret));
  throw new VerificationError("invalid_secret", "The secret must be text and not empty.");
}

/** Whether one of the candidates is the text, in a time that does not tell how much of it was right. */
export function isOneOf(candidates: readonly string[], expected: string): boolean {
  const wanted = Buffer.from(expected);
  return candidates.some((candidate) => {
    const bytes = Buffer.from(candidate);
    return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
  });
}

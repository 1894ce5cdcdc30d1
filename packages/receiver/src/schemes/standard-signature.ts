/**
 * Standard Webhooks 1.0.0: `webhook-signature` holds any number of signatures over `id.timestamp.body`, `v1` made with a secret
 * (HMAC-SHA256) or `v1a` made with a key (ed25519).
 * Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 * The sender and the receiver use this same file.
 */
import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { type HeadersInput, linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp, isUnixSeconds } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import {
  preparePublicKey,
  type StandardKey,
  type StandardPublicKey,
  type StandardPublicKeyInput,
} from "./standard-key.ts";
import { prepareSecret, type StandardSecret, type StandardSecretInput } from "./standard-secret.ts";

/**
 * Of `v1a` entries, as many are looked at: a rotation needs two, and a check costs some 50 us, which whoever sends a header
 * of 16 KiB full of them would otherwise have for the asking.
 */
const MAX_KEY_ENTRIES = 16;

/** What the three headers are called: Svix, from whom the scheme comes, has names of its own. */
export interface SignatureHeaders {
  readonly id: string;
  readonly timestamp: string;
  readonly signature: string;
}
export const STANDARD_HEADERS: SignatureHeaders = {
  id: "webhook-id",
  timestamp: "webhook-timestamp",
  signature: "webhook-signature",
};

export interface StandardSignInput {
  /** The `webhook-id`: the same for every attempt of an event. It holds no dot, which separates the signed parts. */
  readonly id: string;
  /** The `webhook-timestamp`: unix seconds of this attempt. */
  readonly timestampSeconds: number;
  /** The exact body as sent. */
  readonly body: Uint8Array | string;
  /** During a rotation the new secret and the old. */
  readonly secrets?: readonly StandardSecretInput[];
  /** Sign with `v1a`, beside the secrets or in their place; during a rotation the new key and the old. */
  readonly keys?: readonly StandardKey[];
}

/**
 * The value of `webhook-signature`: one `v1,<base64>` per secret, then one `v1a,<base64>` per key, separated by spaces.
 * `v1` stands first because there are verifiers that look at the first entry alone.
 * @throws RangeError when the id or the timestamp cannot be signed without ambiguity, or there is neither secret nor key
 */
export function signStandard({
  id,
  timestampSeconds,
  body,
  secrets = [],
  keys = [],
}: StandardSignInput): string {
  if (id === "" || id.includes(".")) throw new RangeError(`webhook-id "${id}" is empty or holds a dot`);
  if (!isUnixSeconds(timestampSeconds)) {
    throw new RangeError(`webhook-timestamp ${timestampSeconds} is not a whole number of unix seconds`);
  }
  if (secrets.length + keys.length === 0) throw new RangeError("there is no secret and no key to sign with");
  const prefix = `${id}.${timestampSeconds}.`;
  const entries = secrets.map((secret) => prepareSecret(secret).sign(prefix, body));
  for (const key of keys) entries.push(key.sign(prefix, body));
  return entries.join(" ");
}

export interface StandardVerifyInput {
  readonly headers: HeadersInput;
  /** The exact body as received, before any parser touched it. */
  readonly body: Uint8Array | string;
  /** Any one of them may have signed (`v1`). */
  readonly secrets?: readonly StandardSecretInput[];
  /** Any one of them may have signed (`v1a`). */
  readonly publicKeys?: readonly StandardPublicKeyInput[];
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
 * Checks that a request was signed with one of the secrets or keys, not long ago and over exactly this body. A secret is only
 * ever held against `v1`, a key against `v1a`; other versions are skipped.
 * @throws VerificationError whose `code` says what is wrong and whose text says what to check
 */
export function verifyStandard(input: StandardVerifyInput): VerifiedRequest {
  return verifyNamed(STANDARD_HEADERS, input);
}

/** The same, from headers with other names. */
export function verifyNamed(names: SignatureHeaders, input: StandardVerifyInput): VerifiedRequest {
  const { body, toleranceSeconds = 300, nowSeconds = Math.floor(Date.now() / 1000) } = input;
  checkRawBody(body);
  const secrets = (input.secrets ?? []).map(prepareSecret);
  const publicKeys = (input.publicKeys ?? []).map(preparePublicKey);
  if (secrets.length + publicKeys.length === 0) {
    throw new VerificationError(
      "invalid_secret",
      "There is no signing secret and no public key to check with.",
    );
  }
  const headers = linesOf(input.headers);
  const id = readHeader(headers, names.id);
  // With one, the signed parts could be cut elsewhere: the old timestamp as the id's end, and the body's first digits as a new one.
  if (id.includes(".")) {
    throw new VerificationError(
      "invalid_header",
      `${names.id} holds a dot, which separates the signed parts. Check that the sender is one of Standard Webhooks.`,
    );
  }
  const timestamp = readHeader(headers, names.timestamp);
  const entries = readHeader(headers, names.signature, { joinedBy: " " }).split(" ");
  const timestampSeconds = checkTimestamp(names.timestamp, timestamp, { nowSeconds, toleranceSeconds });

  const prefix = `${id}.${timestamp}.`;
  if (isSignedBySecret(entries, secrets, prefix, body) || isSignedByKey(entries, publicKeys, prefix, body)) {
    return { id, timestampSeconds };
  }
  throw noMatch(names.signature, entries, { v1: secrets.length > 0, v1a: publicKeys.length > 0 });
}

function isSignedBySecret(
  entries: readonly string[],
  secrets: readonly StandardSecret[],
  prefix: string,
  body: Uint8Array | string,
): boolean {
  const candidates = entries.filter((entry) => entry.startsWith("v1,")).map((entry) => Buffer.from(entry));
  for (const secret of secrets) {
    const expected = Buffer.from(secret.sign(prefix, body));
    for (const candidate of candidates) {
      if (candidate.length === expected.length && timingSafeEqual(candidate, expected)) return true;
    }
  }
  return false;
}

function isSignedByKey(
  entries: readonly string[],
  publicKeys: readonly StandardPublicKey[],
  prefix: string,
  body: Uint8Array | string,
): boolean {
  if (publicKeys.length === 0) return false;
  const signatures = entries.filter((entry) => entry.startsWith("v1a,")).slice(0, MAX_KEY_ENTRIES);
  const content = Buffer.concat([Buffer.from(prefix), Buffer.from(body)]);
  return signatures.some((entry) => {
    const signature = decodeStrictly(entry.slice("v1a,".length), "base64");
    return signature !== undefined && publicKeys.some((key) => key.verify(content, signature));
  });
}

function noMatch(
  header: string,
  entries: readonly string[],
  checked: { readonly v1: boolean; readonly v1a: boolean },
): VerificationError {
  const versions = (["v1", "v1a"] as const).filter((version) => checked[version]);
  const present = versions.some((version) => entries.some((entry) => entry.startsWith(`${version},`)));
  return new VerificationError(
    "no_matching_signature",
    present
      ? "No signature matches. Check that the secret or public key is the one of this endpoint and that the body is byte for byte as received."
      : `${header} has no ${versions.join(" or ")} entry. Check that the sender signs this endpoint with ${
          checked.v1 ? "a whsec_ secret (v1)" : "an ed25519 key (v1a)"
        }.`,
  );
}

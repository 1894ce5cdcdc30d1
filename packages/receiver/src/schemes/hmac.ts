/** Signatures that are one HMAC in one header, and secrets that people choose themselves. */
import { Buffer } from "node:buffer";
import { createHash, createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import { type HeaderLines, linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { bytesOf, type JsonObject } from "./payload.ts";
import type { Verify } from "./scheme.ts";
import { parseParts } from "./secret-parts.ts";
import { importTextSecrets } from "./text-secret.ts";

export interface MacHeader {
  /** In lower case. */
  readonly header: string;
  readonly algorithm: "sha1" | "sha256" | "sha384" | "sha512";
  /** Digits of hex are in lower case, base64 is padded. */
  readonly encoding: "hex" | "base64";
  /** What stands before the value, such as `sha256=`. */
  readonly prefix: string;
}

/** The value of the header over the parts, one behind the other. */
export function macOf(
  key: KeyObject,
  { algorithm, encoding, prefix }: Omit<MacHeader, "header">,
  ...parts: readonly (Uint8Array | string)[]
): string {
  const mac = createHmac(algorithm, key);
  for (const part of parts) mac.update(part);
  return prefix + mac.digest(encoding);
}

/**
 * Checks that the header was made with one of the keys over these parts. The texts are compared, not the bytes that they stand for, so
 * that a signature has one spelling.
 * @throws VerificationError `missing_header`, `duplicate_header`, `invalid_header`, `no_matching_signature`
 */
export function checkMac(
  keys: readonly KeyObject[],
  form: MacHeader,
  headers: HeaderLines,
  ...parts: readonly (Uint8Array | string)[]
): void {
  const given = Buffer.from(readHeader(headers, form.header));
  for (const key of keys) {
    const expected = Buffer.from(macOf(key, form, ...parts));
    if (given.length !== expected.length) throw notOfForm(form);
    if (timingSafeEqual(given, expected)) return;
  }
  throw new VerificationError(
    "no_matching_signature",
    `${form.header} does not fit. Check that the secret is the one of this webhook and that the body is byte for byte as received.`,
  );
}

/** Of a scheme whose signature is one MAC over the body, and no more. @throws VerificationError `invalid_secret` */
export function verifyBodyMac(secrets: readonly string[], form: MacHeader): Verify {
  const keys = importTextSecrets(secrets);
  return ({ headers, body }) => {
    checkRawBody(body);
    checkMac(keys, form, linesOf(headers), body);
    return { kind: "event", payload: bytesOf(body), timestampSeconds: null, acknowledgement: null };
  };
}

function notOfForm({ header, algorithm, encoding, prefix }: MacHeader): VerificationError {
  const value = `an HMAC (${algorithm}) in ${encoding}`;
  return new VerificationError(
    "invalid_header",
    `${header} must be ${prefix === "" ? value : `${prefix} and ${value}`}. Check that the request comes from the sender this endpoint is for.`,
  );
}

/** Whether two secrets that people chose are the same, in a time that tells neither their difference nor their length. */
export function isSameText(given: string, expected: string): boolean {
  return timingSafeEqual(hashOf(given), hashOf(expected));
}

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/**
 * A secret that somebody chose, spaces and all; the line end that a file has behind it is not part of it.
 * @throws VerificationError `invalid_secret`
 */
export function parseChosenSecret(text: string): string {
  return chosen(text.replace(/\r?\n$/, ""));
}

/** @throws VerificationError `invalid_secret` unless it is text and not empty */
export function chosen(secret: unknown): string {
  if (typeof secret === "string" && secret !== "") return secret;
  throw new VerificationError("invalid_secret", "The secret must be text and not empty.");
}

/** What a header can hold and nobody trims: beyond ASCII each program encodes it in its own way. */
const TOKEN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** A secret that travels as it is. @throws VerificationError `invalid_secret` */
export function parseToken(text: string): string {
  return checkedToken(parseChosenSecret(text));
}

/** @throws VerificationError `invalid_secret` when one cannot be used */
export function checkedToken(token: unknown): string {
  if (TOKEN.test(chosen(token))) return token as string;
  throw new VerificationError(
    "invalid_secret",
    "The secret token begins or ends with a space, or has characters in it that no header can hold: it must be ASCII.",
  );
}

/** @throws VerificationError `no_matching_signature` */
export function checkToken(tokens: readonly string[], header: string, given: string): void {
  if (tokens.some((token) => isSameText(given, token))) return;
  throw new VerificationError(
    "no_matching_signature",
    `The token in ${header} is not the one of this webhook. Check that both sides were given the same.`,
  );
}

/**
 * A secret that is one text, or JSON where it has parts.
 * @param form what the JSON looks like, for the errors
 * @throws VerificationError `invalid_secret`
 */
export function parseTextOrParts(text: string, form: string): string | JsonObject {
  const secret = parseChosenSecret(text);
  return /^\s*\{/.test(secret) ? parseParts(secret, form) : secret;
}

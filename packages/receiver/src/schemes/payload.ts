/** Reading what a signature vouched for, and building a body around data that stays as it is, byte for byte. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { VerificationError } from "../verification-error.ts";

export type JsonObject = { readonly [name: string]: unknown };

/** Each parameter of a form; a list where it came several times. */
export type FormFields = Readonly<Record<string, string | readonly string[]>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param sender how the errors name it, such as `Stripe`
 * @throws VerificationError `invalid_payload` for what is no JSON in UTF-8
 */
export function readJson(payload: Uint8Array, sender: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    throw invalidPayload(sender, "is not JSON in UTF-8");
  }
}

/** @throws VerificationError `invalid_payload` */
export function readObject(payload: Uint8Array, sender: string): JsonObject {
  const value = readJson(payload, sender);
  if (isObject(value)) return value;
  throw invalidPayload(sender, "is not a JSON object");
}

/** An object, or null for anything else: for a look at what may be a handshake. */
export function objectOrNull(payload: Uint8Array): JsonObject | null {
  try {
    return readObject(payload, "");
  } catch {
    return null;
  }
}

/** Whether the word stands anywhere in a body: cheap, so that only what may be a handshake is parsed for it. */
export function holds(body: Uint8Array, word: string): boolean {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(word);
}

/** A member that must be text and not empty. @throws VerificationError `invalid_payload` */
export function textMember(object: JsonObject, name: string, sender: string): string {
  const value = object[name];
  if (typeof value === "string" && value !== "") return value;
  throw invalidPayload(sender, `has no text in its field "${name}"`);
}

export function optionalText(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** What providers of small events never exceed. */
export const SMALL_BODY_BYTES_MAX = 256 * 1024;

/** Ten times as many as any provider sends. */
const FORM_FIELDS_MAX = 1000;

/**
 * The fields of a form, not yet decoded. Before a signature was checked, a stranger chose how many there are.
 * @throws VerificationError `body_too_large` for more than 1,000
 */
export function splitForm(form: string): readonly string[] {
  const fields = form.split("&", FORM_FIELDS_MAX + 1);
  if (fields.length <= FORM_FIELDS_MAX) return fields;
  throw new VerificationError(
    "body_too_large",
    `The form has more than ${FORM_FIELDS_MAX} fields. Check that the request comes from the sender this endpoint is for.`,
  );
}

/**
 * `application/x-www-form-urlencoded`. URLSearchParams decodes each field by itself: over a whole form without `=` its time grows with
 * the square of the length in Node, minutes for 5 MiB.
 * @throws VerificationError `body_too_large` for more than 1,000 fields
 */
export function readForm(payload: Uint8Array | string): FormFields {
  const fields = new Map<string, string | string[]>();
  for (const field of splitForm(Buffer.from(payload).toString())) {
    if (field === "") continue;
    const [, encodedName = "", encodedValue = ""] = /^([^=]*)=?(.*)$/s.exec(field) ?? [];
    const [name, value] = [decodeField(encodedName), decodeField(encodedValue)];
    const before = fields.get(name);
    if (before === undefined) fields.set(name, value);
    else if (typeof before === "string") fields.set(name, [before, value]);
    else before.push(value);
  }
  return Object.fromEntries(fields);
}

function decodeField(text: string): string {
  return new URLSearchParams(`a=${text}`).get("a") ?? "";
}

/** Whether a body may be JSON: a form never begins like that, since its brackets are percent-encoded. */
export function looksLikeJson(body: Uint8Array | string): boolean {
  return /^\s*[[{]/.test(Buffer.from(body.slice(0, 64)).toString("latin1"));
}

export function invalidPayload(sender: string, fault: string): VerificationError {
  return new VerificationError(
    "invalid_payload",
    `The body ${fault}. Check that this endpoint is for events of ${sender}.`,
  );
}

/** What deduplicates events of a sender that gives them no id, but repeats their bytes: `sha256:` and their hash in hex. */
export function digestId(payload: Uint8Array): string {
  return `sha256:${hexHashOf(payload)}`;
}

/** Enough of the hash to tell events apart that share a name: 64 bits. */
export function shortDigest(payload: Uint8Array): string {
  return hexHashOf(payload).slice(0, 16);
}

function hexHashOf(payload: Uint8Array): string {
  return createHash("sha256").update(payload).digest("hex");
}

/** JSON with the data in its place, unchanged: it is never parsed and written anew. */
export function spliceData(before: string, data: Uint8Array, after: string): Uint8Array {
  return Buffer.concat([Buffer.from(before), data, Buffer.from(after)]);
}

/** The bytes of a body, without a copy where there are some. */
export function bytesOf(body: Uint8Array | string): Uint8Array {
  return typeof body === "string" ? Buffer.from(body) : body;
}

/** @throws RangeError unless the time is ISO 8601 */
export function unixSecondsOf(timestamp: string): number {
  const ms = Date.parse(timestamp);
  if (Number.isNaN(ms)) throw new RangeError(`"${timestamp}" is not a time in ISO 8601`);
  return Math.floor(ms / 1000);
}

/** Secrets that have parts: an object in code, the same object as JSON in a file, an option or a sealed column. */
import { VerificationError } from "../verification-error.ts";
import { isObject, type JsonObject } from "./payload.ts";

/**
 * @param form what the JSON looks like, for the errors
 * @throws VerificationError `invalid_secret`; the message never holds the text
 */
export function parseParts(text: string, form: string): JsonObject {
  try {
    return checkParts(JSON.parse(text), form);
  } catch {
    throw new VerificationError("invalid_secret", `The secret must be a JSON object: ${form}.`);
  }
}

/** @throws VerificationError `invalid_secret` */
export function checkParts(secret: unknown, form: string): JsonObject {
  if (isObject(secret)) return secret;
  throw new VerificationError("invalid_secret", `The secret must be an object: ${form}.`);
}

/**
 * A part that must be text and not empty.
 * @throws VerificationError `invalid_secret` that names the part and never shows it
 */
export function textPart(secret: JsonObject, name: string, form: string): string {
  const value = secret[name];
  if (typeof value === "string" && value !== "" && value.trim() === value) return value;
  const fault = typeof value === "string" && value !== "" ? "begins or ends with white space" : "is missing";
  throw new VerificationError("invalid_secret", `The part "${name}" of the secret ${fault}: ${form}.`);
}

/** The text of a file, such as a PEM, ends with a line end. */
export function trimmed(value: unknown): unknown {
  return typeof value === "string" ? value.trim() : value;
}

/** @throws VerificationError `invalid_secret` when there is none */
export function checkSome<T>(secrets: readonly T[]): readonly [T, ...T[]] {
  const [first, ...others] = secrets;
  if (first !== undefined) return [first, ...others];
  throw new VerificationError("invalid_secret", "There is no secret to sign or to check with.");
}

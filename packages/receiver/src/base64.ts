import { Buffer } from "node:buffer";

/**
 * The bytes of base64 in its one canonical form: the right alphabet, padded (`base64`) or not (`base64url`), no stray bits.
 * Node's own decoder takes anything, so that two texts could stand for the same bytes. Undefined for any other text.
 */
export function decodeStrictly(text: string, encoding: "base64" | "base64url"): Buffer | undefined {
  const bytes = Buffer.from(text, encoding);
  return bytes.toString(encoding) === text ? bytes : undefined;
}

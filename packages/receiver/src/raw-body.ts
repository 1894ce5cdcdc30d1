import { VerificationError } from "./verification-error.ts";

/** @throws VerificationError `invalid_body` for anything but bytes or text, such as what a JSON parser made */
export function checkRawBody(body: unknown): void {
  if (typeof body === "string" || body instanceof Uint8Array) return;
  throw new VerificationError(
    "invalid_body",
    "The body must be the raw bytes or text of the request, not an object made from it: keep it before a JSON parser runs.",
  );
}

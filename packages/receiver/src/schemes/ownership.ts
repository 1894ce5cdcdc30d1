/**
 * The question by which Posthorn finds out whether an endpoint wants its events: `{"type":"posthorn.endpoint.verification","challenge"}`,
 * signed, encrypted and wrapped as an event is, and answered with the challenge.
 */
import { isObject } from "./payload.ts";
import type { Answer, Description, Scheme } from "./scheme.ts";

const TYPE = "posthorn.endpoint.verification";
/** Posthorn gives no event such an id, and lets nobody publish that type. */
const ID_PREFIX = "verify_";
const CHALLENGE = /^[A-Za-z0-9_-]{1,256}$/;

/**
 * Undefined for an event.
 * @param scheme one that proves nothing gets no answer: strangers would have a consent from whoever takes everything
 */
export function answerToOwnershipQuestion(
  { strength }: Pick<Scheme, "strength">,
  { id, type, data }: Description,
): Answer | undefined {
  if (strength === "none" || type !== TYPE || !id?.startsWith(ID_PREFIX)) return undefined;
  if (!isObject(data) || data.type !== TYPE || typeof data.challenge !== "string") return undefined;
  if (!CHALLENGE.test(data.challenge)) return undefined;
  const headers = { "content-type": "application/json" };
  return { status: 200, headers, body: JSON.stringify({ challenge: data.challenge }) };
}

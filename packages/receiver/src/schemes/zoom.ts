/**
 * Zoom: `x-zm-signature` like Slack's, and a validation of the URL that comes again every 72 hours.
 * Source: https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events
 */
import type { KeyObject } from "node:crypto";
import { jsonAnswer } from "./answer.ts";
import { macOf } from "./hmac.ts";
import {
  bytesOf,
  digestId,
  holds,
  isObject,
  objectOrNull,
  readObject,
  spliceData,
  textMember,
} from "./payload.ts";
import type { Answer, Scheme, Verify } from "./scheme.ts";
import { importTextSecrets, parseTextSecret } from "./text-secret.ts";
import { signRequestV0, type V0Headers, verifyV0 } from "./v0-signature.ts";

const HEADERS: V0Headers = { signature: "x-zm-signature", timestamp: "x-zm-request-timestamp" };
const URL_VALIDATION = "endpoint.url_validation";
const TOKEN = { algorithm: "sha256", encoding: "hex", prefix: "" } as const;
/** No colon: the answer is an HMAC with the very key that signs `v0:timestamp:body`, so it must never be one over that. */
const PLAIN_TOKEN = /^[A-Za-z0-9_+/=-]{1,256}$/;

export const zoom: Scheme = {
  name: "zoom",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  describe(payload) {
    const message = readObject(payload, "Zoom");
    const type = textMember(message, "event", "Zoom");
    // Zoom gives no id. Its attempts repeat the body, in which event_ts has the event's milliseconds.
    return { id: digestId(payload), type, data: message.payload ?? null };
  },
  parseSecret: parseTextSecret,
  parseSigningSecret: parseTextSecret,
  compose({ type, timestamp, data }) {
    const before = `{"event":${JSON.stringify(type)},"event_ts":${Date.parse(timestamp)},"payload":`;
    return { contentType: "application/json; charset=utf-8", body: spliceData(before, data, "}") };
  },
  sign: (input, secrets) => signRequestV0(input, HEADERS, secrets),
};

function verifier(secrets: readonly string[]): Verify {
  const keys = importTextSecrets(secrets);
  return (request, clock) => {
    const { timestampSeconds, key } = verifyV0(request, HEADERS, keys, clock);
    const payload = bytesOf(request.body);
    const plainToken = plainTokenOf(payload);
    return plainToken === null
      ? { kind: "event", payload, timestampSeconds, acknowledgement: null }
      : { kind: "handshake", answer: validation(plainToken, key) };
  };
}

function plainTokenOf(payload: Uint8Array): string | null {
  if (!holds(payload, URL_VALIDATION)) return null;
  const message = objectOrNull(payload);
  const inner = message?.event === URL_VALIDATION ? message.payload : null;
  const token = isObject(inner) ? inner.plainToken : null;
  return typeof token === "string" && PLAIN_TOKEN.test(token) ? token : null;
}

/** @param key that signed the question: during a rotation the answer must be made with the same */
function validation(plainToken: string, key: KeyObject): Answer {
  return jsonAnswer({ plainToken, encryptedToken: macOf(key, TOKEN, plainToken) });
}

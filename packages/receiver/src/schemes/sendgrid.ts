/**
 * Twilio SendGrid's Event Webhook: ECDSA on P-256 with SHA-256 over timestamp and body. A body is a list of events, and ends
 * with CR LF, which is signed, too.
 * Source: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
 */
import { Buffer } from "node:buffer";
import { sign, verify } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { type BatchForm, describeBatch } from "./batch.ts";
import { bytesOf, spliceData, unixSecondsOf } from "./payload.ts";
import { importPrivateKeyText, importPublicKey, type KeyKind } from "./pem-key.ts";
import type { Scheme, Verify } from "./scheme.ts";
import { checkSome } from "./secret-parts.ts";

const SIGNATURE = "x-twilio-email-event-webhook-signature";
const TIMESTAMP = "x-twilio-email-event-webhook-timestamp";
const KEY: KeyKind = { type: "ec", curve: "prime256v1", name: "an ECDSA key on P-256" };
const BATCH: BatchForm = { sender: "SendGrid", mixed: "sendgrid", id: "sg_event_id", type: "event" };

/** What verifies is the public key as the console shows it (base64 of its SPKI, or PEM); what signs, a PKCS #8 PEM. */
export const sendgrid: Scheme = {
  name: "sendgrid",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  describe: (payload) => describeBatch(payload, BATCH),
  parseSecret(text) {
    importPublicKey(text, KEY);
    return text.trim();
  },
  parseSigningSecret(text) {
    importPrivateKeyText(text, KEY);
    return text.trim();
  },
  compose({ id, type, timestamp, data }) {
    const before = `[{"sg_event_id":${JSON.stringify(id)},"event":${JSON.stringify(type)},"timestamp":${unixSecondsOf(timestamp)},"data":`;
    return { contentType: "application/json", body: spliceData(before, data, "}]\r\n") };
  },
  sign({ url, contentType, body, timestampSeconds }, secrets) {
    const content = Buffer.concat([Buffer.from(String(timestampSeconds)), body]);
    const signature = sign("sha256", content, importPrivateKeyText(checkSome(secrets)[0], KEY)).toString(
      "base64",
    );
    const signed = { [TIMESTAMP]: String(timestampSeconds), [SIGNATURE]: signature };
    return { method: "POST", url, headers: { "content-type": contentType, ...signed }, body };
  },
};

function verifier(secrets: readonly string[]): Verify {
  const keys = checkSome(secrets).map((secret) => importPublicKey(secret, KEY));
  return ({ headers, body }, clock) => {
    checkRawBody(body);
    const lines = linesOf(headers);
    const signature = decodeStrictly(readHeader(lines, SIGNATURE), "base64");
    const timestamp = readHeader(lines, TIMESTAMP);
    const timestampSeconds = checkTimestamp(TIMESTAMP, timestamp, clock);
    const payload = bytesOf(body);
    const content = Buffer.concat([Buffer.from(timestamp), payload]);
    if (signature === undefined || !keys.some((key) => verify("sha256", content, key, signature))) {
      throw new VerificationError(
        "no_matching_signature",
        "The signature does not match. Check that the public key is the one of this webhook and that the body is byte for byte as received, with the line end behind it.",
      );
    }
    return { kind: "event", payload, timestampSeconds, acknowledgement: null };
  };
}

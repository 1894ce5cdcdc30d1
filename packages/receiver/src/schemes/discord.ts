/**
 * Discord: ed25519 over timestamp and body, for interactions and for webhook events. Both URLs get a PING, and now and then a
 * wrong signature, which must be answered with 401.
 * Source: https://docs.discord.com/developers/interactions/overview#setting-up-an-endpoint,
 * https://docs.discord.com/developers/events/webhook-events
 */
import { Buffer } from "node:buffer";
import { sign } from "node:crypto";
import { linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { jsonAnswer } from "./answer.ts";
import {
  bytesOf,
  digestId,
  invalidPayload,
  isObject,
  type JsonObject,
  objectOrNull,
  optionalText,
  readObject,
  spliceData,
  textMember,
} from "./payload.ts";
import { importPrivateKeyText, type KeyKind } from "./pem-key.ts";
import type { Answer, Description, Scheme, Verify } from "./scheme.ts";
import { checkSome } from "./secret-parts.ts";
import { StandardPublicKey } from "./standard-key.ts";

const SIGNATURE = "x-signature-ed25519";
const TIMESTAMP = "x-signature-timestamp";
const KEY: KeyKind = { type: "ed25519", name: "an ed25519 key" };
const HEX_SIGNATURE = /^[0-9a-f]{128}$/;
const HEX_PUBLIC_KEY = /^[0-9a-f]{64}$/i;

/** https://docs.discord.com/developers/interactions/receiving-and-responding#interaction-object-interaction-type */
const INTERACTIONS: ReadonlyMap<unknown, string> = new Map([
  [2, "interaction.application_command"],
  [3, "interaction.message_component"],
  [4, "interaction.application_command_autocomplete"],
  [5, "interaction.modal_submit"],
]);

/** What verifies is the application's public key, 64 digits in hex as the developer portal shows it; what signs, a PKCS #8 PEM. */
export const discord: Scheme = {
  name: "discord",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  describe: (payload) => describeMessage(readObject(payload, "Discord"), payload),
  parseSecret(text) {
    const hex = text.trim();
    importHexKey(hex);
    return hex;
  },
  parseSigningSecret(text) {
    importPrivateKeyText(text, KEY);
    return text.trim();
  },
  compose({ id, type, timestamp, data }) {
    const before = `{"version":1,"id":${JSON.stringify(id)},"application_id":"0","type":1,"event":{"type":${JSON.stringify(type)},"timestamp":${JSON.stringify(timestamp)},"data":`;
    return { contentType: "application/json", body: spliceData(before, data, "}}") };
  },
  sign({ url, contentType, body, timestampSeconds }, secrets) {
    const content = Buffer.concat([Buffer.from(String(timestampSeconds)), body]);
    const signature = sign(null, content, importPrivateKeyText(checkSome(secrets)[0], KEY)).toString("hex");
    const signed = { [TIMESTAMP]: String(timestampSeconds), [SIGNATURE]: signature };
    return { method: "POST", url, headers: { "content-type": contentType, ...signed }, body };
  },
};

function verifier(secrets: readonly string[]): Verify {
  const keys = checkSome(secrets).map(importHexKey);
  return ({ headers, body }, clock) => {
    checkRawBody(body);
    const lines = linesOf(headers);
    const signature = readHeader(lines, SIGNATURE);
    const timestamp = readHeader(lines, TIMESTAMP);
    const timestampSeconds = checkTimestamp(TIMESTAMP, timestamp, clock);
    const payload = bytesOf(body);
    const content = Buffer.concat([Buffer.from(timestamp), payload]);
    const signatureBytes = Buffer.from(HEX_SIGNATURE.test(signature) ? signature : "", "hex");
    if (!keys.some((key) => key.verify(content, signatureBytes))) {
      throw new VerificationError(
        "no_matching_signature",
        "The signature does not match. Check that the public key is the one of this application and that the body is byte for byte as received.",
      );
    }
    const pong = pongFor(payload);
    if (pong !== null) return { kind: "handshake", answer: pong };
    return { kind: "event", payload, timestampSeconds, acknowledgement: () => acknowledge(payload) };
  };
}

function importHexKey(hex: string): StandardPublicKey {
  if (HEX_PUBLIC_KEY.test(hex)) return new StandardPublicKey(Buffer.from(hex, "hex"));
  throw new VerificationError(
    "invalid_key",
    "The public key must be 64 digits in hex, as the application's page shows it. Copy it again, whole.",
  );
}

/** A PING is 1 among interactions, and 0 among webhook events, whose events are 1 and hold one. */
function pongFor(payload: Uint8Array): Answer | null {
  const message = objectOrNull(payload);
  if (message?.type === 0) return { status: 204, headers: {}, body: "" };
  if (message?.type !== 1 || isObject(message.event)) return null;
  return jsonAnswer({ type: 1 });
}

/** 202 tells Discord that the reply to an interaction comes through its callback URL. */
function acknowledge(payload: Uint8Array): Answer {
  return { status: isObject(objectOrNull(payload)?.event) ? 204 : 202, headers: {}, body: "" };
}

function describeMessage(message: JsonObject, payload: Uint8Array): Description {
  const { event, type } = message;
  if (isObject(event)) {
    // A webhook event has no id, and Discord's attempts repeat the body, which holds the time.
    const id = optionalText(message.id) ?? digestId(payload);
    return { id, type: textMember(event, "type", "Discord"), data: event.data ?? null };
  }
  if (typeof type !== "number") throw invalidPayload("Discord", "is neither an event nor an interaction");
  return {
    id: textMember(message, "id", "Discord"),
    type: INTERACTIONS.get(type) ?? `interaction.${type}`,
    data: message,
  };
}

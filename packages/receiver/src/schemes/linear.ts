/**
 * Linear: `Linear-Signature` is the HMAC-SHA256 of the body in hex; the time of the attempt stands in the body, in milliseconds, and may
 * be a minute away.
 * Source: https://linear.app/developers/webhooks
 */
import { linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { checkMac, type MacHeader, macOf, parseChosenSecret } from "./hmac.ts";
import { bytesOf, type JsonObject, readObject, spliceData, textMember } from "./payload.ts";
import type { Scheme, Verify } from "./scheme.ts";
import { importTextSecrets } from "./text-secret.ts";

const SIGNATURE: MacHeader = { header: "linear-signature", algorithm: "sha256", encoding: "hex", prefix: "" };
const TOLERANCE_SECONDS = 60;

export const linear: Scheme = {
  name: "linear",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  /** `Issue.create` for what was done to an issue; the type alone where nothing was. */
  describe(payload, headers) {
    const event = readObject(payload, "Linear");
    const type = textMember(event, "type", "Linear");
    return {
      id: readHeader(headers, "linear-delivery"),
      type: "action" in event ? `${type}.${textMember(event, "action", "Linear")}` : type,
      data: "data" in event ? event.data : event,
    };
  },
  parseSecret: parseChosenSecret,
  parseSigningSecret: parseChosenSecret,
  /** Without the time of the attempt, which signing adds. */
  compose({ id, type, timestamp, data }) {
    const [, kind = type, action] = /^(.*)\.([^.]*)$/.exec(type) ?? [];
    const event = { action, type: kind, createdAt: timestamp, webhookId: id };
    const before = `${JSON.stringify(event).slice(0, -"}".length)},"data":`;
    return { contentType: "application/json; charset=utf-8", body: spliceData(before, data, "}") };
  },
  sign({ id, url, contentType, body, timestampSeconds }, secrets) {
    const [key] = importTextSecrets(secrets);
    const event = readObject(body, "Linear");
    const timed = timeOf(event) === "" ? withTime(event, body, timestampSeconds * 1000) : body;
    const headers = {
      "content-type": contentType,
      "linear-delivery": id,
      "linear-event": textMember(event, "type", "Linear"),
      [SIGNATURE.header]: macOf(key, SIGNATURE, timed),
    };
    return { method: "POST", url, headers, body: timed };
  },
};

function verifier(secrets: readonly string[]): Verify {
  const keys = importTextSecrets(secrets);
  return ({ headers, body }, { nowSeconds, toleranceSeconds }) => {
    checkRawBody(body);
    checkMac(keys, SIGNATURE, linesOf(headers), body);
    const payload = bytesOf(body);
    const timestampSeconds = checkTimestamp("webhookTimestamp", timeOf(readObject(payload, "Linear")), {
      nowSeconds,
      toleranceSeconds: Math.min(toleranceSeconds, TOLERANCE_SECONDS),
    });
    return { kind: "event", payload, timestampSeconds, acknowledgement: null };
  };
}

/** Unix seconds as text; empty where there are no milliseconds. */
function timeOf({ webhookTimestamp }: JsonObject): string {
  return typeof webhookTimestamp === "number" ? String(Math.floor(webhookTimestamp / 1000)) : "";
}

/** The body as it is, up to its last brace, and one more member. */
function withTime(event: JsonObject, body: Uint8Array, ms: number): Uint8Array {
  const member = `${Object.keys(event).length === 0 ? "" : ","}"webhookTimestamp":${ms}}`;
  return spliceData("", body.subarray(0, body.lastIndexOf(0x7d)), member);
}

/**
 * Square: `x-square-hmacsha256-signature` is the HMAC-SHA256, in base64, of the URL that the webhook was registered with and the body
 * behind it.
 * Source: https://developer.squareup.com/docs/webhooks/step3validate
 */
import { linesOf } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkMac, type MacHeader, macOf, parseChosenSecret } from "./hmac.ts";
import { bytesOf, isObject, readObject, spliceData, textMember } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import { importTextSecrets } from "./text-secret.ts";

const SIGNATURE: MacHeader = {
  header: "x-square-hmacsha256-signature",
  algorithm: "sha256",
  encoding: "base64",
  prefix: "",
};

export const square: Scheme = {
  name: "square",
  strength: "strong",
  signsUrl: true,
  needsSecret: true,
  verifier(secrets) {
    const keys = importTextSecrets(secrets);
    return ({ url, headers, body }) => {
      checkRawBody(body);
      checkMac(keys, SIGNATURE, linesOf(headers), url, body);
      return { kind: "event", payload: bytesOf(body), timestampSeconds: null, acknowledgement: null };
    };
  },
  describe(payload) {
    const event = readObject(payload, "Square");
    const { data = null } = event;
    return {
      id: textMember(event, "event_id", "Square"),
      type: textMember(event, "type", "Square"),
      // Where something was deleted there is no object, only its id.
      data: isObject(data) && "object" in data ? data.object : data,
    };
  },
  parseSecret: parseChosenSecret,
  parseSigningSecret: parseChosenSecret,
  compose({ id, type, timestamp, data }) {
    const [kind = type] = type.split(".");
    const event = { type, event_id: id, created_at: timestamp, data: { type: kind, id } };
    // Up to where the object of the data begins.
    const before = `${JSON.stringify(event).slice(0, -"}}".length)},"object":`;
    return { contentType: "application/json", body: spliceData(before, data, "}}") };
  },
  sign({ url, contentType, body }, secrets) {
    const [key] = importTextSecrets(secrets);
    const headers = { "content-type": contentType, [SIGNATURE.header]: macOf(key, SIGNATURE, url, body) };
    return { method: "POST", url, headers, body };
  },
};

/**
 * GitHub: `X-Hub-Signature-256: sha256=` and the HMAC-SHA256 of the body in hex. Its older header with SHA-1 counts for nothing.
 * Sources: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries and
 * https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
 */
import { Buffer } from "node:buffer";
import { linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkMac, type MacHeader, macOf, parseChosenSecret } from "./hmac.ts";
import { bytesOf, invalidPayload, isObject, type JsonObject, readForm, readJson } from "./payload.ts";
import type { Scheme, SignInput, Verify } from "./scheme.ts";
import { importTextSecrets } from "./text-secret.ts";

const SIGNATURE: MacHeader = {
  header: "x-hub-signature-256",
  algorithm: "sha256",
  encoding: "hex",
  prefix: "sha256=",
};

export const github: Scheme = {
  name: "github",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  /** `issues.opened` where the payload says what was done to the issue, else what the header says, such as `push`. */
  describe(payload, headers) {
    const data = readJson(payload, "GitHub");
    const name = readHeader(headers, "x-github-event");
    const action = isObject(data) ? actionOf(data) : undefined;
    return {
      id: readHeader(headers, "x-github-delivery"),
      type: action === undefined ? name : `${name}.${action}`,
      data,
    };
  },
  parseSecret: parseChosenSecret,
  parseSigningSecret: parseChosenSecret,
  compose: ({ data }) => ({ contentType: "application/json", body: data }),
  sign(input, secrets) {
    const [key] = importTextSecrets(secrets);
    const { id, url, contentType, body } = input;
    const headers = {
      "content-type": contentType,
      "x-github-event": eventNameOf(input),
      "x-github-delivery": id,
      [SIGNATURE.header]: macOf(key, SIGNATURE, body),
    };
    return { method: "POST", url, headers, body };
  },
};

function verifier(secrets: readonly string[]): Verify {
  const keys = importTextSecrets(secrets);
  return ({ headers, body }) => {
    checkRawBody(body);
    const lines = linesOf(headers);
    checkMac(keys, SIGNATURE, lines, body);
    const payload = isForm(body) ? jsonInForm(body) : bytesOf(body);
    return { kind: "event", payload, timestampSeconds: null, acknowledgement: null };
  };
}

/**
 * A webhook's other content type: the same JSON as the one parameter `payload` of a form. The form is what was signed, and what tells
 * it from JSON is in it, not in the header, which anybody may change: no JSON begins with that letter.
 */
function isForm(body: Uint8Array | string): boolean {
  return Buffer.from(body.slice(0, 1)).toString("latin1") === "p";
}

function jsonInForm(body: Uint8Array | string): Uint8Array {
  const { payload } = readForm(body);
  if (typeof payload === "string") return Buffer.from(payload);
  throw invalidPayload("GitHub", "is a form without exactly one payload");
}

function actionOf({ action }: JsonObject): string | undefined {
  return typeof action === "string" && action !== "" ? action : undefined;
}

/** What the header says of `issues.opened`, when the data repeats the `opened`. */
function eventNameOf({ type, body }: SignInput): string {
  if (!type.includes(".")) return type;
  const data = readJson(body, "GitHub");
  const action = isObject(data) ? actionOf(data) : undefined;
  return action !== undefined && type.endsWith(`.${action}`) ? type.slice(0, -action.length - 1) : type;
}

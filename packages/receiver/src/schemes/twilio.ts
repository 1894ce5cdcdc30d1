/**
 * Twilio: HMAC-SHA1 over the whole URL and, of a form, its parameters. The body of anything but a form is covered by its SHA-256,
 * which stands in the query as `bodySHA256`.
 * Source: https://www.twilio.com/docs/usage/security#validating-requests
 */
import { createHash } from "node:crypto";
import { linesOf, readHeader } from "../headers.ts";
import { wholeUrl } from "../query.ts";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { type BatchForm, describeBatch } from "./batch.ts";
import { macOf } from "./hmac.ts";
import {
  bytesOf,
  digestId,
  looksLikeJson,
  optionalText,
  readForm,
  SMALL_BODY_BYTES_MAX,
  shortDigest,
  spliceData,
} from "./payload.ts";
import type { Answer, Description, Scheme, Verify } from "./scheme.ts";
import { importTextSecrets, isOneOf, parseTextSecret } from "./text-secret.ts";

const SIGNATURE = "x-twilio-signature";
const TOKEN = "i-twilio-idempotency-token";
const BODY_HASH = "bodySHA256";
const MAC = { algorithm: "sha1", encoding: "base64", prefix: "" } as const;
/** What has a JSON body are the event streams, lists of CloudEvents. https://www.twilio.com/docs/events/webhook-quickstart */
const BATCH: BatchForm = { sender: "Twilio", mixed: "twilio", id: "id", type: "type" };

export const twilio: Scheme = {
  name: "twilio",
  strength: "weak",
  signsUrl: true,
  needsSecret: true,
  eventsByGet: true,
  bodyBytesMax: SMALL_BODY_BYTES_MAX,
  verifier,
  describe(payload, headers) {
    const token = optionalText(headers(TOKEN)[0]);
    const { id, type, data } = looksLikeJson(payload) ? describeBatch(payload, BATCH) : describeForm(payload);
    return { id: token ?? id, type, data };
  },
  parseSecret: parseTextSecret,
  parseSigningSecret: parseTextSecret,
  compose({ id, type, timestamp, data }) {
    const before = `[{"specversion":"1.0","id":${JSON.stringify(id)},"source":"/","type":${JSON.stringify(type)},"time":${JSON.stringify(timestamp)},"datacontenttype":"application/json","data":`;
    return { contentType: "application/json", body: spliceData(before, data, "}]") };
  },
  /** A JSON body: its hash is added to the URL's query. */
  sign({ id, url, contentType, body }, secrets) {
    const signedUrl = new URL(url);
    signedUrl.searchParams.set(BODY_HASH, hashOf(body));
    const signature = macOf(importTextSecrets(secrets)[0], MAC, signedUrl.href);
    const headers = { "content-type": contentType, [TOKEN]: id, [SIGNATURE]: signature };
    return { method: "POST", url: signedUrl.href, headers, body };
  },
};

function verifier(secrets: readonly string[]): Verify {
  const keys = importTextSecrets(secrets);
  return (request) => {
    const { method, headers, body } = request;
    checkRawBody(body);
    const url = wholeUrl(request.url);
    const signature = readHeader(linesOf(headers), SIGNATURE);
    const bodyHash = url.searchParams.get(BODY_HASH);
    const parameters = bodyHash === null ? signedParameters(body) : "";
    const isSigned = (spelling: string) =>
      keys.some((key) => isOneOf([signature], macOf(key, MAC, spelling, parameters)));
    if (!some(spellingsOf(request.url, url), isSigned)) {
      throw new VerificationError(
        "no_matching_signature",
        "The signature does not match. Check that the secret is the auth token of this account and that the URL is the one entered at Twilio, with scheme, host, path and query.",
      );
    }
    if (bodyHash !== null && !isOneOf([bodyHash], hashOf(body))) {
      throw new VerificationError(
        "digest_mismatch",
        `The body is not the one that ${BODY_HASH} in the URL stands for. Check that it is byte for byte as received.`,
      );
    }
    const payload = bytesOf(method === "GET" ? url.search.slice(1) : body);
    const acknowledgement = looksLikeJson(payload) ? null : emptyTwiml;
    return { kind: "event", payload, timestampSeconds: null, acknowledgement };
  };
}

/** Stops at the first that fits: mostly that is the first of all. */
function some(texts: Iterable<string>, fits: (text: string) => boolean): boolean {
  for (const text of texts) if (fits(text)) return true;
  return false;
}

function hashOf(body: Uint8Array | string): string {
  return createHash("sha256").update(body).digest("hex");
}

/** Names and values one behind the other, sorted; of several equal ones, one. */
function signedParameters(body: Uint8Array | string): string {
  if (looksLikeJson(body)) {
    throw new VerificationError(
      "missing_component",
      `The signature does not cover a JSON body, since the URL has no ${BODY_HASH}. Check that no proxy or framework cuts the query.`,
    );
  }
  const fields = Object.entries(readForm(body)).sort(([a], [b]) => (a < b ? -1 : 1));
  return fields
    .flatMap(([name, values]) => [...new Set([values].flat())].sort().map((value) => name + value))
    .join("");
}

/** Which of them Twilio signs depends on the product: with or without a port, the query as it is or written anew. */
function* spellingsOf(url: string, parsed: URL): Generator<string> {
  const withoutPort = new URL(parsed);
  withoutPort.port = "";
  const { href } = withoutPort;
  const port = parsed.port || (parsed.protocol === "https:" ? "443" : "80");
  const path = href.indexOf("/", href.indexOf("//") + 2);
  const withPort = `${href.slice(0, path)}:${port}${href.slice(path)}`;
  yield* [url, href, withPort];
  if (parsed.search !== "") yield* [withLegacyQuery(href), withLegacyQuery(withPort)];
}

/** The query as older products write it: parameters of one name together, spaces as %20. */
function withLegacyQuery(url: string): string {
  const query = url.indexOf("?") + 1;
  const parameters = Object.entries(readForm(url.slice(query))).flatMap(([name, values]) =>
    [values].flat().map((value) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`),
  );
  return url.slice(0, query) + parameters.join("&");
}

/** Without a body of this kind Twilio notes error 12300 for messages and calls. */
function emptyTwiml(): Answer {
  return { status: 200, headers: { "content-type": "text/xml; charset=utf-8" }, body: "<Response/>" };
}

/** One call asks many things (`<Gather>`, recordings) in one status: a hash tells them apart, and a repetition has the same one. */
function describeForm(payload: Uint8Array): Description {
  const form = readForm(payload);
  const hash = shortDigest(payload);
  const message = optionalText(form.MessageSid);
  if (message !== null) {
    const status = optionalText(form.MessageStatus) ?? optionalText(form.SmsStatus) ?? "received";
    return { id: `${message}:${status}:${hash}`, type: `message.${status}`, data: form };
  }
  const call = optionalText(form.CallSid);
  if (call === null) return { id: digestId(payload), type: "twilio", data: form };
  const status = optionalText(form.CallStatus) ?? "unknown";
  const number = optionalText(form.SequenceNumber);
  return {
    id: [call, status, ...(number ? [number] : []), hash].join(":"),
    type: `call.${status}`,
    data: form,
  };
}

/**
 * WebSub: a hub asks with a GET whether it was us who subscribed, and then sends `X-Hub-Signature`, a method and an HMAC of the body in
 * hex. The method is the hub's choice of four, SHA-1 among them.
 * Source: https://www.w3.org/TR/websub/, 5.3 and 7.1
 */
import { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import { type HeaderLines, linesOf, optionalHeader, readHeader } from "../headers.ts";
import { queryOf, readParameter } from "../query.ts";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { textAnswer } from "./answer.ts";
import { checkMac, chosen, type MacHeader, macOf, parseTextOrParts } from "./hmac.ts";
import { bytesOf, digestId, readJson } from "./payload.ts";
import type { Scheme, Verified, Verify } from "./scheme.ts";
import { importTextSecrets } from "./text-secret.ts";

/** `topics`: what we subscribed to and may be asked about. Without them no subscription is confirmed. */
export type WebSubSecret = string | { readonly secret: string; readonly topics?: readonly string[] };

const FORM = '{"secret":"...","topics":["https://..."]}';
const HEADER = "x-hub-signature";
const METHODS = ["sha1", "sha256", "sha384", "sha512"] as const;
/** 5.1: `hub.secret` is less than 200 bytes long. */
const SECRET_BYTES_MAX = 199;

export const websub: Scheme<WebSubSecret> = {
  name: "websub",
  strength: "weak",
  signsUrl: false,
  needsSecret: true,
  handshakesByGet: true,
  verifier,
  /**
   * The content of a topic, in whatever form it has: JSON is parsed, all else is text. Neither id nor type comes with it, so the same
   * content of the same topic is the same event.
   */
  describe(payload, headers) {
    const id = digestId(Buffer.concat([Buffer.from(`${topicOf(headers)}\n`), payload]));
    return { id, type: "websub", data: contentOf(payload, headers) };
  },
  parseSecret,
  parseSigningSecret: parseSecret,
  compose: ({ data }) => ({ contentType: "application/json", body: data }),
  sign({ url, contentType, body }, secrets) {
    const [key] = importKeys(secrets);
    const headers = { "content-type": contentType, [HEADER]: macOf(key, formOf("sha256"), body) };
    return { method: "POST", url, headers, body };
  },
};

function verifier(secrets: readonly WebSubSecret[]): Verify {
  const keys = importKeys(secrets);
  const topics = new Set(
    secrets.flatMap((secret) => (typeof secret === "string" ? [] : (secret.topics ?? []))),
  );
  return ({ method, url, headers, body }) => {
    if (method === "GET") return answerTo(url, topics);
    checkRawBody(body);
    const lines = linesOf(headers);
    checkMac(keys, formOf(methodOf(readHeader(lines, HEADER))), lines, body);
    return { kind: "event", payload: bytesOf(body), timestampSeconds: null, acknowledgement: null };
  };
}

/** 5.3: the challenge comes back only for a topic that is ours. 5.2: that a hub denied a subscription is heard, whichever it was. */
function answerTo(url: string, topics: ReadonlySet<string>): Verified {
  const query = queryOf(url);
  const mode = readParameter(query, "hub.mode");
  const topic = readParameter(query, "hub.topic");
  if (mode === "denied") return { kind: "handshake", answer: textAnswer("") };
  const challenge = readParameter(query, "hub.challenge");
  if ((mode === "subscribe" || mode === "unsubscribe") && topics.has(topic))
    return { kind: "handshake", answer: textAnswer(challenge) };
  throw new VerificationError(
    "no_matching_signature",
    topics.size === 0
      ? `A hub asks whether it was us who subscribed, and no topic was given: the secret must be ${FORM}.`
      : "hub.mode is neither subscribe nor unsubscribe, or hub.topic is none of the topics that were given.",
  );
}

function methodOf(signature: string): MacHeader["algorithm"] {
  const method = METHODS.find((name) => signature.startsWith(`${name}=`));
  if (method !== undefined) return method;
  throw new VerificationError("invalid_header", `${HEADER} must begin with one of ${METHODS.join("=, ")}=.`);
}

function formOf(algorithm: MacHeader["algorithm"]): MacHeader {
  return { header: HEADER, algorithm, encoding: "hex", prefix: `${algorithm}=` };
}

/** 7: `Link: <topic>; rel="self"`. Not signed. "" without one. */
function topicOf(headers: HeaderLines): string {
  for (const [, target = "", parameters = ""] of headers("link")
    .join(", ")
    .matchAll(/<([^<>]*)>([^<]*)/g)) {
    if (/;\s*rel="?([^";]*\s)?self\b/i.test(parameters)) return target;
  }
  return "";
}

function contentOf(payload: Uint8Array, headers: HeaderLines): unknown {
  const contentType = optionalHeader(headers, "content-type") ?? "";
  if (/^application\/([a-z0-9.-]+\+)?json\b/i.test(contentType)) return readJson(payload, "WebSub");
  return new TextDecoder().decode(payload);
}

function importKeys(secrets: readonly WebSubSecret[]): readonly [KeyObject, ...KeyObject[]] {
  return importTextSecrets(
    secrets.map((secret) => checked(typeof secret === "string" ? secret : secret?.secret)),
  );
}

function checked(secret: unknown): string {
  const text = chosen(secret);
  if (new TextEncoder().encode(text).length <= SECRET_BYTES_MAX) return text;
  throw new VerificationError("invalid_secret", `A secret of WebSub has at most ${SECRET_BYTES_MAX} bytes.`);
}

/** The secret, or `{"secret","topics":["https://..."]}`. */
function parseSecret(text: string): WebSubSecret {
  const parts = parseTextOrParts(text, FORM);
  if (typeof parts === "string") return checked(parts);
  const { secret, topics = [] } = parts;
  if (Array.isArray(topics) && topics.every((topic) => typeof topic === "string")) {
    return { secret: checked(secret), topics };
  }
  throw new VerificationError("invalid_secret", "topics must be a list of URLs.");
}

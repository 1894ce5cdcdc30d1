/**
 * Meta (Facebook, Instagram, WhatsApp): `X-Hub-Signature-256: sha256=` and the HMAC-SHA256 of the body in hex, with the app secret. Before
 * the first event it asks with a GET whether it has the right address, and proves itself by a token that the app chose.
 * Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started
 */
import { linesOf } from "../headers.ts";
import { queryOf, readParameter } from "../query.ts";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { textAnswer } from "./answer.ts";
import { checkMac, chosen, isSameText, type MacHeader, macOf, parseTextOrParts } from "./hmac.ts";
import { bytesOf, digestId, readObject, spliceData, textMember, unixSecondsOf } from "./payload.ts";
import type { Scheme, Verified, Verify } from "./scheme.ts";
import { importTextSecrets } from "./text-secret.ts";

/** The app secret alone answers no question of a GET. */
export type MetaSecret = string | { readonly appSecret: string; readonly verifyToken: string };

const FORM = '{"appSecret":"...","verifyToken":"..."}';
const SIGNATURE: MacHeader = {
  header: "x-hub-signature-256",
  algorithm: "sha256",
  encoding: "hex",
  prefix: "sha256=",
};

export const meta: Scheme<MetaSecret> = {
  name: "meta",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  handshakesByGet: true,
  verifier,
  /** One request may hold changes of several things: the type is what they are of, such as `page`. Meta gives it no id, and its attempts repeat the bytes. */
  describe(payload) {
    const data = readObject(payload, "Meta");
    return { id: digestId(payload), type: textMember(data, "object", "Meta"), data };
  },
  parseSecret,
  parseSigningSecret: parseSecret,
  compose({ id, type, timestamp, data }) {
    const entry = `{"id":${JSON.stringify(id)},"time":${unixSecondsOf(timestamp)},"changes":[{"field":${JSON.stringify(type)},"value":`;
    const before = `{"object":${JSON.stringify(type)},"entry":[${entry}`;
    return { contentType: "application/json", body: spliceData(before, data, "}]}]}") };
  },
  sign({ url, contentType, body }, secrets) {
    const [key] = importTextSecrets(secrets.map(appSecretOf));
    const headers = { "content-type": contentType, [SIGNATURE.header]: macOf(key, SIGNATURE, body) };
    return { method: "POST", url, headers, body };
  },
};

function verifier(secrets: readonly MetaSecret[]): Verify {
  const keys = importTextSecrets(secrets.map(appSecretOf));
  const tokens = secrets.flatMap((secret) =>
    typeof secret === "string" ? [] : [chosen(secret.verifyToken)],
  );
  return ({ method, url, headers, body }) => {
    if (method === "GET") return answerTo(url, tokens);
    checkRawBody(body);
    checkMac(keys, SIGNATURE, linesOf(headers), body);
    return { kind: "event", payload: bytesOf(body), timestampSeconds: null, acknowledgement: null };
  };
}

function answerTo(url: string, tokens: readonly string[]): Verified {
  const query = queryOf(url);
  const mode = readParameter(query, "hub.mode");
  const given = readParameter(query, "hub.verify_token");
  const challenge = readParameter(query, "hub.challenge");
  if (mode === "subscribe" && tokens.some((token) => isSameText(given, token)))
    return { kind: "handshake", answer: textAnswer(challenge) };
  throw new VerificationError(
    "no_matching_signature",
    tokens.length === 0
      ? 'Meta asks for this address to be confirmed, and no verify token was given: the secret must be {"appSecret":"...","verifyToken":"..."}.'
      : "hub.mode is not subscribe, or hub.verify_token is not the token of this app. Check that both sides were given the same.",
  );
}

function appSecretOf(secret: MetaSecret): string {
  return typeof secret === "string" ? secret : secret?.appSecret;
}

/** The app secret, or `{"appSecret","verifyToken"}`. */
function parseSecret(text: string): MetaSecret {
  const parts = parseTextOrParts(text, FORM);
  if (typeof parts === "string") return parts;
  return { appSecret: chosen(parts.appSecret), verifyToken: chosen(parts.verifyToken) };
}

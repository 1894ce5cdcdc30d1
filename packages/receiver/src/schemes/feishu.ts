/**
 * Feishu and Lark: `X-Lark-Signature` is SHA-256 (no HMAC) over timestamp, nonce, Encrypt Key and body; the body is
 * `{"encrypt"}`, AES-256-CBC. Without an Encrypt Key there is no signature, only the Verification Token in each event.
 * Source: https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case
 */
import { Buffer } from "node:buffer";
import { type HeaderLines, linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { jsonAnswer } from "./answer.ts";
import { type FeishuKeys, type FeishuSecret, hasToken, importFeishu, parseFeishu } from "./feishu-secret.ts";
import { replaceMember } from "./json-member.ts";
import {
  bytesOf,
  holds,
  invalidPayload,
  isObject,
  type JsonObject,
  objectOrNull,
  optionalText,
  readObject,
  SMALL_BODY_BYTES_MAX,
  spliceData,
  textMember,
  unixSecondsOf,
} from "./payload.ts";
import type { Clock, Description, Scheme, SignedRequest, SignInput, Verified, Verify } from "./scheme.ts";
import { isOneOf } from "./text-secret.ts";
import { randomNonce } from "./wechat-aes.ts";

const SIGNATURE = "x-lark-signature";
const TIMESTAMP = "x-lark-request-timestamp";
const NONCE = "x-lark-request-nonce";
const URL_VERIFICATION = "url_verification";
/** A random text. Nothing else is echoed: see `openUnsignedQuestion`. */
const CHALLENGE = /^[A-Za-z0-9_-]{1,256}$/;

/** A secret without an Encrypt Key makes it no stronger than a password that is sent along. */
export const feishu: Scheme<FeishuSecret> = {
  name: "feishu",
  strength: "weak",
  signsUrl: false,
  needsSecret: true,
  bodyBytesMax: SMALL_BODY_BYTES_MAX,
  verifier,
  describe,
  parseSecret: parseFeishu,
  parseSigningSecret: parseFeishu,
  compose({ id, type, timestamp, data }) {
    const header = {
      ...{ event_id: id, event_type: type, create_time: String(unixSecondsOf(timestamp) * 1000) },
      ...{ token: "", app_id: "", tenant_key: "" },
    };
    const before = `{"schema":"2.0","header":${JSON.stringify(header)},"event":`;
    return { contentType: "application/json; charset=utf-8", body: spliceData(before, data, "}") };
  },
  sign: (input, secrets) => sign(input, importFeishu(secrets)[0]),
};

function verifier(secrets: readonly FeishuSecret[]): Verify {
  const keys = importFeishu(secrets);
  const withCrypt = keys.filter(({ crypt }) => crypt !== null);
  const withTokenOnly = keys.filter(({ crypt }) => crypt === null);
  return (request, clock) => {
    checkRawBody(request.body);
    const lines = linesOf(request.headers);
    const body = bytesOf(request.body);
    const isSigned = lines(SIGNATURE).length > 0;
    const verified =
      openWithToken(body, withTokenOnly) ??
      (isSigned ? openSigned(lines, body, withCrypt, clock) : openUnsignedQuestion(body, withCrypt));
    if (verified !== undefined) return verified;
    // Throws that it is missing.
    if (!isSigned && withCrypt.length > 0) readHeader(lines, SIGNATURE);
    throw new VerificationError(
      "no_matching_signature",
      "The signature or the token does not fit, or the body cannot be decrypted. Check Encrypt Key and Verification Token against the console, and that the body is byte for byte as received.",
    );
  };
}

function openSigned(
  lines: HeaderLines,
  body: Uint8Array,
  keys: readonly FeishuKeys[],
  clock: Clock,
): Verified | undefined {
  if (keys.length === 0) return undefined;
  const signature = readHeader(lines, SIGNATURE);
  const timestamp = readHeader(lines, TIMESTAMP);
  const nonce = readHeader(lines, NONCE);
  const timestampSeconds = checkTimestamp(TIMESTAMP, timestamp, clock);
  for (const key of keys) {
    const expected = key.crypt?.sign(timestamp, nonce, body);
    if (expected === undefined || !isOneOf([signature], expected)) continue;
    const payload = decrypt(key, body);
    const verified = payload && accept(payload, key, timestampSeconds);
    if (verified !== undefined) return verified;
  }
  return undefined;
}

/**
 * The question of the console comes without a signature, encrypted or not (Feishu's own kits answer it before they look for one). It is
 * the one thing that is opened unsigned, and CBC lets strangers move blocks of other messages into it: so only a challenge that is a
 * plain random text is echoed, which a block in the wrong place makes all but impossible (1 in 10^9), and whatever fails is
 * answered as a request whose signature is missing.
 */
function openUnsignedQuestion(body: Uint8Array, keys: readonly FeishuKeys[]): Verified | undefined {
  for (const key of keys) {
    const payload = decrypt(key, body);
    const verified = payload && accept(payload, key, null);
    if (verified?.kind === "handshake") return verified;
  }
  return undefined;
}

function openWithToken(body: Uint8Array, keys: readonly FeishuKeys[]): Verified | undefined {
  for (const key of keys) {
    const verified = accept(body, key, null);
    if (verified !== undefined) return verified;
  }
  return undefined;
}

/** A body without `encrypt` is one that was not encrypted. */
function decrypt({ crypt }: FeishuKeys, body: Uint8Array): Uint8Array | undefined {
  const encrypted = objectOrNull(body)?.encrypt;
  if (encrypted === undefined) return body;
  return typeof encrypted === "string" ? crypt?.open(encrypted) : undefined;
}

/** Undefined when the token is missing or wrong, or the challenge is none. */
function accept(payload: Uint8Array, key: FeishuKeys, timestampSeconds: number | null): Verified | undefined {
  const mayBeQuestion = holds(payload, URL_VERIFICATION);
  const message = mayBeQuestion || key.verificationToken !== null ? objectOrNull(payload) : null;
  if (!hasToken(key, tokenOf(message))) return undefined;
  if (message?.type !== URL_VERIFICATION) {
    return { kind: "event", payload, timestampSeconds, acknowledgement: null };
  }
  const challenge = optionalText(message.challenge);
  if (challenge === null || !CHALLENGE.test(challenge)) return undefined;
  return { kind: "handshake", answer: jsonAnswer({ challenge }) };
}

/** In the header of an event of schema 2.0, at the top of one of 1.0 and of the question. */
function tokenOf(message: JsonObject | null): unknown {
  return isObject(message?.header) ? message.header.token : message?.token;
}

/** @throws VerificationError `invalid_payload` */
function describe(payload: Uint8Array): Description {
  const message = readObject(payload, "Feishu");
  const { header, event } = message;
  if (isObject(header)) {
    const id = textMember(header, "event_id", "Feishu");
    return { id, type: textMember(header, "event_type", "Feishu"), data: event ?? null };
  }
  if (!isObject(event))
    throw invalidPayload("Feishu", "has neither a header (schema 2.0) nor an event (1.0)");
  return { id: optionalText(message.uuid), type: textMember(event, "type", "Feishu"), data: event };
}

function sign(input: SignInput, { crypt, verificationToken }: FeishuKeys): SignedRequest {
  const message = withToken(input.body, verificationToken);
  const body = crypt === null ? message : Buffer.from(JSON.stringify({ encrypt: crypt.seal(message) }));
  const timestamp = String(input.timestampSeconds);
  const nonce = randomNonce();
  const signed: Readonly<Record<string, string>> =
    crypt === null
      ? {}
      : { [TIMESTAMP]: timestamp, [NONCE]: nonce, [SIGNATURE]: crypt.sign(timestamp, nonce, body) };
  return {
    method: "POST",
    url: input.url,
    headers: { "content-type": input.contentType, ...signed },
    body,
  };
}

/** The event as it is, but for the token in its header. */
function withToken(body: Uint8Array, token: string | null): Uint8Array {
  const header = token === null ? null : objectOrNull(body)?.header;
  if (!isObject(header)) return body;
  const text = Buffer.from(body).toString();
  return Buffer.from(replaceMember(text, "header", JSON.stringify({ ...header, token })));
}

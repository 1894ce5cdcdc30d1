/**
 * DingTalk's HTTP callbacks: the query holds SHA-1 over the sorted token, timestamp (in milliseconds), nonce and encrypted message, the
 * body is `{"encrypt"}`. Each request, the question of the console among them, is to be answered within 1.5 s with an encrypted
 * `success`; DingTalk takes anything else for a failure.
 * Source: https://open.dingtalk.com/document/orgapp/configure-event-subcription
 */
import { Buffer } from "node:buffer";
import { queryOf, readParameter, withParameters } from "../query.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { isSuccessStatus, jsonAnswer } from "./answer.ts";
import {
  bytesOf,
  digestId,
  holds,
  objectOrNull,
  optionalText,
  readObject,
  SMALL_BODY_BYTES_MAX,
  spliceData,
  textMember,
  unixSecondsOf,
} from "./payload.ts";
import type { Clock, Scheme, Verify } from "./scheme.ts";
import {
  importWechatAes,
  openSealed,
  parseWechatAes,
  randomNonce,
  type WechatAesSecret,
  type WechatCrypt,
} from "./wechat-aes.ts";

const SUCCESS = "success";
const CHECK_URL = "check_url";
const UNIX_MILLISECONDS = /^\d{13}$/;

/** `receiveId` is the app key of an app of one's own, the suite key of a third-party app, or else the corp id. */
export const dingtalk: Scheme<WechatAesSecret> = {
  name: "dingtalk",
  strength: "weak",
  signsUrl: false,
  needsSecret: true,
  bodyBytesMax: SMALL_BODY_BYTES_MAX,
  verifier,
  describe(payload) {
    const event = readObject(payload, "DingTalk");
    const type = textMember(event, "EventType", "DingTalk");
    const id = optionalText(event.eventId);
    if (id !== null && "data" in event) return { id, type, data: event.data };
    // DingTalk's own events over HTTP have no id, and their fields stand beside EventType. Its attempts repeat them.
    return { id: id ?? digestId(payload), type, data: event };
  },
  parseSecret: parseWechatAes,
  parseSigningSecret: parseWechatAes,
  compose({ id, type, timestamp, data }) {
    const timeStamp = String(unixSecondsOf(timestamp) * 1000);
    const head = JSON.stringify({ EventType: type, eventId: id, TimeStamp: timeStamp });
    return { contentType: "application/json", body: spliceData(`${head.slice(0, -1)},"data":`, data, "}") };
  },
  sign({ url, contentType, body, timestampSeconds }, secrets) {
    const { msg_signature, timeStamp, nonce, encrypt } = seal(
      importWechatAes(secrets)[0],
      body,
      timestampSeconds,
    );
    const parameters = { msg_signature, signature: msg_signature, timestamp: timeStamp, nonce };
    return {
      method: "POST",
      url: withParameters(url, parameters),
      headers: { "content-type": contentType },
      body: Buffer.from(JSON.stringify({ encrypt })),
    };
  },
  isAcknowledged({ status, body }, secrets) {
    return isSuccessStatus(status) && opensToSuccess(body, importWechatAes(secrets));
  },
};

function verifier(secrets: readonly WechatAesSecret[]): Verify {
  const crypts = importWechatAes(secrets);
  return ({ url, body }, clock) => {
    checkRawBody(body);
    const query = queryOf(url);
    const timestamp = readParameter(query, "timestamp");
    const nonce = readParameter(query, "nonce");
    // Both are sent; older descriptions have the second alone.
    const signature = readParameter(query, query.has("msg_signature") ? "msg_signature" : "signature");
    const timestampSeconds = checkMilliseconds(timestamp, clock);
    const encrypted = readEncrypt(bytesOf(body));
    const { message, crypt } = openSealed(crypts, { timestamp, nonce, encrypted, signature });
    // In the name of the one whom the message was for: during a rotation the other keys are unknown to DingTalk.
    const acknowledgement = () => jsonAnswer(seal(crypt, Buffer.from(SUCCESS), clock.nowSeconds));
    return isCheck(message)
      ? { kind: "handshake", answer: acknowledgement() }
      : { kind: "event", payload: message, timestampSeconds, acknowledgement };
  };
}

function checkMilliseconds(timestamp: string, clock: Clock): number {
  if (UNIX_MILLISECONDS.test(timestamp)) {
    return checkTimestamp("timestamp in the query", String(Math.floor(Number(timestamp) / 1000)), clock);
  }
  throw new VerificationError(
    "invalid_timestamp",
    "timestamp in the query must be unix milliseconds, 13 digits. Check that no proxy changes the query.",
  );
}

function readEncrypt(body: Uint8Array): string {
  const encrypt = optionalText(objectOrNull(body)?.encrypt);
  if (encrypt !== null) return encrypt;
  throw new VerificationError(
    "invalid_payload",
    'The body is not {"encrypt":"..."}. Check that the request comes from DingTalk and that the body is byte for byte as received.',
  );
}

function isCheck(message: Uint8Array): boolean {
  return holds(message, CHECK_URL) && objectOrNull(message)?.EventType === CHECK_URL;
}

/** In the names that DingTalk gives to the parts of an answer. */
function seal(crypt: WechatCrypt, message: Uint8Array, nowSeconds: number) {
  const timeStamp = String(Math.floor(nowSeconds) * 1000);
  const nonce = randomNonce();
  const encrypt = crypt.seal(message);
  return { msg_signature: crypt.sign(timeStamp, nonce, encrypt), timeStamp, nonce, encrypt };
}

function opensToSuccess(body: string, crypts: readonly WechatCrypt[]): boolean {
  const answer = objectOrNull(Buffer.from(body));
  const encrypted = optionalText(answer?.encrypt);
  const nonce = optionalText(answer?.nonce);
  const signature = optionalText(answer?.msg_signature);
  // Some of DingTalk's own kits write it as a number.
  const timestamp = String(answer?.timeStamp);
  if (encrypted === null || nonce === null || signature === null) return false;
  try {
    return openSealed(crypts, { timestamp, nonce, encrypted, signature }).message.toString() === SUCCESS;
  } catch {
    return false;
  }
}

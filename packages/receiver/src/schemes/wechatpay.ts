/**
 * WeChat Pay, API v3: `Wechatpay-Signature` is RSA-SHA256 over `timestamp\nnonce\nbody\n`, made with the key that `Wechatpay-Serial` names;
 * the `resource` of the body is encrypted with AES-256-GCM under the merchant's APIv3 key.
 * Source: https://pay.weixin.qq.com/doc/v3/merchant/4012071382
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { bytesOf, readObject, spliceData, textMember } from "./payload.ts";
import { signRsa, verifyRsa } from "./rsa-sha256.ts";
import type { Scheme, SignedRequest, SignInput, Verify } from "./scheme.ts";
import { checkSome } from "./secret-parts.ts";
import { openResource, sealResource } from "./wechatpay-resource.ts";
import {
  importSigningSecret,
  importWechatPaySecret,
  parseSigningSecret,
  parseWechatPaySecret,
  type WechatPaySecret,
  type WechatPaySigningSecret,
} from "./wechatpay-secret.ts";

const SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048";
export const wechatPay: Scheme<WechatPaySecret, WechatPaySigningSecret> = {
  name: "wechatpay",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  describe(payload) {
    const notification = readObject(payload, "WeChat Pay");
    const id = textMember(notification, "id", "WeChat Pay");
    return { id, type: textMember(notification, "event_type", "WeChat Pay"), data: notification.resource };
  },
  parseSecret: parseWechatPaySecret,
  parseSigningSecret,
  compose({ id, type, timestamp, data }) {
    const head = { id, create_time: timestamp, resource_type: "encrypt-resource", event_type: type };
    const before = JSON.stringify({ ...head, summary: type }).slice(0, -1);
    return { contentType: "application/json", body: spliceData(`${before},"resource":`, data, "}") };
  },
  sign: (input, secrets) => sign(input, checkSome(secrets)[0]),
  isAcknowledged: ({ status }) => status === 200 || status === 204,
  refusal: (message) => JSON.stringify({ code: "FAIL", message }),
};

function verifier(secrets: readonly WechatPaySecret[]): Verify {
  const keys = checkSome(secrets).map(importWechatPaySecret);
  return ({ headers, body }, clock) => {
    checkRawBody(body);
    const lines = linesOf(headers);
    const signature = readHeader(lines, "wechatpay-signature");
    const timestamp = readHeader(lines, "wechatpay-timestamp");
    const nonce = readHeader(lines, "wechatpay-nonce");
    const serial = readHeader(lines, "wechatpay-serial").toUpperCase();
    checkSignatureType(lines("wechatpay-signature-type"));
    const timestampSeconds = checkTimestamp("wechatpay-timestamp", timestamp, clock);
    const content = contentOf(timestamp, nonce, body);
    const candidates = keys.filter((key) => key.serial === serial);
    for (const key of candidates) {
      // A probe (WECHATPAY/SIGNTEST/ before the signature) is no base64 of one, and fails here like any wrong signature.
      if (!verifyRsa(key.publicKey, content, signature)) continue;
      const payload = key.apiV3Key === null ? bytesOf(body) : openResource(bytesOf(body), key.apiV3Key);
      if (payload !== undefined) return { kind: "event", payload, timestampSeconds, acknowledgement: null };
    }
    throw new VerificationError(
      "no_matching_signature",
      candidates.length === 0
        ? "wechatpay-serial names none of the keys given. WeChat Pay may have changed its key: download the new platform certificate or public key, and give both for a while."
        : "The signature does not fit, or the resource cannot be opened. Check that the public key is WeChat Pay's and not the merchant's, that the APIv3 key is the merchant's present one, and that the body is byte for byte as received.",
    );
  };
}

function contentOf(timestamp: string, nonce: string, body: Uint8Array | string): Uint8Array {
  return Buffer.concat([Buffer.from(`${timestamp}\n${nonce}\n`), bytesOf(body), Buffer.from("\n")]);
}

/** The header is newer than the scheme, so it may be missing. */
function checkSignatureType(types: readonly string[]): void {
  if (types.every((type) => type === SIGNATURE_TYPE)) return;
  throw new VerificationError(
    "algorithm_mismatch",
    `wechatpay-signature-type is not ${SIGNATURE_TYPE}, the only one that is verified here.`,
  );
}

function sign(
  { url, contentType, body, timestampSeconds }: SignInput,
  secret: WechatPaySigningSecret,
): SignedRequest {
  const { serial, privateKey, apiV3Key } = importSigningSecret(secret);
  const sealed = sealResource(body, apiV3Key);
  const timestamp = String(timestampSeconds);
  const nonce = randomBytes(16).toString("hex");
  const headers = {
    "content-type": contentType,
    "wechatpay-timestamp": timestamp,
    "wechatpay-nonce": nonce,
    "wechatpay-serial": serial,
    "wechatpay-signature": signRsa(privateKey, contentOf(timestamp, nonce, sealed)),
    "wechatpay-signature-type": SIGNATURE_TYPE,
  };
  return { method: "POST", url, headers, body: sealed };
}

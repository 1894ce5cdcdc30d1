// The checks for WeChat, WeCom, DingTalk, WeChat Pay, Alipay and Feishu. Where a vector has only one step of a scheme (what is encrypted
// without its signature, say), the check adds the others, so that the vector goes through the scheme all the same.
import { generateKeyPairSync } from "node:crypto";
import { VerificationError } from "../src/index.ts";
import { alipay } from "../src/schemes/alipay.ts";
import { dingtalk } from "../src/schemes/dingtalk.ts";
import { feishu } from "../src/schemes/feishu.ts";
import { importFeishu } from "../src/schemes/feishu-secret.ts";
import { importRsaPublicKey, signRsa, verifyRsa } from "../src/schemes/rsa-sha256.ts";
import type { IncomingRequest, Scheme, Verified } from "../src/schemes/scheme.ts";
import { importWechatAes, type WechatAesSecret } from "../src/schemes/wechat-aes.ts";
import { wechatPlain } from "../src/schemes/wechat-mp-plain.ts";
import { wechatPay } from "../src/schemes/wechatpay.ts";
import { wecom } from "../src/schemes/wecom.ts";
import type { Check, Vector } from "./vector-checks.ts";

const URL_OF_ENDPOINT = "https://receiver.example/hooks";
const SIGNED_AT = 1_700_000_000;

export const CHINESE_CHECKS: readonly (readonly [string, Check])[] = [
  ["wechat-mp-plain", checkWechatPlain],
  ["wechat-aes", checkWechatAes],
  ["wechatpay-signature", checkWechatPaySignature],
  ["wechatpay-aead", checkWechatPayResource],
  ["rsa-sha256-raw", checkRsa],
  ["alipay", checkAlipay],
  ["feishu-signature", checkFeishuSignature],
  ["feishu-decrypt", checkFeishuDecryption],
];

function accept<Secret>(
  scheme: Pick<Scheme<Secret, unknown>, "verifier">,
  secret: Secret,
  request: Partial<IncomingRequest>,
  nowSeconds: number,
): Verified {
  const whole = { method: "POST", url: URL_OF_ENDPOINT, headers: {}, body: "", ...request };
  return scheme.verifier([secret])(whole, { nowSeconds, toleranceSeconds: 300 });
}

function textOf(verified: Verified): string {
  return verified.kind === "handshake" ? verified.answer.body : Buffer.from(verified.payload).toString();
}

function requestOf({ query = {}, body, headers }: Vector): IncomingRequest {
  const url = `${URL_OF_ENDPOINT}?${new URLSearchParams(query)}`;
  return { method: body === "" ? "GET" : "POST", url, headers, body };
}

function checkWechatPlain(vector: Vector): string {
  const nowSeconds = Number(vector.query?.timestamp);
  return textOf(
    accept(wechatPlain, wechatPlain.parseSecret(vector.secret as string), requestOf(vector), nowSeconds),
  );
}

/** WeCom's timestamps are seconds, DingTalk's are milliseconds. */
function checkWechatAes(vector: Vector): string {
  const time = Number(vector.query?.timestamp);
  const secret = vector.secret as WechatAesSecret;
  if (time < 1e12) return textOf(accept(wecom, secret, requestOf(vector), time));
  const verified = accept(dingtalk, secret, requestOf(vector), Math.floor(time / 1000));
  const isRight = verified.kind === "handshake" && dingtalk.isAcknowledged?.(verified.answer, [secret]);
  if (!isRight) throw new Error("a question was not answered with success");
  // The answer does not repeat the question, so what was in that is read from it once more.
  return (
    importWechatAes([secret])[0]
      .open(vector.encrypt ?? "")
      ?.toString() ?? ""
  );
}

function checkWechatPaySignature({ headers, body, secret, now = 0 }: Vector): undefined {
  const publicKey = secret as string;
  const serial = headers["Wechatpay-Serial"] ?? "";
  // The resource in these is no ciphertext.
  accept(wechatPay, { serial, publicKey, apiV3Key: null }, { headers, body }, now);
}

/** Signed here: the scheme would encrypt the resource once more. */
function checkWechatPayResource({ body, secret }: Vector): string {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const serial = "PUB_KEY_ID_1";
  const headers = {
    "Wechatpay-Timestamp": String(SIGNED_AT),
    "Wechatpay-Nonce": "nonce",
    "Wechatpay-Serial": serial,
    "Wechatpay-Signature": signRsa(privateKey, Buffer.from(`${SIGNED_AT}\nnonce\n${body}\n`)),
  };
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const keys = { serial, publicKey: pem, apiV3Key: secret as string };
  const payload = textOf(accept(wechatPay, keys, { headers, body }, SIGNED_AT));
  return payload.slice('{"resource":'.length, -1);
}

function checkRsa({ secret, headers, body }: Vector): undefined {
  const key = importRsaPublicKey(secret, "The key");
  if (verifyRsa(key, Buffer.from(body), headers.signature ?? "")) return;
  throw new VerificationError("no_matching_signature", "the signature does not fit");
}

function checkAlipay({ secret, headers, body }: Vector): undefined {
  accept(alipay, alipay.parseSecret(secret as string), { headers, body }, SIGNED_AT);
}

function checkFeishuSignature({ secret, headers, body, now }: Vector): undefined {
  const nowSeconds = now ?? Number(headers["X-Lark-Request-Timestamp"]);
  accept(feishu, feishu.parseSecret(secret as string), { headers, body }, nowSeconds);
}

/** Signed with the key that decrypts, so that a wrong one gets as far as the ciphertext. */
function checkFeishuDecryption({ secret, body }: Vector): string {
  const key = feishu.parseSecret(secret as string);
  const [{ crypt }] = importFeishu([key]);
  const headers = {
    "X-Lark-Request-Timestamp": String(SIGNED_AT),
    "X-Lark-Request-Nonce": "nonce",
    "X-Lark-Signature": crypt?.sign(String(SIGNED_AT), "nonce", Buffer.from(body)) ?? "",
  };
  return textOf(accept(feishu, key, { headers, body }, SIGNED_AT));
}

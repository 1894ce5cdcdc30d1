/**
 * Alipay's asynchronous notifications: a form, `sign` in it is RSA-SHA256 (`RSA2`) over its other decoded fields but `sign_type`, sorted
 * by name, as `name=value` with `&` between. Alipay asks seven times more (after 2 min to 15 h) until the answer is exactly `success`.
 * Source: https://opendocs.alipay.com/open/270/105902
 */
import { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { type AlipayForm, formField, readAlipayForm, textFields } from "./alipay-form.ts";
import { isSuccessStatus, textAnswer } from "./answer.ts";
import { bytesOf, invalidPayload, SMALL_BODY_BYTES_MAX } from "./payload.ts";
import { importRsaPrivateKey, importRsaPublicKey, signRsa, verifyRsa } from "./rsa-sha256.ts";
import type { Composition, OutgoingEvent, Scheme, Verify } from "./scheme.ts";
import { checkParts, checkSome, parseParts, textPart, trimmed } from "./secret-parts.ts";

const SIGN_TYPE = "RSA2";
/** Demanded, since a field before it could otherwise swallow it (see `contentOf`), and the same notification would have no id. */
const NOTIFY_ID = /^[A-Za-z0-9_-]+$/;
const BEIJING_MS = 8 * 60 * 60 * 1000;

/** Alipay's public key (not the app's), or its certificate: PEM, or the base64 alone as the console shows it. */
export type AlipaySecret =
  | string
  | {
      readonly publicKey: string;
      /**
       * Some notifications (of the service market) are signed over `sign_type`, too, against the rule. true: both ways are tried,
       * as Alipay's own kits do.
       */
      readonly coversSignType: boolean;
    };

interface AlipayKey {
  readonly publicKey: KeyObject;
  readonly coversSignType: boolean;
}

const FORM = '{"publicKey","coversSignType"}';

/** What signs is a private key, as text. */
export const alipay: Scheme<AlipaySecret, string> = {
  name: "alipay",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  bodyBytesMax: SMALL_BODY_BYTES_MAX,
  verifier,
  describe(payload, headers) {
    const fields = textFields(readAlipayForm(payload), headers("content-type")[0] ?? "");
    const { notify_id: id = "", msg_method, notify_type } = fields;
    if (!NOTIFY_ID.test(id)) throw invalidPayload("Alipay", "has no notify_id of letters, digits, _ and -");
    // Not `method`: it is what the buyer's browser brings to return_url, signed by the same key.
    const type = msg_method ?? notify_type;
    if (!type) throw invalidPayload("Alipay", "has neither notify_type nor msg_method");
    return { id, type, data: dataOf(fields) };
  },
  parseSecret(text) {
    const trimmed = text.trim();
    const secret = trimmed.startsWith("{") ? readParts(parseParts(trimmed, FORM)) : trimmed;
    importSecret(secret);
    return secret;
  },
  parseSigningSecret(text) {
    importRsaPrivateKey(text, "The signing key");
    return text.trim();
  },
  compose,
  sign({ url, contentType, body }, secrets) {
    const key = importRsaPrivateKey(checkSome(secrets)[0], "The signing key");
    const sign = signRsa(key, contentOf(readAlipayForm(body), ["sign", "sign_type"]));
    const signed = Buffer.concat([body, Buffer.from(`&${formField("sign", sign)}`)]);
    return { method: "POST", url, headers: { "content-type": contentType }, body: signed };
  },
  isAcknowledged: ({ status, body }) => isSuccessStatus(status) && body.trim() === "success",
  refusal: () => "fail",
};

function verifier(secrets: readonly AlipaySecret[]): Verify {
  const keys = checkSome(secrets).map(importSecret);
  return ({ body }) => {
    checkRawBody(body);
    const payload = bytesOf(body);
    checkSign(readAlipayForm(payload), keys);
    // notify_time is no guard against repetition: it may be the first attempt's, a day before. notify_id is.
    return { kind: "event", payload, timestampSeconds: null, acknowledgement: () => textAnswer("success") };
  };
}

function checkSign(form: AlipayForm, keys: readonly AlipayKey[]): void {
  const signature = form.get("sign")?.toString() ?? "";
  if (signature === "") {
    throw new VerificationError(
      "missing_parameter",
      "The body has no field sign. Check that it comes from Alipay.",
    );
  }
  if ((form.get("sign_type")?.toString() ?? SIGN_TYPE) !== SIGN_TYPE) {
    throw new VerificationError(
      "algorithm_mismatch",
      "The field sign_type is not RSA2. Change the app to RSA2 in Alipay's console: RSA is SHA-1, and not verified here.",
    );
  }
  const isOver = (content: Uint8Array) => (key: AlipayKey) => verifyRsa(key.publicKey, content, signature);
  if (keys.some(isOver(contentOf(form, ["sign", "sign_type"])))) return;
  if (keys.filter((key) => key.coversSignType).some(isOver(contentOf(form, ["sign"])))) return;
  throw new VerificationError(
    "no_matching_signature",
    "The field sign does not fit. Check that the key is Alipay's public key and not the app's own, and that the body is byte for byte as received: no field decoded, trimmed or added. Notifications of the service market need coversSignType in the secret.",
  );
}

/**
 * Bytes, since the signature is over those of the form's own charset, which may be GBK. Values may hold & and =, so this does not say
 * where a field begins: who uses a notification still compares amount and order with its own.
 */
function contentOf(form: AlipayForm, without: readonly string[]): Uint8Array {
  const fields = Array.from(form).filter(([name]) => !without.includes(name));
  fields.sort(([one], [other]) => (one < other ? -1 : 1));
  const parts = fields.map(([name, value], index) =>
    Buffer.concat([Buffer.from(`${index === 0 ? "" : "&"}${name}=`, "latin1"), value]),
  );
  return Buffer.concat(parts);
}

/** What `biz_content` holds, where there is some, as in messages of apps; else all fields, as in notifications of trades. */
function dataOf({ sign: _sign, ...fields }: Readonly<Record<string, string>>): unknown {
  if (fields.biz_content === undefined) return fields;
  try {
    return JSON.parse(fields.biz_content);
  } catch {
    return fields;
  }
}

/** The data as it is, in `biz_content`. */
function compose({ id, type, timestamp, data }: OutgoingEvent): Composition {
  const beijing = new Date(Date.parse(timestamp) + BEIJING_MS).toISOString();
  const fields = {
    notify_id: id,
    notify_type: type,
    notify_time: beijing.slice(0, 19).replace("T", " "),
    charset: "utf-8",
    version: "1.0",
    sign_type: SIGN_TYPE,
    biz_content: Buffer.from(data).toString(),
  };
  const body = Object.entries(fields).map(([name, value]) => formField(name, value));
  const contentType = "application/x-www-form-urlencoded; charset=utf-8";
  return { contentType, body: Buffer.from(body.join("&")) };
}

function importSecret(secret: AlipaySecret): AlipayKey {
  const { publicKey, coversSignType } =
    typeof secret === "string" ? { publicKey: secret, coversSignType: false } : readParts(secret);
  return { publicKey: importRsaPublicKey(publicKey, "Alipay's key"), coversSignType };
}

function readParts(secret: unknown): Exclude<AlipaySecret, string> {
  const { publicKey, coversSignType = false } = checkParts(secret, FORM);
  if (typeof coversSignType !== "boolean") {
    throw new VerificationError(
      "invalid_secret",
      'The part "coversSignType" of the secret must be true or false.',
    );
  }
  return { publicKey: textPart({ publicKey: trimmed(publicKey) }, "publicKey", FORM), coversSignType };
}

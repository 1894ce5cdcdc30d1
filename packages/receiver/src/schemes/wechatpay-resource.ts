/**
 * The encrypted member of a notification of WeChat Pay: AES-256-GCM, the tag behind the ciphertext.
 * Source: https://pay.weixin.qq.com/doc/v3/merchant/4012071382
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { memberText, replaceMember } from "./json-member.ts";
import { isObject, objectOrNull } from "./payload.ts";

const ALGORITHM = "AEAD_AES_256_GCM";
const TAG_BYTES = 16;
const ASSOCIATED_DATA = "posthorn";

/** The notification with what was encrypted in place of `resource`, each byte as it was; undefined: it cannot be opened. */
export function openResource(body: Uint8Array, apiV3Key: Buffer): Uint8Array | undefined {
  const resource = objectOrNull(body)?.resource;
  if (!isObject(resource) || resource.algorithm !== ALGORITHM) return undefined;
  const { ciphertext, nonce, associated_data: associatedData = "" } = resource;
  if (typeof ciphertext !== "string" || typeof nonce !== "string" || nonce.length !== 12) return undefined;
  if (associatedData !== null && typeof associatedData !== "string") return undefined;
  const sealed = decodeStrictly(ciphertext, "base64");
  if (sealed === undefined || sealed.length < TAG_BYTES) return undefined;
  try {
    const decipher = createDecipheriv("aes-256-gcm", apiV3Key, Buffer.from(nonce));
    decipher.setAAD(Buffer.from(associatedData ?? "")).setAuthTag(sealed.subarray(-TAG_BYTES));
    const plain = Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]);
    return Buffer.from(replaceMember(Buffer.from(body).toString(), "resource", plain.toString()));
  } catch {
    return undefined;
  }
}

/**
 * @param body JSON with the resource in the clear
 * @throws RangeError when it has none
 */
export function sealResource(body: Uint8Array, apiV3Key: Buffer): Buffer {
  const notification = Buffer.from(body).toString();
  const plain = memberText(notification, "resource");
  if (plain === undefined) throw new RangeError('the body has no member "resource" to encrypt');
  const nonce = randomBytes(6).toString("hex");
  const cipher = createCipheriv("aes-256-gcm", apiV3Key, Buffer.from(nonce)).setAAD(
    Buffer.from(ASSOCIATED_DATA),
  );
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const resource = {
    ...{ original_type: "event", algorithm: ALGORITHM, ciphertext: sealed.toString("base64") },
    ...{ associated_data: ASSOCIATED_DATA, nonce },
  };
  return Buffer.from(replaceMember(notification, "resource", JSON.stringify(resource)));
}

/** The body around an encrypted message: XML or JSON, and in it `Encrypt`. Whatever stands beside that is not signed and not read. */
import { Buffer } from "node:buffer";
import { VerificationError } from "../verification-error.ts";
import { looksLikeJson, objectOrNull } from "./payload.ts";
import { cdataElement, readXml } from "./xml.ts";

/** @throws VerificationError `invalid_payload` when there is none */
export function readEncrypted(body: Uint8Array): string {
  const elements = looksLikeJson(body) ? objectOrNull(body) : readXml(Buffer.from(body).toString());
  const encrypted = elements?.Encrypt;
  if (typeof encrypted === "string" && encrypted !== "") return encrypted;
  throw new VerificationError(
    "invalid_payload",
    "The body has no Encrypt. Check that the console is set to safe mode (or use the scheme wechat-plain), and that the body is byte for byte as received.",
  );
}

/** JSON around a message that is JSON, else XML. */
export function wrapEncrypted(message: Uint8Array, receiveId: string, encrypted: string): Uint8Array {
  const xml = `<xml>${cdataElement("ToUserName", receiveId)}${cdataElement("Encrypt", encrypted)}</xml>`;
  const json = JSON.stringify({ ToUserName: receiveId, Encrypt: encrypted });
  return Buffer.from(looksLikeJson(message) ? json : xml);
}

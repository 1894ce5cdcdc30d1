/** RSA with SHA-256 and PKCS #1 v1.5 (WeChat Pay, Alipay), and its keys in the forms in which those consoles hand them out. */
import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
  X509Certificate,
} from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { VerificationError } from "../verification-error.ts";

/** @returns base64 */
export function signRsa(key: KeyObject, content: Uint8Array): string {
  return sign("sha256", content, key).toString("base64");
}

/** @param signature base64 in its one spelling; anything else does not verify */
export function verifyRsa(key: KeyObject, content: Uint8Array, signature: string): boolean {
  const bytes = decodeStrictly(signature, "base64");
  return bytes !== undefined && verify("sha256", content, key, bytes);
}

/**
 * @param text a public key (PEM, or the base64 of its SPKI alone) or a certificate (PEM)
 * @param name what the errors call it
 * @throws VerificationError `invalid_key`; the message never holds the key
 */
export function importRsaPublicKey(text: unknown, name: string): KeyObject {
  const key = attempt(text, [
    (pem) => (isCertificate(pem) ? new X509Certificate(pem).publicKey : undefined),
    (pem) => (/^-----BEGIN (RSA )?PUBLIC KEY-----/.test(pem) ? createPublicKey(pem) : undefined),
    (base64) => createPublicKey({ key: der(base64), format: "der", type: "spki" }),
  ]);
  if (key?.type === "public") return key;
  const forms = "a PEM (BEGIN PUBLIC KEY or BEGIN CERTIFICATE), or the base64 of the key alone";
  throw new VerificationError("invalid_key", `${name} is not an RSA public key: ${forms}. Copy it whole.`);
}

/**
 * @param text a private key: PEM, or the base64 of its PKCS #8 ("Java") or PKCS #1 alone
 * @throws VerificationError `invalid_key`; the message never holds the key
 */
export function importRsaPrivateKey(text: unknown, name: string): KeyObject {
  const key = attempt(text, [
    (pem) => (pem.startsWith("-----") ? createPrivateKey(pem) : undefined),
    (base64) => createPrivateKey({ key: der(base64), format: "der", type: "pkcs8" }),
    (base64) => createPrivateKey({ key: der(base64), format: "der", type: "pkcs1" }),
  ]);
  if (key !== undefined) return key;
  const forms = "a PEM (BEGIN PRIVATE KEY), or the base64 of PKCS #8 or PKCS #1 alone";
  throw new VerificationError("invalid_key", `${name} is not an RSA private key: ${forms}. Copy it whole.`);
}

export function isCertificate(text: string): boolean {
  return text.trimStart().startsWith("-----BEGIN CERTIFICATE-----");
}

function der(base64: string): Buffer {
  return decodeStrictly(base64.replace(/\s+/g, ""), "base64") ?? Buffer.alloc(0);
}

/** The first reading that gives an RSA key. */
function attempt(
  text: unknown,
  readings: readonly ((text: string) => KeyObject | undefined)[],
): KeyObject | undefined {
  if (typeof text !== "string") return undefined;
  for (const read of readings) {
    try {
      const key = read(text.trim());
      if (key?.asymmetricKeyType === "rsa") return key;
    } catch {
      // The next reading; none at all is refused by the caller.
    }
  }
  return undefined;
}

/** Keys of an algorithm as users have them: PEM, or the base64 of its DER alone, as consoles show it. */
import type { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { VerificationError } from "../verification-error.ts";

export interface KeyKind {
  readonly type: "ec" | "ed25519";
  /** Of an `ec` key, such as `prime256v1`. */
  readonly curve?: string;
  /** For the errors, with its article: `an ECDSA P-256 key`. */
  readonly name: string;
}

/**
 * @param text SPKI, as PEM or as the base64 of its DER
 * @throws VerificationError `invalid_key`; the message never holds the key
 */
export function importPublicKey(text: string, kind: KeyKind): KeyObject {
  return importKey(text, kind, "public", (key) =>
    typeof key === "string"
      ? createPublicKey(onlyPublic(key))
      : createPublicKey({ key, format: "der", type: "spki" }),
  );
}

/**
 * @param text PKCS #8, as PEM or as the base64 of its DER
 * @throws VerificationError `invalid_key`; the message never holds the key
 */
export function importPrivateKeyText(text: string, kind: KeyKind): KeyObject {
  return importKey(text, kind, "private", (key) =>
    typeof key === "string" ? createPrivateKey(key) : createPrivateKey({ key, format: "der", type: "pkcs8" }),
  );
}

/** Node takes the public key out of a private one or a certificate without a word; whoever mixed them up should hear of it. */
function onlyPublic(pem: string): string {
  if (!/^-----BEGIN PUBLIC KEY-----/.test(pem)) throw new Error("not a public key");
  return pem;
}

function importKey(
  text: unknown,
  kind: KeyKind,
  half: "public" | "private",
  read: (key: string | Buffer) => KeyObject,
): KeyObject {
  const key = typeof text === "string" ? readOrNone(text.trim(), read) : undefined;
  const matches =
    key?.asymmetricKeyType === kind.type &&
    (kind.curve === undefined || key.asymmetricKeyDetails?.namedCurve === kind.curve);
  if (key !== undefined && matches) return key;
  throw new VerificationError(
    "invalid_key",
    `This is not the ${half} half of ${kind.name} as PEM, or as base64 of its DER (${
      half === "public" ? "SPKI" : "PKCS #8"
    }). Copy it again, whole.`,
  );
}

function readOrNone(text: string, read: (key: string | Buffer) => KeyObject): KeyObject | undefined {
  const der = text.startsWith("-----") ? text : decodeStrictly(text.replace(/\s+/g, ""), "base64");
  try {
    return der === undefined || der.length === 0 ? undefined : read(der);
  } catch {
    return undefined;
  }
}

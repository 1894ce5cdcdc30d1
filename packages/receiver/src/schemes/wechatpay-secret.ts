/** The keys of WeChat Pay, API v3. */
import { Buffer } from "node:buffer";
import { type KeyObject, X509Certificate } from "node:crypto";
import { VerificationError } from "../verification-error.ts";
import type { JsonObject } from "./payload.ts";
import { importRsaPrivateKey, importRsaPublicKey, isCertificate } from "./rsa-sha256.ts";
import { checkParts, parseParts, textPart, trimmed } from "./secret-parts.ts";

export interface WechatPaySecret {
  /** `PUB_KEY_ID_...`, or the serial number of a platform certificate, which may be left out where `publicKey` is one. */
  readonly serial?: string;
  /** WeChat Pay's public key or platform certificate, not the merchant's: PEM. */
  readonly publicKey: string;
  /** 32 characters. null: the resource is not opened, for a gateway that only checks and hands on. */
  readonly apiV3Key: string | null;
}

/** What WeChat Pay itself has, or who sends in its form. */
export interface WechatPaySigningSecret {
  readonly serial: string;
  readonly privateKey: string;
  readonly apiV3Key: string;
}

const FORM = '{"serial","publicKey","apiV3Key"}';
const SIGNING_FORM = '{"serial","privateKey","apiV3Key"}';

export interface PlatformKey {
  /** In upper case. */
  readonly serial: string;
  readonly publicKey: KeyObject;
  readonly apiV3Key: Buffer | null;
}

export interface SigningKey {
  readonly serial: string;
  readonly privateKey: KeyObject;
  readonly apiV3Key: Buffer;
}

/** @throws VerificationError `invalid_secret`, `invalid_key` */
export function importWechatPaySecret(secret: WechatPaySecret): PlatformKey {
  const { serial, publicKey, apiV3Key } = readSecret(checkParts(secret, FORM));
  return {
    publicKey: importRsaPublicKey(publicKey, 'The part "publicKey" of the secret'),
    serial: (serial ?? serialOf(publicKey)).toUpperCase(),
    apiV3Key: apiV3Key === null ? null : Buffer.from(apiV3Key),
  };
}

/** @throws VerificationError `invalid_secret`, `invalid_key` */
export function parseWechatPaySecret(text: string): WechatPaySecret {
  const secret = readSecret(parseParts(text, FORM));
  importWechatPaySecret(secret);
  return secret;
}

function readSecret(parts: JsonObject): WechatPaySecret {
  const publicKey = textPart({ publicKey: trimmed(parts.publicKey) }, "publicKey", FORM);
  const apiV3Key = parts.apiV3Key === null ? null : readApiV3Key(parts, FORM);
  if (parts.serial === undefined && isCertificate(publicKey)) return { publicKey, apiV3Key };
  return { serial: textPart(parts, "serial", FORM), publicKey, apiV3Key };
}

export function parseSigningSecret(text: string): WechatPaySigningSecret {
  const secret = readSigningSecret(parseParts(text, SIGNING_FORM));
  importSigningSecret(secret);
  return secret;
}

/** @throws VerificationError `invalid_secret`, `invalid_key` */
export function importSigningSecret(secret: WechatPaySigningSecret): SigningKey {
  const { serial, privateKey, apiV3Key } = readSigningSecret(checkParts(secret, SIGNING_FORM));
  return {
    serial,
    privateKey: importRsaPrivateKey(privateKey, 'The part "privateKey" of the secret'),
    apiV3Key: Buffer.from(apiV3Key),
  };
}

function readSigningSecret(parts: JsonObject): WechatPaySigningSecret {
  return {
    serial: textPart(parts, "serial", SIGNING_FORM),
    privateKey: textPart({ privateKey: trimmed(parts.privateKey) }, "privateKey", SIGNING_FORM),
    apiV3Key: readApiV3Key(parts, SIGNING_FORM),
  };
}

function readApiV3Key(parts: JsonObject, form: string): string {
  const key = textPart(parts, "apiV3Key", form);
  if (Buffer.byteLength(key) === 32) return key;
  throw new VerificationError(
    "invalid_secret",
    `The part "apiV3Key" of the secret has ${Buffer.byteLength(key)} bytes; the APIv3 key has 32. Copy it whole.`,
  );
}

function serialOf(certificate: string): string {
  return new X509Certificate(certificate).serialNumber;
}

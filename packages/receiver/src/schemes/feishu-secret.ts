/** What Feishu and Lark hash and encrypt with. */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { VerificationError } from "../verification-error.ts";
import { isSameText } from "./hmac.ts";
import { checkParts, checkSome, parseParts, textPart } from "./secret-parts.ts";

/** At least one of the two, as the console's page "Encryption strategy" shows them. */
export interface FeishuSecret {
  /** Signs and encrypts. Without it anyone who has once seen the token can send. */
  readonly encryptKey?: string;
  /** Stands in each event. Checked where it is given. */
  readonly verificationToken?: string;
}

const FORM = '{"encryptKey","verificationToken"}';
const IV_BYTES = 16;

export class FeishuCrypt {
  readonly #encryptKey: string;
  readonly #aesKey: Buffer;

  constructor(encryptKey: string) {
    this.#encryptKey = encryptKey;
    this.#aesKey = createHash("sha256").update(encryptKey).digest();
  }

  /** SHA-256 in hex, over the bytes as received: Feishu's own kit for Node writes the JSON anew, which need not be the same. */
  sign(timestamp: string, nonce: string, body: Uint8Array): string {
    return createHash("sha256").update(`${timestamp}${nonce}${this.#encryptKey}`).update(body).digest("hex");
  }

  /** @returns base64 of the IV and the ciphertext */
  seal(message: Uint8Array): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv("aes-256-cbc", this.#aesKey, iv);
    return Buffer.concat([iv, cipher.update(message), cipher.final()]).toString("base64");
  }

  /** Undefined for whatever cannot be opened. */
  open(encrypted: string): Buffer | undefined {
    const bytes = decodeStrictly(encrypted, "base64");
    if (bytes === undefined || bytes.length <= IV_BYTES) return undefined;
    try {
      const decipher = createDecipheriv("aes-256-cbc", this.#aesKey, bytes.subarray(0, IV_BYTES));
      return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES)), decipher.final()]);
    } catch {
      return undefined;
    }
  }
}

export interface FeishuKeys {
  readonly crypt: FeishuCrypt | null;
  readonly verificationToken: string | null;
}

/** @throws VerificationError `invalid_secret` */
export function importFeishu(secrets: readonly FeishuSecret[]): readonly [FeishuKeys, ...FeishuKeys[]] {
  const [first, ...others] = checkSome(secrets);
  return [importKeys(first), ...others.map(importKeys)];
}

function importKeys(secret: FeishuSecret): FeishuKeys {
  const { encryptKey, verificationToken } = readSecret(checkParts(secret, FORM));
  return {
    crypt: encryptKey === undefined ? null : new FeishuCrypt(encryptKey),
    verificationToken: verificationToken ?? null,
  };
}

/** @param text JSON, or the Encrypt Key alone. @throws VerificationError `invalid_secret` */
export function parseFeishu(text: string): FeishuSecret {
  const trimmed = text.trim();
  return readSecret(trimmed.startsWith("{") ? parseParts(trimmed, FORM) : { encryptKey: trimmed });
}

function readSecret(parts: { readonly [name: string]: unknown }): FeishuSecret {
  const { encryptKey, verificationToken } = parts;
  if (encryptKey === undefined && verificationToken === undefined) {
    throw new VerificationError(
      "invalid_secret",
      `The secret has neither the part "encryptKey" nor the part "verificationToken": ${FORM}.`,
    );
  }
  return {
    ...(encryptKey === undefined ? {} : { encryptKey: textPart(parts, "encryptKey", FORM) }),
    ...(verificationToken === undefined
      ? {}
      : { verificationToken: textPart(parts, "verificationToken", FORM) }),
  };
}

export function hasToken({ verificationToken }: FeishuKeys, token: unknown): boolean {
  if (verificationToken === null) return true;
  return typeof token === "string" && isSameText(token, verificationToken);
}

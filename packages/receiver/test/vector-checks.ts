// One check per scheme of a file of signature vectors: whether the receiver accepts the vector, and reads from it what it
// should. A vector's `secret` is what its scheme verifies or decrypts with; PEM stands for a public key.
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { type ContentEncryption, openContent, parseCompact } from "../src/encryption/jwe.ts";
import { agreedKey, importPrivateKey } from "../src/encryption/key-agreement.ts";
import { linesOf, readHeader } from "../src/headers.ts";
import {
  decryptPayload,
  type PrivateJwk,
  VerificationError,
  verifyContentDigest,
  verifyHttpMessage,
  verifyStandard,
} from "../src/index.ts";
import { verifyMessageSignature } from "../src/schemes/message-signature.ts";

export interface Vector {
  readonly id: string;
  readonly scheme: string;
  readonly secret: unknown;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly valid: boolean;
  /** Unix seconds at which the tolerance of 300 s is judged. */
  readonly now?: number;
  readonly method?: string;
  readonly url?: string;
  readonly status?: number;
  /** The profile for webhooks, whose signatures have to cover the body's digest. */
  readonly content_digest_required?: boolean;
  /** The plaintext, or the key derived. */
  readonly expect?: string;
  readonly epk?: unknown;
  readonly enc?: string;
  readonly apu?: string;
  readonly apv?: string;
  readonly keybits?: number;
}

/** Returns what was read, where the vector says what that should be; throws when the vector is refused. */
export type Check = (vector: Vector) => string | undefined;

export const CHECKS: ReadonlyMap<string, Check> = new Map<string, Check>([
  ["standard-webhooks", checkStandard],
  ["http-message-signature", checkHttpMessage],
  ["content-digest", checkContentDigest],
  ["jwe-dir", checkDir],
  ["jwe-a256gcm-content", checkContent],
  ["jwe-ecdh-es-kdf", checkKeyAgreement],
  ["jwe-ecdh-es", checkEcdhEs],
]);

function checkStandard({ headers, body, secret, now }: Vector): undefined {
  const keys = [secret].flat() as string[];
  verifyStandard({
    headers,
    body,
    secrets: keys.filter((key) => !key.startsWith("whpk_")),
    publicKeys: keys.filter((key) => key.startsWith("whpk_")),
    nowSeconds: now ?? (Number.parseInt(readHeader(linesOf(headers), "webhook-timestamp"), 10) || 0),
  });
}

function checkHttpMessage(vector: Vector): undefined {
  const { method, url, headers, body } = vector;
  const key = publicOrSharedKey(vector.secret as string);
  const input = readHeader(linesOf(headers), "signature-input");
  if (vector.content_digest_required !== true && !input.includes(';tag="webhook"')) {
    const { covered } = verifyMessageSignature(vector, () => key);
    const coversBody = covered.items.some(({ value }) => value.value === "content-digest");
    if (coversBody) checkContentDigest(vector);
    return;
  }
  const publicKey = Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
  const nowSeconds = vector.now ?? Number(/;created=(\d+)/.exec(input)?.[1] ?? 0);
  const keyId = /;keyid="([^"]*)"/.exec(input)?.[1] ?? "";
  verifyHttpMessage({
    ...{ method: method ?? "", url: url ?? "", headers, body, nowSeconds },
    publicKeys: [{ keyId, publicKey }],
  });
}

/** A PEM, or the base64 of a secret for HMAC. */
function publicOrSharedKey(secret: string): KeyObject {
  return secret.startsWith("-----") ? createPublicKey(secret) : createSecretKey(secret, "base64");
}

function checkContentDigest({ headers, body }: Vector): undefined {
  verifyContentDigest(readHeader(linesOf(headers), "content-digest"), body);
}

function checkDir({ secret, body }: Vector): string {
  const keys = [{ secret: Buffer.from(secret as string, "base64url") }];
  const contentEncryptions: ContentEncryption[] = ["A256GCM", "A128GCM"];
  return Buffer.from(decryptPayload({ body, keys, contentEncryptions }).payload).toString();
}

function checkContent({ secret, body }: Vector): string {
  const plaintext = openContent(parseCompact(body), "A256GCM", Buffer.from(secret as string, "base64url"));
  if (plaintext === undefined)
    throw new VerificationError("decryption_failed", "the content cannot be opened");
  return plaintext.toString();
}

function checkKeyAgreement({ secret, epk, enc = "", apu, apv, keybits = 0 }: Vector): string {
  const key = agreedKey(importPrivateKey(secret as PrivateJwk), { epk, apu, apv }, enc, keybits / 8);
  if (key === undefined) throw new VerificationError("decryption_failed", "the keys do not agree on one");
  return key.toString("base64url");
}

function checkEcdhEs({ secret, body }: Vector): string {
  const keys = [{ privateKey: secret as PrivateJwk }];
  return Buffer.from(decryptPayload({ body, keys }).payload).toString();
}

// One check per scheme of a file of signature vectors: whether the receiver accepts the vector, and reads from it what it
// should. A vector's `secret` is what its scheme verifies or decrypts with; PEM stands for a public key.
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { type ContentEncryption, openContent, parseCompact } from "../src/encryption/jwe.ts";
import { agreedKey, importPrivateKey } from "../src/encryption/key-agreement.ts";
import { linesOf, readHeader } from "../src/headers.ts";
import {
  decryptPayload,
  encodeStandardPublicKey,
  type PrivateJwk,
  SCHEMES,
  VerificationError,
  verifyContentDigest,
} from "../src/index.ts";
import { discord } from "../src/schemes/discord.ts";
import { verifyMessageSignature } from "../src/schemes/message-signature.ts";
import { paypal, paypalSignedContent } from "../src/schemes/paypal.ts";
import type { Scheme, Verified } from "../src/schemes/scheme.ts";
import { sendgrid } from "../src/schemes/sendgrid.ts";
import { slack } from "../src/schemes/slack.ts";
import { stripe } from "../src/schemes/stripe.ts";
import { twilio } from "../src/schemes/twilio.ts";
import { zoom } from "../src/schemes/zoom.ts";
import { CHINESE_CHECKS } from "./chinese-checks.ts";

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
  /** Decoded. */
  readonly query?: Readonly<Record<string, string>>;
  /** What is encrypted in the body or the query. */
  readonly encrypt?: string;
  /** Of PayPal. */
  readonly webhook_id?: string;
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
  ["gitlab-token", ofScheme(SCHEMES.gitlab)],
  ["github", ofScheme(SCHEMES.github)],
  ["bitbucket", ofScheme(SCHEMES.bitbucket)],
  ["meta", ofScheme(SCHEMES.meta)],
  ["meta-challenge", checkMetaChallenge],
  ["websub", ofScheme(SCHEMES.websub)],
  ["linear", ofScheme(SCHEMES.linear)],
  ["shopify", ofScheme(SCHEMES.shopify)],
  ["square", ofScheme(SCHEMES.square)],
  ["stripe", ofScheme(stripe)],
  ["slack", ofScheme(slack)],
  ["zoom", ofScheme(zoom)],
  ["zoom-crc", checkZoomValidation],
  ["twilio", ofScheme(twilio)],
  ["sendgrid", ofScheme(sendgrid)],
  ["discord", ofScheme(discord)],
  ["paypal", checkPayPal],
  ["paypal-base-string", checkPayPalContent],
  ...CHINESE_CHECKS,
]);

function checkStandard(vector: Vector): undefined {
  const { headers, body, secret } = vector;
  const said = Number.parseInt(readHeader(linesOf(headers), "webhook-timestamp"), 10) || 0;
  const request = { method: "POST", url: "https://receiver.example/hooks", headers, body };
  SCHEMES.standard.verifier([secret].flat() as string[])(request, {
    nowSeconds: vector.now ?? said,
    toleranceSeconds: 300,
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
  const publicKey = encodeStandardPublicKey(Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url"));
  const nowSeconds = vector.now ?? Number(/;created=(\d+)/.exec(input)?.[1] ?? 0);
  const keyId = /;keyid="([^"]*)"/.exec(input)?.[1] ?? "";
  const verify = SCHEMES["http-message"].verifier([{ keyId, publicKey }]);
  verify({ method: method ?? "", url: url ?? "", headers, body }, { nowSeconds, toleranceSeconds: 300 });
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

/** What a scheme makes of a request; where a vector has no `now`, it is the time that the request itself says. */
function accept<Secret, SigningSecret>(
  scheme: Scheme<Secret, SigningSecret>,
  vector: Vector,
  secret: Secret,
): Verified {
  const { method = "POST", url = "https://receiver.example/hooks", headers, body } = vector;
  const clock = { nowSeconds: vector.now ?? timeSaidBy(headers), toleranceSeconds: 300 };
  return scheme.verifier([secret])({ method, url, headers, body }, clock);
}

function timeSaidBy(headers: Vector["headers"]): number {
  const time =
    Object.entries(headers).find(([name]) => /-timestamp$|-transmission-time$/i.test(name))?.[1] ?? "";
  return Number(time) || Date.parse(time) / 1000 || 0;
}

/** Of a scheme whose secret is the text in the vector. */
function ofScheme<Secret, SigningSecret>(scheme: Scheme<Secret, SigningSecret>): Check {
  return (vector) => {
    accept(scheme, vector, scheme.parseSecret(vector.secret as string));
    return undefined;
  };
}

function checkMetaChallenge(vector: Vector): string | undefined {
  const secret = { appSecret: "not asked for", verifyToken: vector.secret as string };
  const url = `https://receiver.example/hooks?${new URLSearchParams(vector.query)}`;
  const verified = accept(SCHEMES.meta, { ...vector, method: "GET", url }, secret);
  return verified.kind === "handshake" ? verified.answer.body : undefined;
}

/** The vector has no signature, and is only answered with one. */
function checkZoomValidation(vector: Vector): string | undefined {
  const secret = vector.secret as string;
  const { body } = vector;
  const unsigned = { id: "", type: "", contentType: "application/json", url: "https://receiver.example/" };
  const timestampSeconds = 1_654_503_849;
  const signed = zoom.sign({ ...unsigned, body: Buffer.from(body), timestampSeconds }, [secret]);
  const verified = accept(zoom, { ...vector, headers: signed.headers, now: timestampSeconds }, secret);
  return verified.kind === "handshake" ? verified.answer.body : undefined;
}

function checkPayPal(vector: Vector): undefined {
  const secret = { webhookId: vector.webhook_id ?? "", publicKey: vector.secret as string };
  accept(paypal, vector, paypal.parseSecret(JSON.stringify(secret)));
}

function checkPayPalContent({ headers, body, webhook_id: webhookId = "" }: Vector): string {
  const lines = linesOf(headers);
  const id = readHeader(lines, "paypal-transmission-id");
  return paypalSignedContent({ id, time: readHeader(lines, "paypal-transmission-time"), webhookId, body });
}

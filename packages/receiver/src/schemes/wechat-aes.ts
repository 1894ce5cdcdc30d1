/**
 * What WeChat's safe mode, WeCom and DingTalk share: SHA-1 over sorted texts, one of which is a token that only the two sides know,
 * and messages encrypted with AES-256-CBC.
 * Source: https://developer.work.weixin.qq.com/document/path/90968
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import type { JsonObject } from "./payload.ts";
import type { Clock } from "./scheme.ts";
import { checkParts, checkSome, parseParts, textPart } from "./secret-parts.ts";
import { isOneOf } from "./text-secret.ts";

/** As the provider's console shows it. */
export interface WechatAesSecret {
  readonly token: string;
  /** 43 characters. */
  readonly encodingAESKey: string;
  /** Whom the message is for: the appid (WeChat), the corpid or suite id (WeCom), the app key, corp id or suite key (DingTalk). */
  readonly receiveId: string;
}

/** One whose messages may be for several, or for anybody: null. */
export interface WechatAesSecretOfMany extends Omit<WechatAesSecret, "receiveId"> {
  readonly receiveId: string | readonly string[] | null;
}

const FORM = '{"token","encodingAESKey","receiveId"}';
/** Its 43 * 6 bits are two more than the 32 bytes; these two may be set, so the key has no one spelling. */
const ENCODING_AES_KEY = /^[A-Za-z0-9+/]{43}$/;
const UNIX_SECONDS = /^\d{10}$/;
const RANDOM_BYTES = 16;
const LENGTH_BYTES = 4;
/** PKCS #7 with the block of 32 in place of AES's 16: Node's own check of the padding refuses every other message. */
const PAD_BLOCK = 32;

/** In hex. The order is that of the texts themselves, whatever they mean. */
export function sortedSha1(texts: readonly string[]): string {
  return createHash("sha1")
    .update([...texts].sort().join(""))
    .digest("hex");
}

/**
 * Unix seconds in exactly 10 digits. The texts are sorted before they are hashed, so a signature holds for timestamp and nonce in each
 * other's place, too: a request whose nonce happens to be a time to come can be sent again when that time has come. Nonces of WeChat
 * are random numbers, half of which look like a time that is over, so none can be refused for that; what the event is deduplicated by
 * is the same in both.
 * @throws VerificationError `invalid_timestamp`, `timestamp_too_old`, `timestamp_too_new`
 */
export function checkWechatTimestamp(timestamp: string, clock: Clock): number {
  const name = "timestamp in the query";
  if (UNIX_SECONDS.test(timestamp)) return checkTimestamp(name, timestamp, clock);
  throw new VerificationError(
    "invalid_timestamp",
    `${name} must be unix seconds, 10 digits. Check that no proxy changes the query.`,
  );
}

export function randomNonce(): string {
  return randomBytes(8).toString("hex");
}

/** The keys of one secret. */
export class WechatCrypt {
  readonly #token: string;
  readonly #key: Buffer;
  readonly #receivers: readonly string[] | null;

  /** @throws VerificationError `invalid_secret`, naming the part */
  constructor(secret: WechatAesSecretOfMany) {
    const parts = checkParts(secret, FORM);
    this.#token = textPart(parts, "token", FORM);
    this.#receivers = receiversIn(parts);
    const encodingAESKey = textPart(parts, "encodingAESKey", FORM);
    if (!ENCODING_AES_KEY.test(encodingAESKey)) {
      throw new VerificationError(
        "invalid_secret",
        'The part "encodingAESKey" of the secret must be the 43 letters and digits that the console shows.',
      );
    }
    this.#key = Buffer.from(`${encodingAESKey}=`, "base64");
  }

  get token(): string {
    return this.#token;
  }

  /** Whom what is sealed here is for. */
  get receiveId(): string {
    return this.#receivers?.[0] ?? "";
  }

  sign(timestamp: string, nonce: string, encrypted: string): string {
    return sortedSha1([this.#token, timestamp, nonce, encrypted]);
  }

  /** @returns base64 */
  seal(message: Uint8Array): string {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(message.length);
    const content = Buffer.concat([randomBytes(RANDOM_BYTES), length, message, Buffer.from(this.receiveId)]);
    const pad = PAD_BLOCK - (content.length % PAD_BLOCK);
    const cipher = createCipheriv("aes-256-cbc", this.#key, this.#key.subarray(0, 16)).setAutoPadding(false);
    const parts = [cipher.update(content), cipher.update(Buffer.alloc(pad, pad)), cipher.final()];
    return Buffer.concat(parts).toString("base64");
  }

  /** Undefined for whatever cannot be opened, or is for somebody else. */
  open(encrypted: string): Buffer | undefined {
    const bytes = decodeStrictly(encrypted, "base64");
    if (bytes === undefined || bytes.length === 0 || bytes.length % 16 !== 0) return undefined;
    const cipher = createDecipheriv("aes-256-cbc", this.#key, this.#key.subarray(0, 16)).setAutoPadding(
      false,
    );
    const padded = Buffer.concat([cipher.update(bytes), cipher.final()]);
    const pad = padded.at(-1) ?? 0;
    if (pad < 1 || pad > PAD_BLOCK) return undefined;
    if (padded.subarray(-pad).some((byte) => byte !== pad)) return undefined;
    const content = padded.subarray(RANDOM_BYTES, -pad);
    if (content.length < LENGTH_BYTES) return undefined;
    const end = LENGTH_BYTES + content.readUInt32BE();
    if (end > content.length) return undefined;
    const receiver = content.subarray(end).toString();
    const isOurs = this.#receivers === null || this.#receivers.includes(receiver);
    return isOurs ? content.subarray(LENGTH_BYTES, end) : undefined;
  }
}

/** null: anybody. */
function receiversIn(secret: JsonObject): readonly string[] | null {
  const { receiveId } = secret;
  if (receiveId === null) return null;
  if (!Array.isArray(receiveId) || receiveId.length === 0) return [textPart(secret, "receiveId", FORM)];
  return receiveId.map((each) => textPart({ receiveId: each }, "receiveId", FORM));
}

export interface SealedMessage {
  readonly timestamp: string;
  readonly nonce: string;
  readonly encrypted: string;
  readonly signature: string;
}

/**
 * @returns what is in the message, and the keys that it was made with
 * @throws VerificationError `no_matching_signature`, in the same words for a wrong signature and for what cannot be opened: whoever may
 *   ask often must not learn from the answers how far a message got
 */
export function openSealed(
  crypts: readonly WechatCrypt[],
  { timestamp, nonce, encrypted, signature }: SealedMessage,
): { readonly message: Buffer; readonly crypt: WechatCrypt } {
  for (const crypt of crypts) {
    if (!isOneOf([signature], crypt.sign(timestamp, nonce, encrypted))) continue;
    const message = crypt.open(encrypted);
    if (message !== undefined) return { message, crypt };
  }
  throw new VerificationError(
    "no_matching_signature",
    "The signature does not fit, or the message cannot be opened with it. Check token, encodingAESKey and receiveId (appid, corpid or suite key) against the console, and that no proxy changes the query or the body.",
  );
}

/** @throws VerificationError `invalid_secret` */
export function importWechatAes(
  secrets: readonly WechatAesSecret[],
): readonly [WechatCrypt, ...WechatCrypt[]] {
  for (const secret of secrets) textPart(checkParts(secret, FORM), "receiveId", FORM);
  return importWechatAesOfMany(secrets);
}

/** @throws VerificationError `invalid_secret` */
export function importWechatAesOfMany(
  secrets: readonly WechatAesSecretOfMany[],
): readonly [WechatCrypt, ...WechatCrypt[]] {
  const [first, ...others] = checkSome(secrets);
  return [new WechatCrypt(first), ...others.map((secret) => new WechatCrypt(secret))];
}

/** @param text JSON. @throws VerificationError `invalid_secret` */
export function parseWechatAes(text: string): WechatAesSecret {
  const secret = partsIn(text) as WechatAesSecret;
  importWechatAes([secret]);
  return secret;
}

/** @param text JSON. @throws VerificationError `invalid_secret` */
export function parseWechatAesOfMany(text: string): WechatAesSecretOfMany {
  const secret = partsIn(text) as WechatAesSecretOfMany;
  importWechatAesOfMany([secret]);
  return secret;
}

function partsIn(text: string): object {
  const { token, encodingAESKey, receiveId } = parseParts(text, FORM);
  return { token, encodingAESKey, receiveId };
}

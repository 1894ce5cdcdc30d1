/**
 * Keys of Standard Webhooks 1.0.0, version `v1a`: ed25519 over `id.timestamp.body`. RFC 9421 signatures use the same keys.
 * The specification leaves open which bytes are serialised; these are the ones that senders in the field use:
 * `whsk_` + base64 of seed (32 bytes) and public key (32 bytes), `whpk_` + base64 of the public key.
 */
import { Buffer } from "node:buffer";
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { VerificationError } from "../verification-error.ts";

const PRIVATE_PREFIX = "whsk_";
const PUBLIC_PREFIX = "whpk_";
const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** What stands before the seed in the PKCS #8 of an ed25519 key (RFC 8410 7). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** A private signing key, kept where neither a logger nor JSON.stringify finds it. Import once, use often. */
export class StandardKey {
  readonly #key: KeyObject;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** What names it in a signature: see {@link keyIdOf}. */
  readonly keyId: string;

  /**
   * @param bytes seed (32 bytes) and public key (32 bytes)
   * @throws VerificationError `invalid_key` when they do not belong together: signing with another public key gives the seed away
   */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== SEED_BYTES + PUBLIC_KEY_BYTES) {
      throw new VerificationError(
        "invalid_key",
        `The signing key has ${bytes.length} bytes; it must have ${SEED_BYTES + PUBLIC_KEY_BYTES}: seed and public key.`,
      );
    }
    const der = Buffer.concat([PKCS8_PREFIX, bytes.subarray(0, SEED_BYTES)]);
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    // A copy: a view would carry the seed along in its `buffer`.
    this.publicKey = Uint8Array.from(bytes.subarray(SEED_BYTES));
    this.keyId = keyIdOf(this.publicKey);
    if (createPublicKey(this.#key).export({ format: "jwk" }).x !== base64url(this.publicKey)) {
      throw new VerificationError(
        "invalid_key",
        "The two halves of the signing key, seed and public key, do not belong together. Copy it again, whole.",
      );
    }
  }

  /** The `v1a,<base64>` entry for a body; `prefix` is `id.timestamp.`. */
  sign(prefix: string, body: Uint8Array | string): string {
    return `v1a,${this.signBytes(Buffer.concat([Buffer.from(prefix), Buffer.from(body)])).toString("base64")}`;
  }

  /** The ed25519 signature, 64 bytes. */
  signBytes(content: Uint8Array): Buffer {
    return sign(null, content, this.#key);
  }
}

/** A public key to verify with. Import once, use often. */
export class StandardPublicKey {
  /** 32 bytes. */
  readonly bytes: Uint8Array;
  readonly keyId: string;
  readonly key: KeyObject;

  /** @throws VerificationError `invalid_key` unless it has 32 bytes */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== PUBLIC_KEY_BYTES) {
      throw new VerificationError(
        "invalid_key",
        `The public key has ${bytes.length} bytes; an ed25519 key has ${PUBLIC_KEY_BYTES}.`,
      );
    }
    this.bytes = Uint8Array.from(bytes);
    this.keyId = keyIdOf(bytes);
    this.key = createPublicKey({ key: publicJwk(bytes), format: "jwk" });
  }

  /** Whether the ed25519 signature over `content` was made with this key's private half. */
  verify(content: Uint8Array, signature: Uint8Array): boolean {
    return signature.length === SIGNATURE_BYTES && verify(null, content, this.key, signature);
  }
}

/** `whpk_...`, the 32 raw bytes, or what `importStandardPublicKey` made. */
export type StandardPublicKeyInput = string | Uint8Array | StandardPublicKey;

/**
 * Decodes `whsk_` + base64 of 64 bytes.
 * @throws VerificationError `invalid_key`; the message never holds the key
 */
export function importStandardKey(whsk: string): StandardKey {
  return new StandardKey(decodeKey(whsk, PRIVATE_PREFIX));
}

/**
 * Decodes `whpk_` + base64 of 32 bytes, or takes the bytes.
 * @throws VerificationError `invalid_key`
 */
export function importStandardPublicKey(whpk: string | Uint8Array): StandardPublicKey {
  return new StandardPublicKey(typeof whpk === "string" ? decodeKey(whpk, PUBLIC_PREFIX) : whpk);
}

export function preparePublicKey(key: StandardPublicKeyInput): StandardPublicKey {
  return key instanceof StandardPublicKey ? key : importStandardPublicKey(key);
}

/** A new private key: `whsk_` and the base64 of its seed and its public key. */
export function generateStandardKey(): string {
  const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const bytes = Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]);
  return PRIVATE_PREFIX + bytes.toString("base64");
}

/** `whpk_` + base64. */
export function encodeStandardPublicKey(publicKey: Uint8Array): string {
  return PUBLIC_PREFIX + Buffer.from(publicKey).toString("base64");
}

/** The public key as it stands in a JWK set (RFC 8037); its `kid` is the `keyid` of signatures. */
export interface StandardJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  /** base64url of the 32 bytes. */
  readonly x: string;
  readonly kid: string;
  readonly use: "sig";
  readonly alg: "EdDSA";
}

export function jwkOf(publicKey: Uint8Array): StandardJwk {
  return { ...publicJwk(publicKey), kid: keyIdOf(publicKey), use: "sig", alg: "EdDSA" };
}

/** The JWK thumbprint (RFC 7638, RFC 8037 2): base64url of the SHA-256 of the required members, sorted and without spaces. */
export function keyIdOf(publicKey: Uint8Array): string {
  const { crv, kty, x } = publicJwk(publicKey);
  return createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
}

function publicJwk(publicKey: Uint8Array) {
  return { kty: "OKP", crv: "Ed25519", x: base64url(publicKey) } as const;
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

function decodeKey(text: string, prefix: string): Buffer {
  const bytes = text.startsWith(prefix) ? decodeStrictly(text.slice(prefix.length), "base64") : undefined;
  if (bytes !== undefined) return bytes;
  throw new VerificationError(
    "invalid_key",
    `The ed25519 key is not ${prefix} followed by base64. Copy it again, whole and without spaces.`,
  );
}

/** `ECDH-ES` of RFC 7518 4.6: an ephemeral key of the sender and the receiver's own agree on the key of one payload. */
import { Buffer } from "node:buffer";
import { createHash, createPrivateKey, createPublicKey, diffieHellman, KeyObject } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { VerificationError } from "../verification-error.ts";

/** A private JWK on one of the curves; other members are ignored. */
export interface PrivateJwk {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y?: string;
  readonly d: string;
}
export type PrivateKeyInput = KeyObject | PrivateJwk;

/** JWK's names of the curves (RFC 7518 6.2.1.1, RFC 8037 2), by node:crypto's. */
const CURVES: ReadonlyMap<string | undefined, { readonly kty: "EC" | "OKP"; readonly crv: string }> = new Map(
  [
    ["prime256v1", { kty: "EC", crv: "P-256" }],
    ["secp384r1", { kty: "EC", crv: "P-384" }],
    ["secp521r1", { kty: "EC", crv: "P-521" }],
    ["x25519", { kty: "OKP", crv: "X25519" }],
  ],
);

/** @throws VerificationError `invalid_key` unless it is a private key on one of the curves; the message never holds the key */
export function importPrivateKey(input: PrivateKeyInput): KeyObject {
  try {
    const key = input instanceof KeyObject ? input : createPrivateKey({ key: { ...input }, format: "jwk" });
    if (key.type === "private" && curveOf(key) !== undefined) return key;
  } catch {
    // Falls through to the refusal below: what Node says may hold parts of the key.
  }
  throw new VerificationError(
    "invalid_key",
    "The decryption key is not a private key on one of the curves P-256, P-384, P-521 and X25519.",
  );
}

/**
 * The key that the sender's `epk` and the receiver's private key agree on; undefined when the header holds no key on the same
 * curve, or a point that is not on it.
 * @param keyBytes at most 32
 */
export function agreedKey(
  privateKey: KeyObject,
  { epk, apu, apv }: Readonly<Record<string, unknown>>,
  algorithm: string,
  keyBytes: number,
): Buffer | undefined {
  const publicKey = ephemeralKey(epk, privateKey);
  const partyU = partyInfo(apu);
  const partyV = partyInfo(apv);
  if (publicKey === undefined || partyU === undefined || partyV === undefined) return undefined;
  let shared: Buffer;
  try {
    // OpenSSL refuses an all-zero secret, which is what a point of small order on X25519 leads to (RFC 7748 6.1).
    shared = diffieHellman({ privateKey, publicKey });
  } catch {
    return undefined;
  }
  return concatKdf(shared, { algorithm, partyU, partyV, keyBytes });
}

/** Node checks that the point lies on the curve. */
function ephemeralKey(epk: unknown, privateKey: KeyObject): KeyObject | undefined {
  if (typeof epk !== "object" || epk === null) return undefined;
  const { kty, crv, x, y } = epk as Record<string, unknown>;
  const curve = curveOf(privateKey);
  if (kty !== curve?.kty || crv !== curve?.crv) return undefined;
  try {
    // Nothing else of the header's key: a `d` would make it a private one.
    return createPublicKey({ key: { kty, crv, x, y } as never, format: "jwk" });
  } catch {
    return undefined;
  }
}

function curveOf(key: KeyObject): { readonly kty: "EC" | "OKP"; readonly crv: string } | undefined {
  return CURVES.get(
    key.asymmetricKeyType === "ec" ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType,
  );
}

function partyInfo(value: unknown): Buffer | undefined {
  if (value === undefined) return Buffer.alloc(0);
  return typeof value === "string" ? decodeStrictly(value, "base64url") : undefined;
}

/** RFC 7518 4.6.2 (NIST SP 800-56A 5.8.1) with SHA-256, of which one round gives up to 32 bytes: all that is needed here. */
function concatKdf(
  shared: Buffer,
  input: { algorithm: string; partyU: Buffer; partyV: Buffer; keyBytes: number },
): Buffer {
  const hash = createHash("sha256").update(uint32(1)).update(shared);
  for (const field of [Buffer.from(input.algorithm), input.partyU, input.partyV]) {
    hash.update(uint32(field.length)).update(field);
  }
  return hash
    .update(uint32(input.keyBytes * 8))
    .digest()
    .subarray(0, input.keyBytes);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/**
 * Payload encryption: JSON Web Encryption in the compact form (RFC 7516), anew for each attempt, content by A256GCM with a
 * random 96-bit initialisation vector. What is signed is what comes out of it.
 */
import { hash, randomBytes } from "node:crypto";
import { messageOf, PosthornError, unreachable } from "../base/errors.ts";
import type { Encryption, EncryptionInput, PublicEncryptionKey } from "../domain/encryption.ts";

/** Of the encrypted body: RFC 7515 9.2.1. */
export const ENCRYPTED_CONTENT_TYPE = "application/jose";

export type Encrypt = (payload: Uint8Array) => Promise<Uint8Array>;

/** Loaded by the first endpoint that encrypts: most servers have none. */
const loadJose = () => import("jose");

export interface NewEncryption {
  readonly encryption: Encryption;
  /** The shared key of `dir`, base64url; null for `ecdh-es`. */
  readonly encryptionKey: string | null;
}

/** @throws PosthornError `invalid_field` at /encryption/publicKey: not on its curve, or of another kind than it says */
export async function newEncryption(input: EncryptionInput): Promise<NewEncryption> {
  switch (input.kind) {
    case "dir": {
      const encryptionKey = input.key ?? randomBytes(32).toString("base64url");
      return { encryption: { kind: "dir", kid: input.kid ?? sharedKeyId(encryptionKey) }, encryptionKey };
    }
    case "ecdh-es": {
      const { kty, crv, x, y, kid } = input.publicKey;
      const publicKey: PublicEncryptionKey = { kty, crv, x, ...(y === undefined ? {} : { y }) };
      const thumbprint = await checked(publicKey);
      return {
        encryption: { kind: "ecdh-es", kid: input.kid ?? kid ?? thumbprint, publicKey },
        encryptionKey: null,
      };
    }
    default:
      return unreachable(input, "encryption");
  }
}

/** What encrypts for an endpoint; made ready by its first payload, anew if that failed. It rejects when the shared key of `dir` is missing. */
export function encryptOf(encryption: Encryption, encryptionKey: string | null): Encrypt {
  let ready: Promise<Encrypt> | undefined;
  return async (payload) => {
    ready ??= makeReady(encryption, encryptionKey).catch((error: unknown) => {
      ready = undefined;
      throw error;
    });
    return (await ready)(payload);
  };
}

async function makeReady(encryption: Encryption, encryptionKey: string | null): Promise<Encrypt> {
  const { CompactEncrypt, importJWK } = await loadJose();
  const key =
    encryption.kind === "dir" ? sharedKey(encryptionKey) : await importJWK(encryption.publicKey, "ECDH-ES");
  const header = {
    alg: encryption.kind === "dir" ? "dir" : "ECDH-ES",
    enc: "A256GCM",
    kid: encryption.kid,
    cty: "application/json",
  };
  return async (payload) =>
    Buffer.from(await new CompactEncrypt(payload).setProtectedHeader(header).encrypt(key));
}

/** A key that once encrypted something is one that always can. */
async function checked(publicKey: PublicEncryptionKey): Promise<string> {
  try {
    const kinds =
      publicKey.kty === "OKP"
        ? publicKey.crv === "X25519" && publicKey.y === undefined
        : publicKey.crv !== "X25519";
    if (!kinds)
      throw new Error(`A key with kty ${publicKey.kty} has no crv ${publicKey.crv}, or a y too many.`);
    const encrypt = encryptOf({ kind: "ecdh-es", kid: "trial", publicKey }, null);
    await encrypt(Buffer.from("{}"));
    const { calculateJwkThumbprint } = await loadJose();
    return await calculateJwkThumbprint(publicKey);
  } catch (error) {
    throw new PosthornError(
      "invalid_field",
      `/encryption/publicKey is not a public key of its curve: ${messageOf(error)} Give a JWK with kty EC and crv P-256, P-384 or P-521, or kty OKP and crv X25519.`,
      { pointer: "/encryption/publicKey" },
    );
  }
}

function sharedKey(encryptionKey: string | null): Uint8Array {
  if (encryptionKey === null) throw new Error("The shared key of the payload encryption is missing.");
  return Buffer.from(encryptionKey, "base64url");
}

/** Tells keys apart, says nothing about them. */
function sharedKeyId(encryptionKey: string): string {
  return hash("sha256", Buffer.from(encryptionKey, "base64url"), "hex").slice(0, 8);
}

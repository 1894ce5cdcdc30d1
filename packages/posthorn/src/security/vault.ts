/**
 * Secrets at rest: AES-256-GCM envelopes (NIST SP 800-38D), each bound to the row that it belongs to, so that a sealed
 * secret copied to another row does not open.
 */
import { createCipheriv, createDecipheriv, hash, hkdfSync, randomFillSync } from "node:crypto";

export interface Vault {
  /**
   * `version (1) | key id (4) | iv (12) | ciphertext | tag (16)`, all in one array.
   * `binding`: `app|table|column|row id` of where the envelope will be kept.
   */
  seal(plaintext: Uint8Array | string, binding: string): Uint8Array;
  /**
   * The plaintext.
   * @throws VaultError when the envelope is damaged, belongs to another row, or was sealed under a key that is not here.
   */
  open(sealed: Uint8Array, binding: string): Uint8Array;
  /** Whether it was sealed under another key than the one that seals now. */
  isOld(sealed: Uint8Array): boolean;
  /** A key of 32 bytes for another purpose, made from the master key (HKDF, RFC 5869): the same on every node. */
  derive(purpose: string): Uint8Array;
}

export type VaultErrorReason = "damaged" | "unknown_version" | "unknown_key" | "not_authentic";

/** Says what is wrong with an envelope and where it is kept; never holds a secret, a key or the envelope itself. */
export class VaultError extends Error {
  override readonly name = "VaultError";
  readonly reason: VaultErrorReason;
  constructor(reason: VaultErrorReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

export const MASTER_KEY_BYTES = 32;
const VERSION = 1;
const KEY_ID_BYTES = 4;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES + IV_BYTES;

interface MasterKey {
  readonly key: Uint8Array;
  /** The first four bytes of the key's SHA-256: tells keys apart, says nothing about them. */
  readonly id: Buffer;
}

/** `masterKey` seals and opens; `oldMasterKeys` only open what was sealed before a change of keys. */
export function createVault(masterKey: Uint8Array, oldMasterKeys: readonly Uint8Array[] = []): Vault {
  const current = identify(masterKey);
  const byId = new Map(
    [current, ...oldMasterKeys.map(identify)].map((known) => [known.id.toString("hex"), known]),
  );

  return {
    seal(plaintext, binding) {
      const iv = randomFillSync(Buffer.alloc(IV_BYTES));
      const cipher = createCipheriv("aes-256-gcm", current.key, iv, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(binding));
      const bytes = typeof plaintext === "string" ? Buffer.from(plaintext) : plaintext;
      const ciphertext = [cipher.update(bytes), cipher.final()];
      return Buffer.concat([Buffer.of(VERSION), current.id, iv, ...ciphertext, cipher.getAuthTag()]);
    },

    derive(purpose) {
      return new Uint8Array(hkdfSync("sha256", current.key, "", `posthorn ${purpose}`, 32));
    },

    isOld(sealed) {
      return sealed[0] !== VERSION || Buffer.compare(sealed.subarray(1, 1 + KEY_ID_BYTES), current.id) !== 0;
    },

    open(sealed, binding) {
      const envelope = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      if (envelope.length < HEADER_BYTES + TAG_BYTES) {
        throw new VaultError("damaged", `The sealed secret of ${binding} is too short to be one.`);
      }
      if (envelope[0] !== VERSION) {
        throw new VaultError("unknown_version", `The sealed secret of ${binding} has an unknown version.`);
      }
      const keyId = envelope.toString("hex", 1, 1 + KEY_ID_BYTES);
      const known = byId.get(keyId);
      if (known === undefined) {
        throw new VaultError(
          "unknown_key",
          `The secret of ${binding} was sealed under the master key ${keyId}, which is not here. Start with the master key that this data was made with.`,
        );
      }
      const iv = envelope.subarray(1 + KEY_ID_BYTES, HEADER_BYTES);
      const decipher = createDecipheriv("aes-256-gcm", known.key, iv, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(binding));
      decipher.setAuthTag(envelope.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([
          decipher.update(envelope.subarray(HEADER_BYTES, -TAG_BYTES)),
          decipher.final(),
        ]);
      } catch {
        throw new VaultError(
          "not_authentic",
          `The sealed secret of ${binding} was changed, or belongs to another row.`,
        );
      }
    },
  };
}

/** The 4 bytes by which envelopes name the key that they were sealed under: they stand behind the version. */
export function masterKeyId(key: Uint8Array): Buffer {
  return hash("sha256", key, "buffer").subarray(0, KEY_ID_BYTES);
}

function identify(key: Uint8Array): MasterKey {
  if (key.length !== MASTER_KEY_BYTES) throw new Error(`A master key has 32 bytes, this one ${key.length}.`);
  return { key, id: masterKeyId(key) };
}

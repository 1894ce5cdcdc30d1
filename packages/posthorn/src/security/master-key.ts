/** Where the vault's master key comes from: the environment, else a file that is made at the first start. */
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { makeSecretFile } from "./secret-file.ts";
import { MASTER_KEY_BYTES } from "./vault.ts";

export interface MasterKeySource {
  /** The value of POSTHORN_MASTER_KEY: base64 (standard or URL-safe) or hex of 32 bytes. Wins over the file. */
  readonly fromEnvironment?: string | undefined;
  /** `<data dir>/master.key`; made, with mode 0600, when there is none. */
  readonly file: string;
}

/**
 * The 32 bytes of the master key.
 * @throws Error naming the variable or the file whose content is not a key; the content itself is never shown.
 */
export function loadMasterKey({ fromEnvironment, file }: MasterKeySource): Uint8Array {
  if (fromEnvironment !== undefined && fromEnvironment !== "") {
    return decode(fromEnvironment, "POSTHORN_MASTER_KEY");
  }
  return read(file) ?? make(file);
}

/** 16 bytes by which nodes that share a store see whether they have the same master key. They say nothing about the key. */
export function masterKeyCheck(masterKey: Uint8Array): Uint8Array {
  return createHmac("sha256", masterKey).update("posthorn key check").digest().subarray(0, 16);
}

function read(file: string): Uint8Array | undefined {
  try {
    return decode(readFileSync(file, "utf8"), `The file ${file}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function make(file: string): Uint8Array {
  const key = randomBytes(MASTER_KEY_BYTES);
  if (makeSecretFile(file, `${key.toString("base64")}\n`)) return key;
  const made = read(file);
  if (made === undefined) throw new Error(`${file} was there and is gone. Start again.`);
  return made;
}

function decode(text: string, what: string): Uint8Array {
  const trimmed = text.trim();
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, "hex");
  const bytes = Buffer.from(trimmed, "base64");
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed) && bytes.length === MASTER_KEY_BYTES) return bytes;
  throw new Error(
    `${what} must hold 32 bytes in base64 or hex (make them with: openssl rand -base64 32), but holds ${trimmed.length} characters of another form. If it was overwritten, put the old key back: without it no sealed secret opens.`,
  );
}

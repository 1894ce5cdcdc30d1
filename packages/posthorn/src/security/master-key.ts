/** Where the vault's master key comes from: the environment, else a file that is made at the first start. */
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { makeSecretFile, replaceSecretFile } from "./secret-file.ts";
import { MASTER_KEY_BYTES, masterKeyId } from "./vault.ts";

export interface MasterKeySource {
  /** The value of POSTHORN_MASTER_KEY: base64 (standard or URL-safe) or hex of 32 bytes. Wins over the file. */
  readonly fromEnvironment?: string | undefined;
  /** The value of POSTHORN_OLD_MASTER_KEYS: keys of the same form with commas between. They only open. */
  readonly oldFromEnvironment?: string | undefined;
  /**
   * `<data dir>/master.key`: the key in its first line; while a rotation is under way, the key before it in the next one.
   * Made, with mode 0600, when there is none.
   */
  readonly file: string;
  /** False: a store is there already, which a new key would not open. Default true. */
  readonly mayMake?: boolean;
}

export interface MasterKeys {
  /** 32 bytes: seals and opens. */
  readonly current: Uint8Array;
  /** Open what was sealed before a change of keys. */
  readonly old: readonly Uint8Array[];
  /** `POSTHORN_MASTER_KEY`, or the path of the file. */
  readonly source: string;
  /** The file was made by this call. */
  readonly isMade: boolean;
  /** The file holds former keys: a rotation was broken off. */
  readonly isRotating: boolean;
}

export const MASTER_KEY_VARIABLE = "POSTHORN_MASTER_KEY";
export const OLD_MASTER_KEYS_VARIABLE = "POSTHORN_OLD_MASTER_KEYS";

/**
 * The master keys.
 * @throws Error naming the variable or the file whose content is not a key; the content itself is never shown.
 */
export function loadMasterKeys(from: MasterKeySource): MasterKeys {
  const { fromEnvironment = "", oldFromEnvironment = "", file, mayMake = true } = from;
  const old = oldFromEnvironment
    .split(",")
    .filter((text) => text.trim() !== "")
    .map((text) => decode(text, OLD_MASTER_KEYS_VARIABLE));
  if (fromEnvironment !== "") {
    const current = decode(fromEnvironment, MASTER_KEY_VARIABLE);
    return { current, old, source: MASTER_KEY_VARIABLE, isMade: false, isRotating: false };
  }
  const found = read(file);
  if (found === undefined && !mayMake) {
    throw new Error(
      `${file} is missing, and ${MASTER_KEY_VARIABLE} is not set. The store's secrets were sealed under that key: put the file back, or set the variable to the key that it held.`,
    );
  }
  const { keys, isMade } = found === undefined ? make(file) : { keys: found, isMade: false };
  const [current, ...before] = keys;
  return { current, old: [...before, ...old], source: file, isMade, isRotating: before.length > 0 };
}

/** The 32 bytes of the master key alone. @throws as loadMasterKeys */
export function loadMasterKey(source: MasterKeySource): Uint8Array {
  return loadMasterKeys(source).current;
}

/** Replaces the file, whole or not at all. The first key seals from now on; the others are for opening. */
export function writeMasterKeys(file: string, keys: readonly Uint8Array[]): void {
  replaceSecretFile(file, keys.map(encode).join(""));
}

export function generateMasterKey(): Uint8Array {
  return randomBytes(MASTER_KEY_BYTES);
}

/** 16 bytes by which a store knows the master key that its secrets are sealed under. They say nothing about the key. */
export function masterKeyCheck(masterKey: Uint8Array): Uint8Array {
  return createHmac("sha256", masterKey).update("posthorn key check").digest().subarray(0, 16);
}

/** What a store knows a master key by; it says nothing about the key. */
export interface MasterKeyMark {
  /** 16 bytes, which it keeps. */
  readonly check: Uint8Array;
  /** As envelopes name it: see masterKeyId of vault.ts. */
  readonly id: Uint8Array;
}

export function masterKeyMark(masterKey: Uint8Array): MasterKeyMark {
  return { check: masterKeyCheck(masterKey), id: masterKeyId(masterKey) };
}

type FileKeys = readonly [Uint8Array, ...Uint8Array[]];

function read(file: string): FileKeys | undefined {
  try {
    const [first = "", ...others] = readFileSync(file, "utf8").trim().split("\n");
    const what = `The file ${file}`;
    return [decode(first, what), ...others.map((line) => decode(line, what))];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function make(file: string): { readonly keys: FileKeys; readonly isMade: boolean } {
  const key = generateMasterKey();
  if (makeSecretFile(file, encode(key))) return { keys: [key], isMade: true };
  const made = read(file);
  if (made === undefined) throw new Error(`${file} was there and is gone. Start again.`);
  return { keys: made, isMade: false };
}

function encode(key: Uint8Array): string {
  return `${Buffer.from(key).toString("base64")}\n`;
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

/** The first admin key: from the configuration, else made at the first start and kept in a file for this machine's users of the CLI. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Keys } from "../engine/engine.ts";
import { generateApiKey } from "../security/api-keys.ts";
import { makeSecretFile } from "../security/secret-file.ts";

export interface AdminKey {
  /** `<data dir>/admin.key` when it is there. */
  readonly file: string | null;
  /** A key that was made by this start, to be shown once. */
  readonly made: string | null;
}

/**
 * A configured key is always made valid: it is the way back in. The file's key only while there is no key at all,
 * so that a key that was revoked does not come back with a restart.
 */
export async function ensureAdminKey(
  keys: Keys,
  dataDir: string,
  configured: string | undefined,
): Promise<AdminKey> {
  const file = path.join(dataDir, "admin.key");
  if (configured !== undefined) {
    await keys.ensureAdmin(configured);
    return { file: null, made: null };
  }
  const known = existsSync(file);
  if ((await keys.list({ limit: 1 })).data.length > 0) return { file: known ? file : null, made: null };
  const { key } = generateApiKey();
  // On PostgreSQL nothing else may have needed it.
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  // Before the key is valid: a crash in between leaves a file that the next start uses, never a key that nobody knows.
  const made = makeSecretFile(file, `${key}\n`);
  await keys.ensureAdmin(made ? key : readKey(file));
  return { file, made: made ? key : null };
}

function readKey(file: string): string {
  const key = readFileSync(file, "utf8").trim();
  if (key.startsWith("phk_")) return key;
  throw new Error(
    `${file} holds no admin key (${key.length} characters). Remove it, and the next start makes a new one.`,
  );
}

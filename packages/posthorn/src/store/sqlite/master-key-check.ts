/** Whether the secrets of the database are sealed under a master key that the caller has: without it none of them opens. */
import type { DatabaseSync } from "node:sqlite";
import { isSameCheck, WrongMasterKeyError } from "../wrong-master-key.ts";
import { pragma } from "./database.ts";
import type { SqliteSettings } from "./options.ts";
import { query, statement } from "./statement.ts";

/** Since this version of the schema a database says which key it is. */
const SCHEMA_VERSION = 4;

/** Before anything is changed. @throws WrongMasterKeyError */
export function refuseWrongMasterKey(db: DatabaseSync, { keyChecks, dataDir }: SqliteSettings): void {
  if (keyChecks.length === 0 || Number(pragma(db, "user_version")) < SCHEMA_VERSION) return;
  const known = query<{ check: Uint8Array | null }>(
    db,
    'SELECT master_key_check AS "check" FROM store_facts',
  ).get()?.check;
  if (known == null || keyChecks.some((check) => isSameCheck(check, known))) return;
  throw new WrongMasterKeyError(`the store in ${dataDir}`);
}

/** From the first start on. A change of keys is told by `save` (`master_key`). */
export function rememberMasterKey(db: DatabaseSync, { keyChecks: [current] }: SqliteSettings): void {
  if (current === undefined) return;
  statement(db, "UPDATE store_facts SET master_key_check = ? WHERE master_key_check IS NULL").run(current);
}

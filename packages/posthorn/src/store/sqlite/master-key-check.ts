/** Whether the secrets of the database are sealed under a master key that the caller has: without it none of them opens. */
import type { DatabaseSync } from "node:sqlite";
import type { MasterKeyMark } from "../../security/master-key.ts";
import { isSameCheck, WrongMasterKeyError } from "../wrong-master-key.ts";
import { pragma } from "./database.ts";
import type { SqliteSettings } from "./options.ts";
import { query, statement } from "./statement.ts";

/** Since this version of the schema a database says which key it is. What sealed secrets a database of before may have: these. */
const SCHEMA_VERSION = 4;
const KEY_IDS = `
  SELECT DISTINCT substr(sealed, 2, 4) AS id
  FROM (SELECT sealed FROM endpoint_secrets UNION ALL SELECT sealed_headers FROM endpoints) WHERE sealed IS NOT NULL`;

/** Before anything is changed. @throws WrongMasterKeyError */
export function refuseWrongMasterKey(db: DatabaseSync, { masterKeyMarks, dataDir }: SqliteSettings): void {
  if (masterKeyMarks.length > 0 && masterKeyOf(db, masterKeyMarks) === undefined)
    throw new WrongMasterKeyError(`the store in ${dataDir}`);
}

/** From the first start on. A change of keys is told by `save` (`master_key`). */
export function rememberMasterKey(db: DatabaseSync, { masterKeyMarks }: SqliteSettings): void {
  const key = masterKeyOf(db, masterKeyMarks);
  if (key === undefined) return;
  statement(db, "UPDATE store_facts SET master_key_check = ? WHERE master_key_check IS NULL").run(key.check);
}

/**
 * Of the master keys that are here, that which the secrets are sealed under: the first, as long as there are none. Undefined:
 * it is none of them. A database that has no check value tells by its envelopes.
 */
export function masterKeyOf(db: DatabaseSync, keys: readonly MasterKeyMark[]): MasterKeyMark | undefined {
  const version = Number(pragma(db, "user_version"));
  if (version === 0) return keys[0];
  const known = version < SCHEMA_VERSION ? null : checkIn(db);
  if (known !== null) return keys.find(({ check }) => isSameCheck(check, known));
  const ids = query<{ id: Uint8Array }>(db, KEY_IDS).all();
  if (ids.length === 0) return keys[0];
  return keys.find((key) => ids.some(({ id }) => Buffer.compare(id, key.id) === 0));
}

function checkIn(db: DatabaseSync): Uint8Array | null {
  const facts = 'SELECT master_key_check AS "check" FROM store_facts';
  return query<{ check: Uint8Array | null }>(db, facts).get()?.check ?? null;
}

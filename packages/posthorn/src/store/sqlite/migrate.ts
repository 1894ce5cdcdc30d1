/** Brings a database to this program's schema. The numbered files in migrations/ are plain SQL; `user_version` says how many ran. */
import { readdirSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pragma } from "./database.ts";

const FOLDER = new URL("./migrations/", import.meta.url);

function migrations(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => /^\d{4}\.sql$/.test(name))
    .sort();
}

/** The schema version of this program: the number of its last migration. */
export function schemaVersion(): number {
  return Number(migrations().at(-1)?.slice(0, 4) ?? 0);
}

/** Refuses a database of a newer program. Opens it read-only, so that a refused file is left as it was. */
export function refuseNewer(file: string): void {
  const db = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  try {
    const found = Number(pragma(db, "user_version"));
    const known = schemaVersion();
    if (found > known) {
      throw new Error(
        `${file} has schema version ${found}, and this posthorn knows versions up to ${known}. ` +
          "Nothing was changed. Start the newer posthorn that wrote it, or restore a backup made before the upgrade.",
      );
    }
  } finally {
    db.close();
  }
}

/** Runs what is missing, all of it in one transaction. */
export function migrate(db: DatabaseSync): void {
  const found = Number(pragma(db, "user_version"));
  const missing = migrations().filter((name) => Number(name.slice(0, 4)) > found);
  if (missing.length === 0) return;
  db.exec("BEGIN IMMEDIATE");
  try {
    for (const name of missing) db.exec(readFileSync(new URL(name, FOLDER), "utf8"));
    db.exec(`PRAGMA user_version = ${schemaVersion()}`);
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

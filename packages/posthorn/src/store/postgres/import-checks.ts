/** What is looked at before a copy is written to a database, and before anything is changed in it. */
import type { CarriedRow } from "../carried.ts";
import type { Connection } from "./connection.ts";

export interface TargetOptions {
  readonly url: string;
  /** What is copied: its id, and a check value of the master key that its secrets are sealed under. */
  readonly source: string;
  readonly keyCheck: Uint8Array;
  /** Rows of all apps that the source has now. */
  apps(): readonly CarriedRow[];
}

/** The name of the incarnation that holds what was leased at the source. */
export const COPIED = "the store that was copied";

/** @throws Error one line, when the database has anything that is not of this copy */
export async function refuseStrangers(
  connection: Connection,
  { source, keyCheck }: TargetOptions,
): Promise<void> {
  const [there] = await connection.query<{ copies: boolean }>({
    text: "SELECT to_regclass('posthorn.copies') IS NOT NULL AS copies",
  });
  const [copy] =
    there?.copies === true
      ? await connection.query<{ source: string }>({ text: "SELECT source FROM posthorn.copies" })
      : [];
  const [found] = await connection.query<{ apps: number; nodes: number; keyCheck: Uint8Array | null }>({
    text: `SELECT (SELECT count(*) FROM posthorn.apps) AS apps,
      (SELECT count(*) FROM posthorn.incarnations WHERE name <> '${COPIED}') AS nodes, key_check AS "keyCheck" FROM posthorn.facts`,
  });
  if (copy === undefined && ((found?.apps ?? 0) > 0 || (found?.nodes ?? 0) > 0)) {
    throw new Error(
      `The database --to is in use by a Posthorn of its own (${found?.apps} apps): give a new database. Nothing was changed.`,
    );
  }
  if (copy !== undefined && copy.source !== source) {
    throw new Error(
      "The database --to has a copy of another store: give a new database for this one. Nothing was changed.",
    );
  }
  if (copy !== undefined && (found?.nodes ?? 0) > 0) {
    throw new Error(
      "Nodes have worked on the copy in the database --to since: copying on would undo that. Drop it, or give a new database. Nothing was changed.",
    );
  }
  if (found?.keyCheck != null && Buffer.compare(found.keyCheck, keyCheck) !== 0) {
    throw new Error(
      "The database --to belongs to another master key than the source's: give the same POSTHORN_MASTER_KEY as before, or a new database. Nothing was changed.",
    );
  }
}

/** @throws Error one line, when another copy is at it */
export async function takeAlone(connection: Connection): Promise<void> {
  const [row] = await connection.query<{ taken: boolean }>({
    text: "SELECT pg_try_advisory_lock(hashtext('posthorn.copy')) AS taken",
  });
  if (row?.taken !== true)
    throw new Error("Another `posthorn store copy` is writing to this database: wait for it, or stop it.");
}

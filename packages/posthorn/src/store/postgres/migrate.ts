/**
 * Brings a database to this program's schema. The numbered files in migrations/ are plain SQL, each run in one transaction
 * with its row in posthorn.migrations.
 *
 * A schema may be newer than a program: nodes are upgraded one after the other. Each migration names the oldest program
 * that may go on beside it, by that program's last migration, in a line `-- oldest program: 7`; without the line it is the
 * migration before. An older one is refused. Where a release brings several migrations, each names the last one of the
 * release before.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "./connection.ts";
import { failureOf } from "./failure.ts";

interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
  readonly oldestProgram: number;
}

/** What was found. A database without the schema has version 0. */
export interface SchemaState {
  readonly version: number;
  /** Programs that know fewer migrations must not run on it. */
  readonly oldestProgram: number;
}

const FOLDER = new URL("./migrations/", import.meta.url);
const NAME = /^(\d{4}).*\.sql$/;
const OLDEST_PROGRAM = /^-- oldest program: (\d+)$/m;
const LOCK = "pg_advisory_lock(hashtext('posthorn.migrate'))";
const UNLOCK = "pg_advisory_unlock(hashtext('posthorn.migrate'))";
/** How long one turn waits for a table, how long it lets others pass, and how many there are. */
const TURN_MS = 1000;
const PAUSE_MS = 500;
const TURNS = 40;

function migrations(): Migration[] {
  return readdirSync(FOLDER)
    .filter((name) => NAME.test(name))
    .sort()
    .map((name) => {
      const version = Number(name.slice(0, 4));
      const text = readFileSync(new URL(name, FOLDER), "utf8");
      return { version, name, text, oldestProgram: Number(OLDEST_PROGRAM.exec(text)?.[1] ?? version - 1) };
    });
}

/** The schema version of this program: the number of its last migration. */
export function schemaVersion(): number {
  return migrations().at(-1)?.version ?? 0;
}

export async function schemaState(connection: Connection): Promise<SchemaState> {
  const [table] = await connection.query<{ there: boolean }>({
    text: "SELECT to_regclass('posthorn.migrations') IS NOT NULL AS there",
  });
  if (table?.there !== true) return { version: 0, oldestProgram: 0 };
  const [found] = await connection.query<SchemaState>({
    text: `SELECT coalesce(max(version), 0) AS version, coalesce(max(oldest_program), 0) AS "oldestProgram"
      FROM posthorn.migrations`,
  });
  return found ?? { version: 0, oldestProgram: 0 };
}

/**
 * Runs what is missing; of several nodes that start at once one does, and the others wait for it.
 * Answers the names of the files that were run.
 */
export async function migrate(connection: Connection): Promise<string[]> {
  if ((await schemaState(connection)).version >= schemaVersion()) return [];
  return connection.withoutLimits(async () => {
    await connection.query({ text: `SELECT ${LOCK}` });
    try {
      await connection.query({ text: PREPARE });
      const { version } = await schemaState(connection);
      const missing = migrations().filter((each) => each.version > version);
      for (const migration of missing) await runPatiently(connection, migration);
      return missing.map(({ name }) => name);
    } finally {
      if (!connection.isBroken) await connection.query({ text: `SELECT ${UNLOCK}` });
    }
  });
}

// IF NOT EXISTS asks for the right to create even where nothing is to be created.
const PREPARE = `DO $$ BEGIN
  IF to_regnamespace('posthorn') IS NULL THEN
    CREATE SCHEMA posthorn;
  END IF;
  IF to_regclass('posthorn.migrations') IS NULL THEN
    CREATE TABLE posthorn.migrations (
      version integer PRIMARY KEY,
      name text NOT NULL,
      oldest_program integer NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    );
  END IF;
END $$`;

/** A table that somebody holds is waited for in short turns, because everybody else queues behind who waits for it. */
async function runPatiently(connection: Connection, migration: Migration): Promise<void> {
  for (let turn = 1; ; turn++) {
    try {
      return await run(connection, migration);
    } catch (error) {
      if (failureOf(error) !== "again" || turn === TURNS) throw error;
    }
    await sleep(PAUSE_MS);
  }
}

async function run(connection: Connection, { version, name, text, oldestProgram }: Migration): Promise<void> {
  await connection.query({ text: "BEGIN" });
  try {
    await connection.query({ text: `SET LOCAL lock_timeout = ${TURN_MS}` });
    await connection.query({ text });
    await connection.query(
      { text: "INSERT INTO posthorn.migrations (version, name, oldest_program) VALUES ($1, $2, $3)" },
      [version, name, oldestProgram],
    );
    await connection.query({ text: "COMMIT" });
  } catch (error) {
    if (!connection.isBroken) await connection.query({ text: "ROLLBACK" });
    throw error;
  }
}

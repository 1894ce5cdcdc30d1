// Databases for test files: one server for the process, one migrated database as the template, and a copy of it for each test.
// The server ends with the file's tests.
import { randomBytes } from "node:crypto";
import { after } from "node:test";
import pg from "pg";
import { Connection } from "../src/store/postgres/connection.ts";
import { migrate } from "../src/store/postgres/migrate.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

export interface TestDatabase {
  readonly url: string;
  /** Of this process alone; null: POSTHORN_TEST_POSTGRES names one that others may use too. */
  readonly server: PostgresServer | null;
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** Without our schema. */
  readonly empty?: boolean;
}

interface Base {
  readonly server: PostgresServer | null;
  /** Of a database that is always there. */
  readonly url: string;
  readonly template: string;
}

let base: Promise<Base> | undefined;

// When all tests of the file are through.
after(endBase);

/** POSTHORN_TEST_POSTGRES: the URL of a running server, with the right to create databases. */
export async function openTestDatabase({ empty = false }: TestDatabaseOptions = {}): Promise<TestDatabase> {
  base ??= startBase();
  const { server, url, template } = await base;
  const name = newName();
  await administer(url, `CREATE DATABASE ${name} TEMPLATE ${empty ? "template0" : template}`);
  return {
    url: urlOf(url, name),
    server,
    drop: () => administer(url, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

async function endBase(): Promise<void> {
  if (base === undefined) return;
  const { server, url, template } = await base;
  if (server !== null) await server.destroy();
  else await administer(url, `DROP DATABASE ${template} WITH (FORCE)`);
}

async function startBase(): Promise<Base> {
  const given = process.env.POSTHORN_TEST_POSTGRES;
  const server = given === undefined || given === "" ? await startPostgres() : null;
  const url = server?.url ?? (given as string);
  const template = newName();
  await administer(url, `CREATE DATABASE ${template} TEMPLATE template0`);
  const connection = await Connection.open({
    url: urlOf(url, template),
    applicationName: "posthorn-test",
    statementMsMax: null,
  });
  await migrate(connection);
  // A copy of ready partitions is quicker than making them in every test.
  await connection.query({
    text: `SELECT posthorn.make_partitions(30::smallint, today - 1, today + 7)
      FROM (SELECT to_timestamp(posthorn.now_ms() / 1000.0)::date AS today) AS clock`,
  });
  await connection.close();
  return { server, url, template };
}

async function administer(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

function newName(): string {
  return `posthorn_test_${randomBytes(6).toString("hex")}`;
}

function urlOf(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

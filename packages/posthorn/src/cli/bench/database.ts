/**
 * The databases of a bench run. Each rig has one of its own, beside the one that the URL names, made for it and dropped
 * after it: the bench writes nowhere else, and two rigs can be compared window by window on one server.
 */
import { randomBytes } from "node:crypto";
import { messageOf } from "../../base/errors.ts";
import { addressOf, explainRefusal } from "../../store/postgres/address.ts";
import { Connection } from "../../store/postgres/connection.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import type { Workspace } from "../proof/workspace.ts";

export class BenchDatabase {
  readonly url: string;
  #connection: Connection;

  private constructor(url: string, connection: Connection) {
    this.url = url;
    this.#connection = connection;
  }

  /**
   * Makes one, which goes with the workspace.
   * @param url of a database on that server
   */
  static async make(workspace: Workspace, url: string, name: string): Promise<BenchDatabase> {
    const chosen = `posthorn_bench_${name.replaceAll(/\W/g, "_")}_${randomBytes(4).toString("hex")}`;
    await administer(url, `CREATE DATABASE ${chosen} ENCODING 'UTF8' TEMPLATE template0`);
    workspace.atEnd(() => administer(url, `DROP DATABASE ${chosen} WITH (FORCE)`));
    const own = new URL(url);
    own.pathname = `/${chosen}`;
    const connection = await open(own.href);
    workspace.atEnd(() => connection.close());
    return new BenchDatabase(own.href, connection);
  }

  ask<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.#connection.query<Row>({ text }, values);
  }

  /** The one value of a statement that gives one. */
  async value<Value>(text: string, values: readonly unknown[] = []): Promise<Value> {
    const [row] = await this.ask<Record<string, Value>>(text, values);
    return Object.values(row ?? {})[0] as Value;
  }

  /** Another session. */
  session(): Promise<Connection> {
    return open(this.url);
  }
}

/** What a figure of the database depends on. */
export interface DatabaseFacts {
  readonly version: string;
  readonly settings: Readonly<Record<string, string>>;
}

const SETTINGS = ["fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "wal_compression"];

/** @throws CliError when the database is in use by a Posthorn: its load and the bench's would spoil each other */
export async function describeDatabase(url: string): Promise<DatabaseFacts> {
  const connection = await open(url);
  try {
    const [there] = await connection.query<{ schema: boolean }>({
      text: "SELECT to_regclass('posthorn.apps') IS NOT NULL AS schema",
    });
    if (there?.schema === true) await refuseApps(connection, url);
    const rows = await connection.query<{ name: string; setting: string }>(
      { text: "SELECT name, current_setting(name) AS setting FROM unnest($1::text[]) AS name" },
      [["server_version", ...SETTINGS]],
    );
    const [version, ...settings] = rows.map(({ name, setting }) => [name, setting] as const);
    return { version: version?.[1] ?? "unknown", settings: Object.fromEntries(settings) };
  } finally {
    await connection.close();
  }
}

async function refuseApps(connection: Connection, url: string): Promise<void> {
  const [found] = await connection.query<{ apps: number }>({
    text: "SELECT count(*)::integer AS apps FROM posthorn.apps",
  });
  if (found === undefined || found.apps === 0) return;
  const { database, at } = addressOf(url);
  throw new CliError(
    EXIT_CODES.usage,
    `The database ${database} at ${at} has ${found.apps} apps: somebody works with it.`,
    {
      hint: "Give the URL of an empty database, best on a server of its own.",
    },
  );
}

async function administer(url: string, text: string): Promise<void> {
  const connection = await open(url);
  try {
    await connection.query({ text });
  } catch (error) {
    throw new CliError(EXIT_CODES.failure, `The bench cannot make a database: ${messageOf(error)}.`, {
      hint: "Give the URL of a user with the right to make databases: ALTER ROLE ... CREATEDB.",
      cause: error,
    });
  } finally {
    await connection.close();
  }
}

async function open(url: string): Promise<Connection> {
  const address = addressOf(url);
  try {
    return await Connection.open({ url, applicationName: "posthorn-bench", statementMsMax: null });
  } catch (error) {
    throw explainRefusal(error, address);
  }
}

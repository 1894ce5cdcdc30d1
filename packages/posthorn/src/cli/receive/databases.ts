/** The databases of a receiver: each is opened once, whoever asks for it, and all are closed at the end. */
import { DatabaseSync } from "node:sqlite";
import type { Pool as MysqlPool } from "mysql2/promise";
import type { Pool as PostgresPool } from "pg";
import type { RedisClientType } from "redis";
import { messageOf, unreachable } from "../../base/errors.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { say } from "../output/output.ts";
import { type Address, keyOf } from "./address.ts";

export type Opened =
  | { readonly kind: "sqlite"; readonly database: DatabaseSync }
  | { readonly kind: "postgres"; readonly pool: PostgresPool }
  | { readonly kind: "mysql"; readonly pool: MysqlPool }
  | { readonly kind: "redis"; readonly client: Pick<RedisClientType, "sendCommand"> }
  | { readonly kind: "memory" };

/** Of another connection that writes: as long as a sender waits, about. */
const SQLITE_BUSY_MS = 5000;

const RECONNECT_MS_MAX = 2000;

export class Databases {
  readonly #opened = new Map<string, Opened>();
  readonly #closings: (() => unknown)[] = [];

  /** @throws CliError that names the database, or the package that is missing */
  async open(address: Address): Promise<Opened> {
    const key = keyOf(address);
    const known = this.#opened.get(key);
    if (known !== undefined) return known;
    const opened = await this.#openNew(address);
    this.#opened.set(key, opened);
    return opened;
  }

  async close(): Promise<void> {
    for (const close of this.#closings.splice(0).reverse()) await close();
  }

  async #openNew(address: Address): Promise<Opened> {
    switch (address.kind) {
      case "sqlite":
        return this.#openSqlite(address);
      case "postgres": {
        const { Pool } = (await import("pg")).default;
        const pool = new Pool({ connectionString: address.url });
        // Of a connection that nobody uses at this moment: the next query opens another.
        pool.on("error", (error) => say(`${address.shown}: ${error.message}`));
        this.#closings.push(() => pool.end());
        return { kind: "postgres", pool };
      }
      case "mysql": {
        const { createPool } = await peer("mysql2", () => import("mysql2/promise"));
        const pool = createPool({ uri: address.url, charset: "utf8mb4" });
        this.#closings.push(() => pool.end());
        const connection = await pool.getConnection().catch((error: unknown) => unreached(address, error));
        connection.release();
        return { kind: "mysql", pool };
      }
      case "redis": {
        const { createClient } = await peer("redis", () => import("redis"));
        let isReady = false;
        const client = createClient({
          url: address.url,
          // What cannot be asked now is answered 503, and does not wait.
          disableOfflineQueue: true,
          // The first connection has to come about; one that is lost comes back.
          socket: { reconnectStrategy: (tries) => isReady && Math.min(100 * tries, RECONNECT_MS_MAX) },
        });
        client.on("error", (error: unknown) => isReady && say(`${address.shown}: ${messageOf(error)}`));
        await client.connect().catch((error: unknown) => unreached(address, error));
        isReady = true;
        this.#closings.push(() => client.close());
        return { kind: "redis", client };
      }
      case "memory":
        return { kind: "memory" };
      default:
        return unreachable(address, "database");
    }
  }

  #openSqlite({ file, shown }: Address & { kind: "sqlite" }): Opened {
    try {
      const database = new DatabaseSync(file, { timeout: SQLITE_BUSY_MS });
      this.#closings.push(() => database.close());
      checkTakesWrites(database);
      return { kind: "sqlite", database };
    } catch (error) {
      throw new CliError(EXIT_CODES.usage, `${shown}: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** Of SQLite: https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;

/**
 * Known at the start, not at the first event. One that another connection writes to at this moment will take them later. It takes a write,
 * which is undone: of a file that is read only, BEGIN IMMEDIATE alone begins to read.
 */
function checkTakesWrites(database: DatabaseSync): void {
  try {
    database.exec("BEGIN IMMEDIATE; PRAGMA user_version = 1; ROLLBACK");
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return;
    throw new Error(`it takes no writes: ${messageOf(error)}`, { cause: error });
  }
}

/** @throws CliError that names the database, without its password */
function unreached({ shown }: Address, error: unknown): never {
  // Of a name with several addresses: one error for each, and no text of its own.
  const errors: unknown[] = error instanceof AggregateError ? error.errors : [error];
  throw new CliError(EXIT_CODES.failure, `${shown}: ${errors.map(messageOf).join(", ")}`, { cause: error });
}

/** Optional peer dependencies, loaded when used. */
async function peer<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    throw new CliError(EXIT_CODES.usage, `This needs the package ${name}, which is not installed.`, {
      hint: `npm install ${name}`,
      cause: error,
    });
  }
}

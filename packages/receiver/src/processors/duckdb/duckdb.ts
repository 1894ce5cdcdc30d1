/**
 * DuckDB, which is no dependency of this package: `npm install @duckdb/node-api`. A database in memory that reads and writes the files
 * it was opened for and no other, loads no extension, and reaches no network.
 * Source: https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
 */
import { importPeer } from "./peer.ts";

export type DuckDbModule = typeof import("@duckdb/node-api");
type Connection = import("@duckdb/node-api").DuckDBConnection;

export interface DuckDb {
  readonly module: DuckDbModule;
  readonly connection: Connection;
  close(): void;
}

/** @throws Error that names the package, where it is not installed */
export function loadDuckDb(): Promise<DuckDbModule> {
  return importPeer("@duckdb/node-api", () => import("@duckdb/node-api"));
}

/** @param files absolute paths */
export async function openDuckDb(files: readonly string[]): Promise<DuckDb> {
  const module = await loadDuckDb();
  const instance = await module.DuckDBInstance.create(":memory:", {
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
    // It would spill to a folder .tmp where the process runs.
    temp_directory: "",
  });
  const connection = await instance.connect();
  const close = () => {
    connection.closeSync();
    instance.closeSync();
  };
  try {
    await connection.run(`SET allowed_paths = [${files.map(quoteText).join(", ")}]`);
    await connection.run("SET enable_external_access = false");
    await connection.run("SET TimeZone = 'UTC'");
    await connection.run("SET lock_configuration = true");
  } catch (error) {
    close();
    throw error;
  }
  return { module, connection, close };
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

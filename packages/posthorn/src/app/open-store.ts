/** The store that the configuration names, and the master keys that its secrets are sealed with. */
import { existsSync, mkdirSync, unlinkSync } from "node:fs";
import path from "node:path";
import type { Logger } from "../base/logger.ts";
import {
  loadMasterKeys,
  type MasterKeyMark,
  type MasterKeys,
  masterKeyMark,
} from "../security/master-key.ts";
import { DATABASE_FILE, openSqliteStore } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import { WrongMasterKeyError } from "../store/wrong-master-key.ts";
import type { EngineConfig } from "./options.ts";

export interface OpenStore {
  readonly store: Store;
  readonly masterKeys: MasterKeys;
}

/**
 * @param options.mustExist neither a store nor a key is made where there is none
 * @throws Error with a sentence for people; it never shows the password of a URL, nor a key
 */
export async function openStore(
  config: EngineConfig,
  dataDir: string,
  logger: Logger,
  { mustExist = false }: { readonly mustExist?: boolean } = {},
): Promise<OpenStore> {
  const isSqlite = config.store === "sqlite:";
  const database = path.join(dataDir, DATABASE_FILE);
  const exists = !isSqlite || existsSync(database);
  if (mustExist && !exists) throw new Error(`There is no store ${database}. Check --data-dir.`);
  if (!mustExist && (isSqlite || config.masterKey === undefined)) makeDataDir(dataDir);
  const masterKeys = loadMasterKeys({
    fromEnvironment: config.masterKey,
    oldFromEnvironment: config.oldMasterKeys,
    file: path.join(dataDir, "master.key"),
    // A key that is made now would open nothing of a database that is there.
    mayMake: !mustExist && !(isSqlite && exists),
  });
  const marks = [masterKeys.current, ...masterKeys.old].map(masterKeyMark);
  try {
    const store = isSqlite
      ? await openSqlite(config, dataDir, logger, marks)
      : await openPostgres(config, logger, marks);
    return { store, masterKeys };
  } catch (error) {
    if (error instanceof WrongMasterKeyError) throw wrongMasterKey(error, masterKeys, dataDir);
    throw error;
  }
}

function openSqlite(
  config: EngineConfig,
  dataDir: string,
  logger: Logger,
  masterKeyMarks: readonly MasterKeyMark[],
): Promise<Store> {
  const { diskReserveBytes: reserveBytes, idempotencyMs } = config;
  return openSqliteStore({ dataDir, logger, reserveBytes, idempotencyMs, masterKeyMarks });
}

/** The driver is loaded by those who use it. The data directory holds nothing but keys that the environment does not give. */
async function openPostgres(
  config: EngineConfig,
  logger: Logger,
  masterKeyMarks: readonly MasterKeyMark[],
): Promise<Store> {
  const { openPostgresStore } = await import("../store/postgres/postgres.ts");
  return openPostgresStore({
    url: config.store,
    logger,
    cluster: config.cluster,
    masterKeyMarks,
    connectionsMax: config.databaseConnectionsMax,
    idempotencyMs: config.idempotencyMs,
    heartbeatMs: config.heartbeatMs,
    deadAfterMs: config.deadAfterMs,
  });
}

/** Says where the right key was expected. A key that was made just now goes again: nobody shall take it for the store's. */
function wrongMasterKey(error: WrongMasterKeyError, { source, isMade }: MasterKeys, dataDir: string): Error {
  const file = path.join(dataDir, "master.key");
  if (isMade) unlinkSync(file);
  const where = isMade ? `There was no ${file}` : `The key came from ${source}`;
  return new Error(
    `${error.message} ${where}. Put the store's own key into ${file}, or set POSTHORN_MASTER_KEY to it.`,
    { cause: error },
  );
}

function makeDataDir(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
}

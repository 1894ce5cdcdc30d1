/** The store that the configuration names, and the master key that its secrets are sealed with. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { Logger } from "../base/logger.ts";
import { loadMasterKey, masterKeyCheck } from "../security/master-key.ts";
import { openSqliteStore } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import type { EngineConfig } from "./options.ts";

export interface OpenStore {
  readonly store: Store;
  readonly masterKey: Uint8Array;
}

/** @throws Error with a sentence for people; it never shows the password of a URL */
export function openStore(config: EngineConfig, dataDir: string, logger: Logger): Promise<OpenStore> {
  return config.store === "sqlite:"
    ? openSqlite(config, dataDir, logger)
    : openPostgres(config, dataDir, logger);
}

async function openSqlite(config: EngineConfig, dataDir: string, logger: Logger): Promise<OpenStore> {
  const { diskReserveBytes: reserveBytes, idempotencyMs } = config;
  makeDataDir(dataDir);
  const store = await openSqliteStore({ dataDir, logger, reserveBytes, idempotencyMs });
  try {
    // After the store: its lock keeps a second process out before that one makes a key of its own.
    return { store, masterKey: readMasterKey(config, dataDir) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** The driver is loaded by those who use it. The data directory holds nothing but keys that the environment does not give. */
async function openPostgres(config: EngineConfig, dataDir: string, logger: Logger): Promise<OpenStore> {
  const { openPostgresStore } = await import("../store/postgres/postgres.ts");
  if (config.masterKey === undefined) makeDataDir(dataDir);
  const masterKey = readMasterKey(config, dataDir);
  const store = await openPostgresStore({
    url: config.store,
    logger,
    cluster: config.cluster,
    keyCheck: masterKeyCheck(masterKey),
    connectionsMax: config.databaseConnectionsMax,
    idempotencyMs: config.idempotencyMs,
    heartbeatMs: config.heartbeatMs,
    deadAfterMs: config.deadAfterMs,
  });
  return { store, masterKey };
}

function readMasterKey({ masterKey }: EngineConfig, dataDir: string): Uint8Array {
  return loadMasterKey({ fromEnvironment: masterKey, file: path.join(dataDir, "master.key") });
}

function makeDataDir(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
}

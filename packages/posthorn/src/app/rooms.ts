/** Builds the rooms from the configuration and connects them: store, guard, transport, vault, engine. */
import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { PosthornError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { createEngine } from "../engine/create.ts";
import type { Engine } from "../engine/engine.ts";
import { ENGINE_DEFAULTS, type EngineOptions } from "../engine/options.ts";
import { createAddressGuard } from "../security/address-guard.ts";
import { loadMasterKey } from "../security/master-key.ts";
import { createVault } from "../security/vault.ts";
import { openSqliteStore } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import { createWebhookTransport } from "../transports/webhook/webhook-transport.ts";
import type { EngineConfig } from "./options.ts";

export interface Rooms {
  readonly engine: Engine;
  readonly store: Store;
  readonly dataDir: string;
  readonly version: string;
  /** Stops the engine, then closes what it stood on. */
  close(): Promise<void>;
}

/**
 * Opens the data directory and starts the engine on it.
 * @throws Error with a sentence for people: the directory is in use, its database is newer, the master key is not its own
 */
export async function openRooms(config: EngineConfig, logger: Logger, version: string): Promise<Rooms> {
  refuseOtherStores(config.store);
  const dataDir = path.resolve(config.dataDir);
  const guard = createAddressGuard({
    allowNetworks: config.allowNetworks,
    allowPorts: config.allowPorts === "all" ? "any" : config.allowPorts,
    allowHosts: config.allowHosts,
  });
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const store = await openSqliteStore({
    dataDir,
    logger,
    reserveBytes: config.diskReserveBytes,
    idempotencyMs: config.idempotencyMs,
  });
  try {
    // After the store: its lock keeps a second process out before that one makes a key of its own.
    const masterKey = loadMasterKey({
      fromEnvironment: config.masterKey,
      file: path.join(dataDir, "master.key"),
    });
    const { connectTimeoutMs } = config;
    const transport = createWebhookTransport({ guard, connectTimeoutMs, userAgent: `Posthorn/${version}` });
    const engine = createEngine(
      {
        store,
        transports: { webhook: transport },
        vault: createVault(masterKey),
        logger,
        nodeName: hostname(),
        version,
      },
      engineOptions(config),
    );
    await engine.start();
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      try {
        await engine.stop();
      } finally {
        try {
          await transport.close();
        } finally {
          await store.close();
        }
      }
    };
    return {
      engine,
      store,
      dataDir,
      version,
      close: () => (closing ??= close()),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function engineOptions(config: EngineConfig): Partial<EngineOptions> {
  const names = Object.keys(ENGINE_DEFAULTS).filter((name) => name in config);
  return Object.fromEntries(names.map((name) => [name, config[name as keyof EngineConfig]]));
}

function refuseOtherStores(store: string): void {
  if (store === "sqlite:") return;
  const postgres = /^postgres(ql)?:/.test(store);
  // A connection string can hold a password: only its scheme is shown.
  const scheme = /^[a-z]+:/i.exec(store)?.[0] ?? "that";
  throw new PosthornError(
    "invalid_field",
    postgres
      ? "A store on PostgreSQL is not there yet. Leave `store` out, or set it to sqlite: for the embedded store."
      : `A store "${scheme}" is not known. Leave \`store\` out, or set it to sqlite: for the embedded store.`,
    { pointer: "/store" },
  );
}

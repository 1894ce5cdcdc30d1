/** Builds the rooms from the configuration and connects them: store, guard, transport, vault, engine. */
import { hostname } from "node:os";
import path from "node:path";
import type { Logger } from "../base/logger.ts";
import { createEngine } from "../engine/create.ts";
import type { Engine } from "../engine/engine.ts";
import { ENGINE_DEFAULTS, type EngineOptions } from "../engine/options.ts";
import { createAddressGuard } from "../security/address-guard.ts";
import { createVault } from "../security/vault.ts";
import type { Store } from "../store/store.ts";
import { createWebhookTransport } from "../transports/webhook/webhook-transport.ts";
import { openStore } from "./open-store.ts";
import type { EngineConfig } from "./options.ts";

export interface Rooms {
  readonly engine: Engine;
  readonly store: Store;
  readonly dataDir: string;
  readonly version: string;
  /** The server's own port: no delivery may lead back to it. */
  ownListener(port: number): void;
  /** Stops the engine, then closes what it stood on. */
  close(): Promise<void>;
}

/**
 * Opens the store and starts the engine on it.
 * @throws Error with a sentence for people: the store is in use or cannot be reached, it is newer, the master key is not its own
 */
export async function openRooms(config: EngineConfig, logger: Logger, version: string): Promise<Rooms> {
  const dataDir = path.resolve(config.dataDir);
  const guard = createAddressGuard({
    allowNetworks: config.allowNetworks,
    allowPorts: config.allowPorts === "all" ? "any" : config.allowPorts,
    allowHosts: config.allowHosts,
    allowSelf: config.allowSelf,
    resolvesNames: config.outboundProxy === "",
  });
  const { store, masterKeys } = await openStore(config, dataDir, logger);
  try {
    const transport = createWebhookTransport({
      guard,
      connectTimeoutMs: config.connectTimeoutMs,
      userAgent: `Posthorn/${version}`,
      ...(config.outboundProxy !== "" && { outboundProxy: config.outboundProxy }),
    });
    const engine = createEngine(
      {
        store,
        transports: { webhook: transport },
        vault: createVault(masterKeys.current, masterKeys.old),
        logger,
        nodeName: config.nodeName === "" ? hostname() : config.nodeName,
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
      ownListener: guard.ownListener,
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

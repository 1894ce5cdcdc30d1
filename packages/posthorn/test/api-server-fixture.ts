// For the tests of the HTTP API on the real engine: a server on a temporary directory and a free port.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { loadConfig, withLoopback } from "../src/app/config.ts";
import { createLogger } from "../src/app/logger.ts";
import type { Config } from "../src/app/options.ts";
import { type RunningServer, startServer } from "../src/app/serve.ts";
import { type Call, caller } from "./api-fixture.ts";

export const ADMIN_KEY = "phk_admin_key_for_tests_0123456789";

export interface TestServer extends RunningServer {
  readonly call: Call;
  /** Everything that was logged, from `debug` on. */
  readonly log: readonly string[];
  /** Stops it, and removes its directory. */
  end(): Promise<void>;
}

/** Loopback may be reached on every port; without `dataDir`, on a directory of its own. */
export async function startTestServer(overrides: Partial<Config> = {}): Promise<TestServer> {
  const log: string[] = [];
  const dataDir = overrides.dataDir ?? mkdtempSync(path.join(tmpdir(), "posthorn-api-"));
  const config: Config = {
    ...withLoopback(loadConfig()),
    port: 0,
    dataDir,
    adminKey: ADMIN_KEY,
    diskReserveBytes: 0,
    logLevel: "debug",
    logFormat: "json",
    requestLog: true,
    ...overrides,
  };
  const logger = createLogger(config, { write: (line: string) => log.push(line) });
  const server = await startServer(config, logger).catch((error: unknown) => {
    if (overrides.dataDir === undefined) rmSync(dataDir, { recursive: true });
    throw error;
  });
  return {
    ...server,
    log,
    call: caller(server.url, ADMIN_KEY),
    async end() {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** The server: the rooms of the library, an admin key, and the HTTP door. */
import { createRestServer } from "../api/rest/server.ts";
import { Tls } from "../api/rest/tls.ts";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { actAs, OPERATOR } from "../engine/acting.ts";
import type { Engine } from "../engine/engine.ts";
import { type AdminKey, ensureAdminKey } from "./admin-key.ts";
import { createLogger } from "./logger.ts";
import type { Config } from "./options.ts";
import { openRooms } from "./rooms.ts";
import { readVersion } from "./version.ts";

export interface RunningServer {
  /** Such as `http://127.0.0.1:8071`, or `https://...` with a certificate. */
  readonly url: string;
  readonly port: number;
  readonly version: string;
  readonly dataDir: string;
  readonly adminKey: AdminKey;
  readonly engine: Engine;
  readonly logger: Logger;
  /**
   * Publishing answers 503 at once, attempts under way end and are settled, then the door closes. Reads go on meanwhile,
   * so that whoever watches sees it end. Calling it again waits for the same end.
   */
  stop(): Promise<void>;
}

/** @throws Error with a sentence for people when it cannot start */
export async function startServer(
  config: Config,
  logger: Logger = createLogger(config),
): Promise<RunningServer> {
  const version = readVersion();
  const tls = openTls(config, logger);
  const rooms = await openRooms(config, logger, version);
  const { engine, dataDir } = rooms;
  try {
    const adminKey = await actAs(OPERATOR, () => ensureAdminKey(engine.keys, dataDir, config.adminKey));
    const door = createRestServer({
      engine,
      logger,
      version,
      api: config.roles.includes("api"),
      metricsOpen: config.metricsOpen,
      publicUrl: config.publicUrl,
      requestLog: config.requestLog,
      tls,
      trustedProxies: config.trustedProxies,
      hstsSeconds: config.hstsSeconds,
      limits: { requestTimeoutMs: config.requestTimeoutMs },
    });
    const { url, port } = await door.listen(config).catch(async (error: unknown) => {
      await door.close();
      throw cannotListen(error, config);
    });
    rooms.ownListener(port);
    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      door.drain();
      try {
        await engine.stop();
      } finally {
        await door.close();
        await rooms.close();
      }
    };
    return {
      url,
      port,
      version,
      dataDir,
      adminKey,
      engine,
      logger,
      stop() {
        stopping ??= stop();
        return stopping;
      },
    };
  } catch (error) {
    await rooms.close();
    throw error;
  }
}

function openTls({ tlsCert, tlsKey }: Config, logger: Logger): Tls | undefined {
  if (tlsCert === "" && tlsKey === "") return undefined;
  if (tlsCert !== "" && tlsKey !== "")
    return new Tls({ files: { certificate: tlsCert, key: tlsKey }, logger });
  const [given, missing] = tlsKey === "" ? ["--tls-cert", "--tls-key"] : ["--tls-key", "--tls-cert"];
  throw new Error(`${given} is given without ${missing}. HTTPS needs both; leave both out for HTTP.`);
}

function cannotListen(error: unknown, { host, port }: Config): Error {
  const { code } = error as NodeJS.ErrnoException;
  const at = `${host}:${port}`;
  const cause = { cause: error };
  if (code === "EADDRINUSE")
    return new Error(`Port ${port} of ${host} is in use. Choose another one with --port.`, cause);
  if (code === "EACCES")
    return new Error(`This user may not listen on ${at}. Ports below 1024 need privileges.`, cause);
  return new Error(`Cannot listen on ${at}: ${messageOf(error)}. Check --host and --port.`, cause);
}

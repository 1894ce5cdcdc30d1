/** The HTTP door: Fastify with the route table, keys, limits, and one form of error. It knows the engine and no SQL. */
import type { Logger } from "../../base/logger.ts";
import { LIMITS } from "../../domain/defaults.ts";
import type { Engine } from "../../engine/engine.ts";
import { appRoutes } from "./apps.ts";
import { auditRoutes } from "./audit.ts";
import { originOf } from "./browser.ts";
import { deliveryRoutes } from "./deliveries.ts";
import { docsRoutes } from "./docs.ts";
import { endpointRoutes } from "./endpoints.ts";
import { eventTypeRoutes } from "./event-types.ts";
import { eventRoutes } from "./events.ts";
import { healthRoutes } from "./health.ts";
import { holdRoutes } from "./hold.ts";
import { createHttp, type Http, type HttpLimits } from "./http.ts";
import { jwksRoutes } from "./jwks.ts";
import { keyRoutes } from "./keys.ts";
import { nodeRoutes } from "./nodes.ts";
import { publicationRoutes } from "./publications.ts";
import { replayRoutes } from "./replays.ts";
import type { Route } from "./route.ts";
import { sessionRoutes } from "./sessions.ts";
import { statsRoutes } from "./stats.ts";
import type { Tls } from "./tls.ts";
import { createTrustedProxies } from "./trusted-proxies.ts";
import { verificationRoutes } from "./verifications.ts";
import { createNarrow } from "./within.ts";

/** What the door needs of the engine. */
export type ServedEngine = Omit<Engine, "start" | "stop" | "feed">;

export interface RestServerOptions {
  readonly engine: ServedEngine;
  readonly logger: Logger;
  readonly version: string;
  /** False: a node without the role `api`, which answers only how it is. Default true. */
  readonly api?: boolean;
  /** /metrics without a key. */
  readonly metricsOpen?: boolean;
  /** Where browsers find this server, where that is not the host that they ask: behind a proxy that hides it. */
  readonly publicUrl?: string;
  /** One log line per request. */
  readonly requestLog?: boolean;
  /** HTTPS; undefined: HTTP. */
  readonly tls?: Tls | undefined;
  /** Networks (CIDR) of proxies whose `X-Forwarded-*` count. */
  readonly trustedProxies?: readonly string[];
  /** How long browsers are to come over HTTPS only; 0: it is not said. */
  readonly hstsSeconds?: number;
  readonly limits?: Partial<HttpLimits>;
}

export interface RestServer {
  /** Binds; port 0 takes a free one. */
  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly url: string; readonly port: number }>;
  /** From now on what would change something is answered 503 `stopping`, and connections close after their answer. Reads go on. */
  drain(): void;
  /** Stops listening; waits for requests under way, at most `closeGraceMs`. */
  close(): Promise<void>;
  readonly routes: readonly Route[];
  /** A request without a socket, for tests. */
  readonly inject: Http["inject"];
}

/** A year, as the lists of browsers want it. */
export const HSTS_SECONDS = 31_536_000;

export const HTTP_LIMITS: HttpLimits = {
  bodyBytesMax: LIMITS.batchBytesMax,
  bodiesBytesMax: 256 * 1024 * 1024,
  connectionsMax: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 72_000,
  timeoutCheckEveryMs: 5000,
  closeGraceMs: 10_000,
};

/** @throws PosthornError `invalid_field` for a trusted proxy that is no network */
export function createRestServer(options: RestServerOptions): RestServer {
  const { engine, logger, version, api = true, metricsOpen = false, requestLog = false } = options;
  const { tls, trustedProxies = [], hstsSeconds = HSTS_SECONDS } = options;
  // Over plain HTTP the header means nothing (RFC 6797, 7.2).
  const mayBeHttps = tls !== undefined || trustedProxies.length > 0;
  let stopping = false;
  const health = { metricsOpen, stopping: () => stopping };
  const routes = api ? restRoutes(engine, { version, ...health }) : healthRoutes(engine, health);
  const http = createHttp({
    routes,
    api,
    authenticate: (secret) => engine.keys.authenticate(secret),
    narrow: createNarrow(engine),
    tls,
    trustedProxies: createTrustedProxies(trustedProxies),
    hstsSeconds: mayBeHttps ? hstsSeconds : 0,
    sessions: engine.sessions,
    publicOrigin: originOf(options.publicUrl ?? ""),
    logger,
    requestLog,
    limits: { ...HTTP_LIMITS, ...options.limits },
  });
  const drain = (): void => {
    stopping = true;
    http.drain();
  };
  return {
    routes,
    inject: http.inject,
    listen: http.listen,
    drain,
    async close() {
      drain();
      await http.close();
    },
  };
}

/** The whole route table: what OpenAPI shows, and what a role matrix can walk. */
export function restRoutes(
  engine: ServedEngine,
  options: { readonly version: string; readonly metricsOpen: boolean; stopping(): boolean },
): Route[] {
  const routes = [
    ...eventRoutes(engine),
    ...deliveryRoutes(engine),
    ...appRoutes(engine),
    ...endpointRoutes(engine),
    ...verificationRoutes(engine),
    ...jwksRoutes(engine),
    ...replayRoutes(engine),
    ...statsRoutes(engine),
    ...eventTypeRoutes(engine),
    ...keyRoutes(engine),
    ...nodeRoutes(engine),
    ...publicationRoutes(engine),
    ...holdRoutes(engine),
    ...auditRoutes(engine),
    ...sessionRoutes(engine),
    ...healthRoutes(engine, options),
  ];
  return [...routes, ...docsRoutes(routes, options.version)];
}

/** Fastify as the door uses it: the routes of the table on one side, the limits of HTTP on the other. */
import type { IncomingMessage } from "node:http";
import type { Server } from "node:https";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { newId } from "../../base/ids.ts";
import type { Logger } from "../../base/logger.ts";
import type { Key } from "../../domain/key.ts";
import type { Session } from "../../domain/session.ts";
import { type BodyLimits, BodyReader } from "./body.ts";
import { type BrowserGateOptions, browserGuard, withTwins } from "./browser.ts";
import { call } from "./call.ts";
import { answerClientError } from "./client-error.ts";
import { createGate } from "./gate.ts";
import { NDJSON } from "./publish.ts";
import { sendAnswer, sendError } from "./reply.ts";
import type { Route } from "./route.ts";
import type { Tls } from "./tls.ts";
import { decorateWithClient, type TrustedProxies } from "./trusted-proxies.ts";
import { refuseUpgrades } from "./upgrades.ts";
import { checkScopes, type Narrow } from "./within.ts";

export interface HttpLimits extends BodyLimits {
  readonly connectionsMax: number;
  /** For a request's headers, from its first byte or from the connection. */
  readonly headersTimeoutMs: number;
  /** For a whole request, body included. */
  readonly requestTimeoutMs: number;
  /** Longer than the 60 s of usual load balancers, so that they close idle connections first. */
  readonly keepAliveTimeoutMs: number;
  /** How often the first two deadlines are looked at. */
  readonly timeoutCheckEveryMs: number;
  /** On close: how long requests under way may take. */
  readonly closeGraceMs: number;
}

export interface HttpOptions extends BrowserGateOptions {
  readonly routes: readonly Route[];
  /** False: this node has not the role. */
  readonly api: boolean;
  authenticate(secret: string): Promise<Key | undefined>;
  readonly narrow: Narrow;
  /** undefined: HTTP. */
  readonly tls: Tls | undefined;
  readonly trustedProxies: TrustedProxies;
  /** For whoever came over HTTPS (RFC 6797); 0: the header is not sent. */
  readonly hstsSeconds: number;
  readonly logger: Logger;
  readonly requestLog: boolean;
  readonly limits: HttpLimits;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Http {
  listen(address: Address): Promise<{ readonly url: string; readonly port: number }>;
  drain(): void;
  close(): Promise<void>;
  readonly inject: FastifyInstance["inject"];
}

declare module "fastify" {
  interface FastifyRequest {
    key: Key | null;
    session: Session | null;
  }
}

export function createHttp(options: HttpOptions): Http {
  const { logger, limits, tls } = options;
  checkScopes(options.routes);
  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply): void =>
    sendError(error, request, reply, logger);
  const fastify = Fastify({
    ...fastifyOptions(limits),
    ...serverOptions(limits, tls),
    frameworkErrors: fail as never,
  }) as unknown as FastifyInstance;
  fastify.server.maxConnections = limits.connectionsMax;
  fastify.setErrorHandler(fail);
  fastify.decorateRequest("key", null);
  fastify.decorateRequest("session", null);
  decorateWithClient(fastify, options.trustedProxies);
  if (options.hstsSeconds > 0) stayWithHttps(fastify, options.hstsSeconds);
  const routes = withTwins(options.routes);
  const gate = createGate({ ...options, routes });
  fastify.addHook("onRequest", gate.arrive);
  if (options.requestLog) logRequests(fastify, logger);
  const bodies = new BodyReader(limits);
  readBodies(fastify, bodies);
  refuseUpgrades(fastify.server, options);
  const guardOf = ({ door, access }: Route) => {
    if (door === "console") return { onRequest: browserGuard(options, access) };
    return access === "open" ? {} : { onRequest: gate.guard(access) };
  };
  for (const route of routes) {
    fastify.route({
      method: route.method,
      url: route.path.replaceAll(/\{([a-zA-Z]+)\}/g, ":$1"),
      exposeHeadRoute: route.head !== false,
      ...guardOf(route),
      handler(request, reply) {
        const bytes = request.body as Buffer | undefined;
        const setHeader = (name: string, value: string): void => void reply.header(name, value);
        call(route, request, bytes, options.narrow, setHeader)
          .then(
            (answer) => sendAnswer(reply, answer),
            (error: unknown) => fail(error, request, reply),
          )
          .finally(() => bytes !== undefined && bodies.release(bytes));
      },
    });
  }
  return {
    inject: fastify.inject.bind(fastify),
    drain: gate.drain,
    async listen(address) {
      const port = await listen(fastify, address);
      tls?.follow(fastify.server as unknown as Server);
      return { port, url: `${tls === undefined ? "http" : "https"}://${nameInUrl(address.host)}:${port}` };
    },
    async close() {
      await Promise.all([tls?.duty.stop(), closeWithin(fastify, limits.closeGraceMs)]);
    },
  };
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const PARAMETER_CHARACTERS_MAX = 256;

function fastifyOptions(limits: HttpLimits) {
  return {
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    routerOptions: { maxParamLength: PARAMETER_CHARACTERS_MAX },
    return503OnClosing: false,
    clientErrorHandler: answerClientError,
    genReqId: ({ headers }: { headers: IncomingMessage["headers"] }) => {
      const given = headers["x-request-id"];
      return typeof given === "string" && REQUEST_ID.test(given) ? given : newId("req");
    },
  };
}

/** What node:http or node:https is made with. Nobody is sent on from HTTP to HTTPS: by then the key is out (ASVS 4.1.2). */
function serverOptions(limits: HttpLimits, tls: Tls | undefined) {
  const http = {
    headersTimeout: limits.headersTimeoutMs,
    connectionsCheckingInterval: limits.timeoutCheckEveryMs,
  };
  if (tls === undefined) return { http };
  return { https: { ...http, ...tls.context, handshakeTimeout: limits.headersTimeoutMs } };
}

function stayWithHttps(fastify: FastifyInstance, seconds: number): void {
  const value = `max-age=${seconds}`;
  fastify.addHook("onRequest", (request, reply, done) => {
    if (request.clientScheme === "https") reply.header("strict-transport-security", value);
    done();
  });
}

/** The door takes bodies as bytes, of two types; what they mean is for the route. */
function readBodies(fastify: FastifyInstance, bodies: BodyReader): void {
  fastify.removeAllContentTypeParsers();
  for (const type of ["application/json", NDJSON]) {
    fastify.addContentTypeParser(type, (_request, payload, done) =>
      bodies.read(payload as IncomingMessage, done),
    );
  }
}

/** Never the URL: a path can hold what someone took for an id. */
function logRequests(fastify: FastifyInstance, logger: Logger): void {
  fastify.addHook("onResponse", (request, reply, done) => {
    const { id: requestId, method } = request;
    const durationMs = Math.round(reply.elapsedTime * 100) / 100;
    const route = request.routeOptions.url ?? null;
    const keyId = request.key?.id ?? null;
    const address = request.clientAddress;
    logger.info(
      { requestId, method, route, status: reply.statusCode, durationMs, keyId, address },
      "request.answered",
    );
    done();
  });
}

/** The port that it is, if any was welcome. */
async function listen(fastify: FastifyInstance, { host, port }: Address): Promise<number> {
  await fastify.listen({ host, port });
  const bound = fastify.server.address();
  return typeof bound === "object" && bound !== null ? bound.port : port;
}

function nameInUrl(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

const CLOSE_IDLE_EVERY_MS = 50;

/** Connections that turn idle while others are still busy are closed as they do. */
async function closeWithin(fastify: FastifyInstance, graceMs: number): Promise<void> {
  const idle = setInterval(() => fastify.server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS);
  const late = setTimeout(() => fastify.server.closeAllConnections(), graceMs);
  try {
    await fastify.close();
  } finally {
    clearInterval(idle);
    clearTimeout(late);
  }
}

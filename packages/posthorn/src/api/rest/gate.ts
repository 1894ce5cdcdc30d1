/** What every request passes first: its id, the way out when the server stops, and the key that it needs. */
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from "fastify";
import { PosthornError } from "../../base/errors.ts";
import type { Key, KeyRole } from "../../domain/key.ts";
import { allowedMethods, methodNotAllowed, noApi, noRoute } from "./no-route.ts";
import type { Route } from "./route.ts";
import { NOSNIFF } from "./security-headers.ts";

type Hook = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void;

export interface Gate {
  readonly arrive: Hook;
  /** Before a body is read: a stranger's bytes are not worth it. */
  guard(roles: readonly KeyRole[]): Hook;
  drain(): void;
}

const STOP_RETRY_AFTER_SECONDS = 5;

export interface GateOptions {
  readonly routes: readonly Route[];
  readonly api: boolean;
  authenticate(secret: string): Promise<Key | undefined>;
}

export function createGate({ routes, api, authenticate }: GateOptions): Gate {
  let draining = false;

  /** Here and not after the body: what is sent to nowhere is not read. */
  function lost(request: FastifyRequest, reply: FastifyReply): PosthornError {
    const path = request.url.split("?", 1)[0] ?? "";
    const allowed = allowedMethods(routes, path);
    if (allowed.length === 0) return api ? noRoute(path) : noApi(path);
    reply.header("allow", allowed.join(", "));
    return methodNotAllowed(request.method, allowed);
  }

  return {
    arrive(request, reply, done) {
      reply.header("x-request-id", request.id).headers(NOSNIFF);
      if (request.is404) return done(lost(request, reply));
      if (request.headers["content-encoding"] !== undefined) return done(encoded(request));
      if (!draining) return done();
      reply.header("connection", "close");
      const reads = request.method === "GET" || request.method === "HEAD";
      done(reads ? undefined : stopping());
    },
    guard: (roles) => (request, _reply, done) => {
      const secret = bearerOf(request.headers.authorization);
      if (secret === undefined) return done(unauthorized());
      authenticate(secret).then((key) => {
        if (key === undefined) return done(unauthorized());
        request.key = key;
        done(mayCall(key, roles) ? undefined : forbidden(key.role));
      }, done);
    },
    drain() {
      draining = true;
    },
  };
}

/** Deny by default: a role that is not known here stands in no list, and no key is half bound to an app. */
export function mayCall({ role, appId }: Key, roles: readonly KeyRole[]): boolean {
  return roles.includes(role) && (role === "app") === (appId !== null);
}

const KEY_CHARACTERS_MAX = 512;

/** RFC 6750 2.1; the scheme's case does not matter (RFC 9110 11.1). */
function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > KEY_CHARACTERS_MAX) return undefined;
  const secret = authorization.slice(7).trim();
  return /^bearer /i.test(authorization) && secret !== "" ? secret : undefined;
}

/** The same for no key, a wrong one and an expired one. */
function unauthorized(): PosthornError {
  return new PosthornError(
    "unauthorized",
    "Send a valid API key in the header Authorization: Bearer phk_...",
  );
}

export function forbidden(role: string): PosthornError {
  return new PosthornError("forbidden", `A key with the role ${role} may not do that.`);
}

function stopping(): PosthornError {
  return new PosthornError("stopping", "The server is stopping; nothing was stored. Try again.", {
    retryAfterSeconds: STOP_RETRY_AFTER_SECONDS,
  });
}

function encoded({ headers }: FastifyRequest): PosthornError | undefined {
  const value = headers["content-encoding"];
  if (value === "identity") return undefined;
  return new PosthornError(
    "unsupported_media_type",
    `A compressed body is not understood. Send it as it is. (got ${value})`,
    {
      pointer: "/content-encoding",
      value,
    },
  );
}

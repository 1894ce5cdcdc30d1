/**
 * The door for browsers: the same routes under `/console`, where a session's cookie counts and nothing else does. A browser
 * sends that cookie whoever wrote the page, so every request must show that it comes from a page of ours.
 */
import type { IncomingMessage } from "node:http";
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from "fastify";
import { PosthornError } from "../../base/errors.ts";
import type { Sessions } from "../../engine/engine.ts";
import { forbidden, mayCall } from "./gate.ts";
import { HttpFault } from "./problem.ts";
import type { Access, Route } from "./route.ts";
import { SESSION_HEADERS } from "./security-headers.ts";

export const CONSOLE = "/console";

/** The routes of the machine door, and twins for browsers of those that need a key: what is open needs no session either. */
export function withTwins(routes: readonly Route[]): Route[] {
  const twins = routes
    .filter(({ path, access }) => path.startsWith("/v1/") && access !== "open")
    .map((route): Route => ({ ...route, path: CONSOLE + route.path, door: "console" }));
  return [...routes, ...twins];
}

export interface BrowserGateOptions {
  readonly sessions: Pick<Sessions, "authenticate" | "checkCsrfToken">;
  /** The origin that browsers know this server by, where that is not the request's own host; undefined: it is. */
  readonly publicOrigin: string | undefined;
}

/** Before a body is read. `open` is signing in: from our own pages, but without a session. */
export function browserGuard(options: BrowserGateOptions, access: Access) {
  return (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void => {
    reply.headers(SESSION_HEADERS);
    admit(options, access, request).then(done, done);
  };
}

/** Why the request goes no further; undefined: it does, and who signed in is known from here on. */
async function admit(
  { sessions, publicOrigin }: BrowserGateOptions,
  access: Access,
  request: FastifyRequest,
): Promise<Error | undefined> {
  const fault = hostFault(request.raw);
  if (fault !== undefined) return fault;
  const own = [originOf(`${request.clientScheme}://${request.clientHost}`), publicOrigin];
  const refusal = checkSite(request, own) ?? checkContentType(request);
  if (refusal !== undefined || access === "open") return refusal;
  const token = sessionTokenOf(request.headers.cookie);
  const found = token === undefined ? undefined : await sessions.authenticate(token);
  if (found === undefined) return signedOut();
  const { session, key } = found;
  const csrfToken = String(request.headers["x-csrf-token"] ?? "");
  if (isUnsafe(request.method) && !sessions.checkCsrfToken(session, csrfToken)) return withoutToken();
  request.key = key;
  request.session = session;
  return mayCall(key, access) ? undefined : forbidden(key.role);
}

/** GET and HEAD change nothing here, and OPTIONS is not answered. */
function isUnsafe(method: string): boolean {
  return method !== "GET" && method !== "HEAD";
}

/**
 * Fetch Metadata (W3C), and for browsers without it the Origin of the request: what would change something must come from our
 * own pages, and other sites' pages may not even read.
 */
function checkSite(
  { method, headers }: FastifyRequest,
  own: readonly (string | undefined)[],
): PosthornError | undefined {
  switch (headers["sec-fetch-site"]) {
    case "same-origin":
      return undefined;
    case "none":
      // By the address bar.
      return isUnsafe(method) ? crossSite("sec-fetch-site") : undefined;
    case "cross-site":
    case "same-site":
      return crossSite("sec-fetch-site");
    default: {
      // Not sent, or a word that is not known here: then it says nothing.
      const { origin } = headers;
      if (origin === undefined) return isUnsafe(method) ? crossSite("origin") : undefined;
      return isOwnOrigin(origin, own) ? undefined : crossSite("origin");
    }
  }
}

/** What our own origin is depends on it, and Node keeps the first of two; others on the way may keep the second (RFC 9112 3.2). */
export function hostFault({ rawHeaders }: Pick<IncomingMessage, "rawHeaders">): HttpFault | undefined {
  const hosts = rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === "host");
  if (hosts.length <= 1) return undefined;
  return new HttpFault("malformed_request", `Send one Host header; this request has ${hosts.length}.`);
}

export function isOwnOrigin(origin: string, own: readonly (string | undefined)[]): boolean {
  return own.some((each) => each !== undefined && each === origin);
}

/** Scheme, host and port as browsers write them; undefined for what is no URL, or has no origin. */
export function originOf(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { origin } = new URL(url);
  return origin === "null" ? undefined : origin;
}

/** A form can send any other type of body across sites without asking first, JSON it cannot. */
function checkContentType({ headers }: FastifyRequest): PosthornError | undefined {
  const value = headers["content-type"];
  if (value === undefined || /^application\/json *(;|$)/i.test(value)) return undefined;
  const message = `Here a body must be application/json. (got ${value})`;
  return new PosthornError("unsupported_media_type", message, { pointer: "/content-type", value });
}

export const COOKIE = "__Host-posthorn";

/** The browser takes it only over TLS (or from this machine), for this host alone, and shows it to no script. */
const COOKIE_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict";

export function sessionCookie(token: string, maxAgeSeconds: number): string {
  return `${COOKIE}=${token}; ${COOKIE_ATTRIBUTES}; Max-Age=${maxAgeSeconds}`;
}

export const NO_SESSION_COOKIE = sessionCookie("", 0);

/** undefined: there is none, or more than one, which no browser makes of this name. */
export function sessionTokenOf(cookies: string | undefined): string | undefined {
  const tokens = (cookies ?? "")
    .split(";")
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie.startsWith(`${COOKIE}=`));
  return tokens.length === 1 ? tokens[0]?.slice(COOKIE.length + 1) : undefined;
}

function crossSite(header: "sec-fetch-site" | "origin"): PosthornError {
  return new PosthornError(
    "cross_site",
    `This address serves pages of its own origin alone, and the header ${header} does not say that this is one.`,
  );
}

/** The same for no cookie, an old one and one of a revoked key. */
function signedOut(): PosthornError {
  return new PosthornError("unauthorized", "Sign in: POST /console/session with an API key.");
}

function withoutToken(): PosthornError {
  return new PosthornError(
    "cross_site",
    "Send the csrfToken of this session in the header x-csrf-token; GET /console/session answers one.",
  );
}

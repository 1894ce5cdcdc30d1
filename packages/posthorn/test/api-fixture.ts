// For the tests of the HTTP API: a door before an engine that is only as much as a test needs, and a client that says little.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import {
  createRestServer,
  type RestServer,
  type RestServerOptions,
  type ServedEngine,
} from "../src/api/rest/server.ts";
import { PosthornError } from "../src/base/errors.ts";
import { silentLogger } from "../src/base/logger.ts";
import type { Key } from "../src/domain/key.ts";
import { NO_KEY_LIMITS } from "../src/domain/limits.ts";
import type { Publication } from "../src/domain/publication.ts";

export const KEY = "phk_test_key_for_the_door_0123456789";
export const EVENT_ID = "evt_01h00000000000000000000000000a";

const admin: Key = {
  id: "key_01h0000000000000000000000000000",
  role: "admin",
  appId: null,
  name: "test",
  limits: NO_KEY_LIMITS,
  prefix: "phk_test",
  createdAtMs: 0,
  expiresAtMs: null,
  lastUsedAtMs: null,
};

export interface Door extends RestServer {
  readonly url: string;
  readonly port: number;
  /** What reached the engine. */
  readonly published: Publication[];
  readonly call: Call;
}

/** A door on a free port; every method of the engine that is not given refuses. */
export async function openDoor(
  engine: Partial<ServedEngine> = {},
  options: Partial<RestServerOptions> = {},
): Promise<Door> {
  const published: Publication[] = [];
  const nothing = new Proxy(
    {},
    { get: () => () => Promise.reject(new PosthornError("not_found", "There is no such thing.")) },
  );
  const fake = {
    apps: nothing,
    endpoints: nothing,
    eventTypes: nothing,
    events: nothing,
    deliveries: nothing,
    replays: nothing,
    nodes: nothing,
    publications: nothing,
    sessions: nothing,
    audit: nothing,
    keys: { ...nothing, authenticate: async (secret: string) => (secret === KEY ? admin : undefined) },
    health: async () => ({
      ready: true,
      problems: [],
      warnings: [],
      store: null,
      inFlight: 0,
      waitingInMemory: 0,
    }),
    standings: () => [],
    publicKeys: async () => [],
    async publish(publications: readonly Publication[]) {
      published.push(...publications);
      return publications.map(() => ({
        kind: "accepted",
        id: EVENT_ID,
        duplicate: false,
        deliveries: 2,
        fanOut: "done",
      }));
    },
    ...engine,
  } as unknown as ServedEngine;
  const door = createRestServer({ engine: fake, logger: silentLogger, version: "0.0.0", ...options });
  const { url, port } = await door.listen({ host: "127.0.0.1", port: 0 });
  return { ...door, url, port, published, call: caller(url) };
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it
  readonly json: any;
}
export type Call = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answered>;

/** Objects are sent as JSON; text and bytes as they are. */
export function caller(url: string, key = KEY): Call {
  return async (method, path, body, headers = {}) => {
    const raw = typeof body === "string" || body instanceof Uint8Array;
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
    });
    const content = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    return {
      status: response.status,
      headers: response.headers,
      text: content,
      json: isJson && content !== "" ? JSON.parse(content) : undefined,
    };
  };
}

/** That an answer is a problem of this code, well formed; returns the problem. */
export function assertProblem(answered: Answered, code: string) {
  const { json: problem, status, headers } = answered;
  assert.equal(headers.get("content-type"), "application/problem+json; charset=utf-8", answered.text);
  assert.equal(problem.code, code, answered.text);
  assert.equal(problem.status, status);
  assert.equal(problem.type, `/docs/errors#${code}`);
  assert.equal(problem.requestId, headers.get("x-request-id"));
  assert.ok(problem.title && problem.detail);
  return problem;
}

/** Sends bytes as they are over a connection of their own; resolves with all that came back once it is closed. */
export async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(bytes);
  return text(socket);
}

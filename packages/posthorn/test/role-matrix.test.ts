// Who may call what: every route of the door with a key of every role and with none, over HTTP, and with browsers' sessions.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Route } from "../src/api/rest/route.ts";
import { createRestServer } from "../src/api/rest/server.ts";
import { silentLogger } from "../src/base/logger.ts";
import { KEY_ROLES, type KeyRole } from "../src/domain/key.ts";
import { type Call, caller } from "./api-fixture.ts";
import { startTestServer, type TestServer } from "./api-server-fixture.ts";

/** The roles that may call each route; `open`: anyone. A browser's session may what its key may. */
const MAY: Readonly<Record<string, string>> = {
  "POST /v1/events": "admin publisher",
  "GET /v1/events": "admin viewer app",
  "GET /v1/events/{event}": "admin viewer app",
  "DELETE /v1/events/{event}/payload": "admin",

  "GET /v1/deliveries": "admin viewer app",
  "GET /v1/deliveries/{delivery}": "admin viewer app",
  "POST /v1/deliveries/{delivery}/redeliver": "admin app",
  "POST /v1/deliveries/{delivery}/cancel": "admin app",

  "POST /v1/apps": "admin",
  "GET /v1/apps": "admin viewer",
  "GET /v1/apps/{app}": "admin viewer app",
  "PATCH /v1/apps/{app}": "admin",
  "DELETE /v1/apps/{app}": "admin",
  "GET /v1/apps/{app}/stats": "admin viewer app",

  "POST /v1/apps/{app}/endpoints": "admin app",
  "GET /v1/apps/{app}/endpoints": "admin viewer app",
  "GET /v1/apps/{app}/endpoints/{endpoint}": "admin viewer app",
  "PATCH /v1/apps/{app}/endpoints/{endpoint}": "admin app",
  "DELETE /v1/apps/{app}/endpoints/{endpoint}": "admin app",
  "GET /v1/apps/{app}/endpoints/{endpoint}/secret": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/secret/rotate": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/enable": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/disable": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/pause": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/resume": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/verify": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/test": "admin app",
  "POST /v1/apps/{app}/endpoints/{endpoint}/replay": "admin app",

  "GET /v1/replays/{replay}": "admin viewer app",
  "POST /v1/replays/{replay}/cancel": "admin app",

  "POST /v1/event-types": "admin",
  "GET /v1/event-types": "admin publisher viewer app",
  "GET /v1/event-types/{name}": "admin publisher viewer app",
  "PUT /v1/event-types/{name}": "admin",
  "DELETE /v1/event-types/{name}": "admin",

  "POST /v1/keys": "admin",
  "GET /v1/keys": "admin",
  "GET /v1/keys/{key}": "admin",
  "DELETE /v1/keys/{key}": "admin",

  "GET /v1/nodes": "admin viewer",
  "GET /v1/nodes/{node}": "admin viewer",
  "GET /v1/publications": "admin viewer",
  "GET /v1/publications/{publication}": "admin viewer",
  "POST /v1/publications/{publication}/retry": "admin",
  "DELETE /v1/publications/{publication}": "admin",
  "POST /v1/hold": "admin",
  "DELETE /v1/hold": "admin",

  "GET /v1/audit": "admin",
  "GET /v1/audit/{entry}": "admin",

  "POST /console/session": "open",
  "GET /console/session": "admin publisher viewer app",
  "DELETE /console/session": "admin publisher viewer app",

  "GET /v1/verifications/{key}": "open",
  "POST /v1/verifications/{key}": "open",
  "GET /.well-known/posthorn/jwks.json": "open",

  "GET /metrics": "admin viewer",
  "GET /healthz": "open",
  "GET /readyz": "open",
  "GET /openapi.json": "open",
  "GET /docs": "open",
  "GET /docs/errors": "open",
};

const CONSOLE = "/console";
const nameOf = ({ method, path }: Pick<Route, "method" | "path">): string => `${method} ${path}`;
/** The row of a route: browsers have the machines' routes under a path of their own. */
const rowOf = ({ method, path }: Route): string =>
  nameOf({ method, path: path.startsWith(`${CONSOLE}/v1/`) ? path.slice(CONSOLE.length) : path });
/** Nothing has these ids: what may be called answers 404 or 422, and changes nothing. */
const filled = (path: string): string => path.replaceAll(/\{[a-zA-Z]+\}/g, "nobody");

interface Callers {
  readonly machine: Call;
  readonly browser: Call;
}

describe("the role matrix", () => {
  let server: TestServer;
  let routes: readonly Route[];
  const callers = new Map<KeyRole, Callers>();
  let stranger: Callers;

  before(async () => {
    server = await startTestServer({ roles: ["api"] });
    const { engine, version, url, call } = server;
    routes = createRestServer({ engine, version, logger: silentLogger }).routes;
    await call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
    for (const role of KEY_ROLES) {
      const app = role === "app" ? { app: "shop" } : {};
      const { status, json } = await call("POST", "/v1/keys", { role, name: role, ...app });
      assert.equal(status, 201);
      callers.set(role, { machine: caller(url, json.secret), browser: await signedIn(url, json.secret) });
    }
    stranger = { machine: withHeaders(url, { authorization: "" }), browser: withHeaders(url, pageOf(url)) };
  });
  after(() => server.end());

  test("has a row for every route, and a route for every row; OpenAPI has the same", async () => {
    assert.deepEqual([...new Set(routes.map(rowOf))].sort(), Object.keys(MAY).sort());
    const { json } = await server.call("GET", "/openapi.json");
    const described = Object.entries<object>(json.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.deepEqual(described.sort(), Object.keys(MAY).sort());
  });

  test("is what the door does", async () => {
    let asked = 0;
    const wrong: string[] = [];
    for (const route of routes) {
      const { method, path } = route;
      const by = path.startsWith(`${CONSOLE}/`) ? "browser" : "machine";
      const may = MAY[rowOf(route)]?.split(" ") ?? [];
      const open = may.includes("open");
      const cells = [
        ["stranger", stranger, open ? null : 401] as const,
        ...KEY_ROLES.map(
          (role) => [role, callers.get(role) as Callers, open || may.includes(role) ? null : 403] as const,
        ),
      ];
      for (const [who, callsBy, refusal] of cells) {
        const methods = method === "GET" && refusal !== null ? ["GET", "HEAD"] : [method];
        for (const each of methods) {
          asked += 1;
          const { status } = await callsBy[by](each, filled(path));
          const right = refusal === null ? status !== 401 && status !== 403 : status === refusal;
          if (!right) wrong.push(`${who} ${each} ${path}: ${status}, not ${refusal ?? "let in"}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
    assert.ok(asked > 250, `${asked} asked`);
  });
});

/** What a browser sends with a request of our own page. */
const pageOf = (url: string) => ({ authorization: "", origin: url, "sec-fetch-site": "same-origin" });

function withHeaders(url: string, headers: Readonly<Record<string, string>>): Call {
  const call = caller(url);
  return (method, path, body, more = {}) => call(method, path, body, { ...headers, ...more });
}

async function signedIn(url: string, key: string): Promise<Call> {
  const page = pageOf(url);
  const { status, headers, json } = await withHeaders(url, page)("POST", `${CONSOLE}/session`, { key });
  assert.equal(status, 201);
  const cookie = (headers.get("set-cookie") ?? "").split(";", 1)[0] ?? "";
  return withHeaders(url, { ...page, cookie, "x-csrf-token": json.csrfToken });
}

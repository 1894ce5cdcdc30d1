// Browsers' sessions: how they begin and end, and what other sites' pages can do with them, which is nothing. The attacks are
// those of the OWASP CSRF Prevention Cheat Sheet and of ASVS 5.0 (3.5, 4.4.2, 7.2, 7.4).
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Route } from "../src/api/rest/route.ts";
import { restRoutes } from "../src/api/rest/server.ts";
import { KEY_ROLES } from "../src/domain/key.ts";
import { raw } from "./api-fixture.ts";
import { ADMIN_KEY, startTestServer, type TestServer } from "./api-server-fixture.ts";
import { type Ask, type Asked, ask, SAME_ORIGIN, type SignedIn, signIn } from "./browser-client.ts";

type Headers = Readonly<Record<string, string>>;

const APPS = "/console/v1/apps";
let server: TestServer;
let session: SignedIn;
let routes: readonly Route[];
let appsMade = 0;

before(async () => {
  server = await startTestServer();
  session = await signIn(server.url, ADMIN_KEY);
  routes = restRoutes(server.engine, { version: "0.0.0", metricsOpen: false, stopping: () => false });
});
after(() => server.end());

const call = (method: string, path: string, asked?: Ask): Promise<Asked> =>
  ask(server.url, method, path, asked);

function refused(answer: Asked, code: string, status: number): void {
  assert.deepEqual([answer.json?.code, answer.status], [code, status], JSON.stringify(answer.json));
}

/** A request of the signed-in browser that would make an app; headers of "" are left out. */
function makeApp(headers: Headers, body?: unknown): Promise<Asked> {
  const all = { ...SAME_ORIGIN, cookie: session.cookie, "x-csrf-token": session.csrfToken, ...headers };
  const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
  return call("POST", APPS, { headers: sent, body: body ?? { name: "made" } });
}

async function nothingMade(): Promise<void> {
  const { json } = await server.call("GET", "/v1/apps");
  assert.equal(json.data.filter(({ name }: { name: string }) => name === "made").length, appsMade);
}

async function makes(headers: Headers): Promise<void> {
  const { status, json } = await makeApp(headers);
  assert.equal(status, 201, JSON.stringify(json));
  appsMade += 1;
}

describe("a browser that is signed in", () => {
  test("has a cookie that no script and no other site gets, and a token that its page sends along", async () => {
    const { headers, json } = session.answer;
    const [cookie = "", ...more] = headers["set-cookie"] ?? [];
    assert.deepEqual(more, []);
    assert.match(
      cookie,
      /^__Host-posthorn=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=43(199|200)$/,
    );
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers.vary, "Sec-Fetch-Site, Origin");
    assert.deepEqual(Object.keys(json).sort(), ["csrfToken", "expiresAt", "key"]);
    assert.equal(json.key.role, "admin");
    assert.ok(!JSON.stringify(json).includes(ADMIN_KEY));
    assert.ok(!JSON.stringify(json).includes(session.cookie.split("=")[1] as string));
    assert.ok(!server.log.some((line) => line.includes(session.cookie.split("=")[1] as string)));
  });

  test("does what its key may, publishing too", async () => {
    await makes({});
    const headers = { ...SAME_ORIGIN, cookie: session.cookie, "x-csrf-token": session.csrfToken };
    await call("POST", APPS, { headers, body: { name: "Shop", uid: "shop" } });
    const event = { app: "shop", type: "order.created", data: 1 };
    assert.equal((await call("POST", "/console/v1/events", { headers, body: event })).status, 202);
    const listed = await call("GET", `${APPS}/shop`, { headers: { cookie: session.cookie } });
    assert.equal(listed.json.uid, "shop");
    assert.equal(listed.headers["cache-control"], "no-store");
    const { json: log } = await server.call("GET", "/v1/audit?app=shop");
    for (const { actor } of log.data) assert.equal(actor.kind, "session");
  });

  test("learns who it is, with a new token that is as good", async () => {
    const { status, json } = await call("GET", "/console/session", { headers: { cookie: session.cookie } });
    assert.equal(status, 200);
    assert.equal(json.key.id, session.answer.json.key.id);
    assert.notEqual(json.csrfToken, session.csrfToken);
    await makes({ "x-csrf-token": json.csrfToken });
  });

  test("may no more than its key's role", async () => {
    const { json: viewer } = await server.call("POST", "/v1/keys", { name: "looks", role: "viewer" });
    const looking = await signIn(server.url, viewer.secret);
    const headers = { ...SAME_ORIGIN, cookie: looking.cookie, "x-csrf-token": looking.csrfToken };
    assert.equal((await call("GET", APPS, { headers })).status, 200);
    refused(await call("POST", APPS, { headers, body: { name: "made" } }), "forbidden", 403);
    await nothingMade();
  });
});

describe("another site's page", () => {
  test("cannot post a form", async () => {
    const form = { "content-type": "application/x-www-form-urlencoded", "x-csrf-token": "" };
    for (const site of ["cross-site", "same-site", "none"]) {
      refused(await makeApp({ ...form, "sec-fetch-site": site }, "name=made"), "cross_site", 403);
      refused(await makeApp({ "sec-fetch-site": site }), "cross_site", 403);
    }
    const old = { "sec-fetch-site": "", origin: "https://evil.example" };
    refused(await makeApp({ ...form, ...old }, "name=made"), "cross_site", 403);
    await nothingMade();
  });

  test("cannot pass JSON off as text, nor can our own page", async () => {
    const types = [
      "text/plain",
      "multipart/form-data",
      "application/x-www-form-urlencoded",
      "application/x-ndjson",
    ];
    for (const type of [...types, "application/jsonx", "text/plain;application/json"]) {
      const json = JSON.stringify({ name: "made" });
      refused(await makeApp({ "content-type": type }, json), "unsupported_media_type", 415);
      refused(
        await makeApp({ "content-type": type, "sec-fetch-site": "cross-site" }, json),
        "cross_site",
        403,
      );
    }
    refused(await makeApp({}, JSON.stringify({ name: "made" })), "unsupported_media_type", 415);
    await nothingMade();
  });

  test("is told apart by its Origin where a browser sends no Fetch Metadata; with neither nothing is changed", async () => {
    const { origin, port } = new URL(server.url);
    const without = { "sec-fetch-site": "" };
    refused(await makeApp(without), "cross_site", 403);
    refused(await makeApp({ "sec-fetch-site": "whatever" }), "cross_site", 403);
    const foreign = [
      "null",
      "https://evil.example",
      `https://127.0.0.1:${port}`,
      "http://127.0.0.1",
      `${origin}.evil.example`,
    ];
    for (const each of foreign) refused(await makeApp({ ...without, origin: each }), "cross_site", 403);
    await nothingMade();
    await makes({ ...without, origin });
  });

  test("nor anybody else can leave open which host was asked for", async () => {
    const { host, port } = new URL(server.url);
    const twice = `host: ${host}\r\nHost: evil.example\r\n`;
    const ask = (path: string, more: string) =>
      raw(Number(port), `GET ${path} HTTP/1.1\r\n${twice}cookie: ${session.cookie}\r\n${more}\r\n`);
    const malformed = /^HTTP\/1\.1 400 [\s\S]*"code":"malformed_request"/;
    assert.match(await ask(APPS, "connection: close\r\n"), malformed);
    const upgrade =
      "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    assert.match(await ask("/console/feed", upgrade), malformed);
  });

  test("cannot read either", async () => {
    for (const method of ["GET", "HEAD"]) {
      const foreign: Headers[] = [{ "sec-fetch-site": "cross-site" }, { origin: "https://evil.example" }];
      for (const headers of foreign) {
        const { status } = await call(method, APPS, { headers: { ...headers, cookie: session.cookie } });
        assert.equal(status, 403);
      }
    }
  });

  test("cannot sign a browser in with a key of its own", async () => {
    const body = { key: ADMIN_KEY };
    const foreign: Headers[] = [
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { origin: "https://evil.example" },
      {},
    ];
    for (const headers of foreign) {
      const answer = await call("POST", "/console/session", { headers, body });
      refused(answer, "cross_site", 403);
      assert.equal(answer.headers["set-cookie"], undefined);
    }
    const headers = { ...SAME_ORIGIN, "content-type": "text/plain" };
    const text = await call("POST", "/console/session", { headers, body: JSON.stringify(body) });
    refused(text, "unsupported_media_type", 415);
  });

  test("cannot open a WebSocket, and nobody can keep a connection with one", async () => {
    const { host, origin, port } = new URL(server.url);
    const upgrade = (headers: string, path = "/console/feed") =>
      raw(
        Number(port),
        `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${headers}\r\n`,
      );
    for (const foreign of ["https://evil.example", "null", `${origin}.evil.example`]) {
      const answer = await upgrade(`origin: ${foreign}\r\ncookie: ${session.cookie}\r\n`);
      assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*"code":"cross_site"/);
    }
    assert.match(await upgrade(`origin: ${origin}\r\n`), /^HTTP\/1\.1 404 [\s\S]*"code":"not_found"/);
    assert.match(await upgrade("content-length: 99999\r\n", "/healthz"), /^HTTP\/1\.1 404 /);
    // An offer of HTTP/2, as some clients make with every request, is passed over.
    const h2c = `GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n`;
    assert.match(await raw(Number(port), h2c), /^HTTP\/1\.1 200 /);
  });
});

describe("the token against forgery", () => {
  test("must be there, whole, and of this very session", async () => {
    const other = await signIn(server.url, ADMIN_KEY);
    const { csrfToken } = session;
    const changed = `${csrfToken.slice(0, -1)}${csrfToken.endsWith("0") ? "1" : "0"}`;
    for (const token of ["", "undefined", changed, other.csrfToken, session.cookie.split("=")[1] as string])
      refused(await makeApp({ "x-csrf-token": token }), "cross_site", 403);
    await nothingMade();
    await makes({ cookie: other.cookie, "x-csrf-token": other.csrfToken });
  });

  test("is asked of every route that changes something", async () => {
    for (const { method, path, access } of routes) {
      if (!path.startsWith("/v1/") || access === "open" || method === "GET") continue;
      const headers = { ...SAME_ORIGIN, cookie: session.cookie };
      const answer = await call(method, `/console${path.replaceAll(/[{}]/g, "")}`, { headers });
      refused(answer, "cross_site", 403);
    }
    const headers = { ...SAME_ORIGIN, cookie: session.cookie };
    refused(await call("DELETE", "/console/session", { headers }), "cross_site", 403);
  });
});

describe("a session", () => {
  const get = (cookie: string) => call("GET", "/console/session", { headers: { cookie } });

  test("is never one that was brought along, and the one before it ends", async () => {
    const brought = `__Host-posthorn=${"A".repeat(43)}`;
    const first = await signIn(server.url, ADMIN_KEY, { cookie: brought });
    assert.notEqual(first.cookie, brought);
    refused(await get(brought), "unauthorized", 401);
    assert.equal((await get(first.cookie)).status, 200);
    const second = await signIn(server.url, ADMIN_KEY, { cookie: first.cookie });
    refused(await get(first.cookie), "unauthorized", 401);
    assert.equal((await get(second.cookie)).status, 200);
  });

  test("is over once signed out", async () => {
    const { cookie, csrfToken } = await signIn(server.url, ADMIN_KEY);
    const headers = { ...SAME_ORIGIN, cookie, "x-csrf-token": csrfToken };
    const out = await call("DELETE", "/console/session", { headers });
    assert.equal(out.status, 204);
    assert.match(out.headers["set-cookie"]?.[0] ?? "", /^__Host-posthorn=; Path=\/; Secure; .*Max-Age=0$/);
    refused(await get(cookie), "unauthorized", 401);
    refused(await call("POST", APPS, { headers, body: { name: "made" } }), "unauthorized", 401);
  });

  test("is over with its key", async () => {
    const { json: key } = await server.call("POST", "/v1/keys", { name: "goes", role: "admin" });
    const { cookie } = await signIn(server.url, key.secret);
    assert.equal((await get(cookie)).status, 200);
    await server.call("DELETE", `/v1/keys/${key.id}`);
    refused(await get(cookie), "unauthorized", 401);
    const headers = SAME_ORIGIN;
    refused(
      await call("POST", "/console/session", { headers, body: { key: key.secret } }),
      "unauthorized",
      401,
    );
  });

  test("is known by one cookie alone, and by no key", async () => {
    const authorization = `Bearer ${ADMIN_KEY}`;
    refused(await call("GET", APPS, { headers: { authorization } }), "unauthorized", 401);
    refused(await call("GET", "/console/session", { headers: { authorization } }), "unauthorized", 401);
    refused(await get(`${session.cookie}; ${session.cookie}`), "unauthorized", 401);
    refused(await get(session.cookie.replace("__Host-", "")), "unauthorized", 401);
    assert.equal((await get(`theme=dark; ${session.cookie}`)).status, 200);
    const stranger = { ...SAME_ORIGIN, authorization };
    for (const { method, path, access } of routes) {
      if (!path.startsWith("/v1/") || access === "open") continue;
      const answer = await call(method, `/console${path.replaceAll(/[{}]/g, "")}`, { headers: stranger });
      refused(answer, "unauthorized", 401);
    }
  });

  test("counts nowhere but at its own door", async () => {
    const headers = { ...SAME_ORIGIN, cookie: session.cookie, "x-csrf-token": session.csrfToken };
    for (const { method, path, access } of routes) {
      if (path.startsWith("/console/") || access === "open") continue;
      refused(await call(method, path.replaceAll(/[{}]/g, ""), { headers }), "unauthorized", 401);
    }
  });
});

describe("signing in", () => {
  const attempt = (key: string, from: string) =>
    call("POST", "/console/session", { headers: SAME_ORIGIN, body: { key }, from });

  test("fails alike for whatever is no key, ten times a minute and address, and then waits", async () => {
    const from = "127.0.0.9";
    for (let n = 0; n < 10; n += 1) refused(await attempt(`phk_wrong_${n}`, from), "unauthorized", 401);
    const late = await attempt(ADMIN_KEY, from);
    refused(late, "rate_limited", 429);
    const seconds = Number(late.headers["retry-after"]);
    assert.ok(seconds > 0 && seconds <= 60);
    assert.equal((await attempt(ADMIN_KEY, "127.0.0.10")).status, 201);
  });

  test("fails no more often when all attempts come at once", async () => {
    const from = "127.0.0.12";
    const asked = Array.from({ length: 40 }, (_, n) => attempt(`phk_wrong_${n}`, from));
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    assert.deepEqual(
      [401, 429].map((status) => statuses.filter((each) => each === status).length),
      [10, 30],
    );
  });

  test("is in the audit log, whether or not it worked, and the key is not", async () => {
    const from = "127.0.0.11";
    await attempt("phk_planted_0123456789_never_shown", from);
    await attempt(ADMIN_KEY, from);
    const { json, text } = await server.call("GET", "/v1/audit?limit=2");
    const [worked, failed] = json.data;
    assert.deepEqual(
      [failed.action, failed.actor, failed.address],
      ["session.refuse", { kind: "stranger" }, from],
    );
    assert.deepEqual(
      [worked.action, worked.actor.kind, worked.actor.role, worked.address],
      ["session.create", "session", "admin", from],
    );
    assert.ok(!text.includes("planted"));
    assert.ok(!server.log.some((line) => line.includes("planted")));
  });

  test("a body that is wrong is named, without its value", async () => {
    const answer = await call("POST", "/console/session", {
      headers: SAME_ORIGIN,
      body: { key: ["phk_planted_in_a_list"] },
    });
    refused(answer, "invalid_field", 422);
    assert.ok(!JSON.stringify(answer.json).includes("planted"));
  });
});

test("no answer may be taken for what it does not say it is", async () => {
  for (const path of ["/healthz", "/docs", "/v1/apps", "/nothing", "/v1/apps/%ff", APPS]) {
    const { headers } = await call("GET", path);
    assert.equal(headers["x-content-type-options"], "nosniff", path);
  }
  assert.match(await raw(server.port, "no request\r\n\r\n"), /\r\nx-content-type-options: nosniff\r\n/);
});

test("every role may have a session", () => {
  const own = routes.filter(({ path }) => path === "/console/session");
  assert.deepEqual(
    own.map(({ method, access }) => [method, access]),
    [
      ["POST", "open"],
      ["GET", KEY_ROLES],
      ["DELETE", KEY_ROLES],
    ],
  );
});

// The key of one app before the ids and uids of another: every route that such a key may call, over HTTP. For it the other
// app is not there, and nothing that it asks changes anything there.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { parameterNames } from "../src/api/rest/openapi.ts";
import type { Route } from "../src/api/rest/route.ts";
import { createRestServer } from "../src/api/rest/server.ts";
import { checkScopes, scopeOf } from "../src/api/rest/within.ts";
import { newId } from "../src/base/ids.ts";
import { silentLogger } from "../src/base/logger.ts";
import { type Answered, type Call, caller, openDoor } from "./api-fixture.ts";
import { startTestServer, type TestServer } from "./api-server-fixture.ts";

/** What an app has. */
interface Belongings {
  readonly app: string;
  readonly appUid: string;
  readonly endpoint: string;
  readonly endpointUid: string;
  readonly event: string;
  readonly delivery: string;
  readonly replay: string;
}

const SINCE = "2020-01-01T00:00:00Z";
const ENDPOINTS = "/v1/apps/{app}/endpoints";
/** A body with which each of these would be done, if it were about one's own. */
const BODIES: Readonly<Record<string, object>> = {
  [`POST ${ENDPOINTS}`]: { url: "https://example.com/mine" },
  [`PATCH ${ENDPOINTS}/{endpoint}`]: { description: "mine now" },
  [`POST ${ENDPOINTS}/{endpoint}/secret/rotate`]: { overlapSeconds: 0 },
  [`POST ${ENDPOINTS}/{endpoint}/test`]: { eventType: "order.created" },
  [`POST ${ENDPOINTS}/{endpoint}/replay`]: { since: SINCE },
};

/** Every way to name what is not one's own in this route, by what `there` has. */
function strangePaths(route: Route, own: Belongings, there: Belongings): string[] {
  const fill = (values: Readonly<Record<string, string>>): string =>
    route.path.replaceAll(
      /\{([a-zA-Z]+)\}/g,
      (_, name: string) => values[name] ?? assert.fail(`say what {${name}} of another app is`),
    );
  switch (scopeOf(route)) {
    case "path":
      return strangeInPath(route, fill, own, there);
    case "query":
      return [`app=${there.app}`, `app=${there.appUid}`, ...strangeQueries(route, there)].map(
        (query) => `${route.path}?${query}`,
      );
    case "within":
      return [fill({ ...there })];
    case "catalogue":
    case "caller":
      return [];
  }
}

function strangeInPath(
  route: Route,
  fill: (values: Readonly<Record<string, string>>) => string,
  own: Belongings,
  there: Belongings,
): string[] {
  const paths = [fill({ ...there }), fill({ ...there, app: there.appUid, endpoint: there.endpointUid })];
  if (parameterNames(route.path).includes("endpoint")) {
    paths.push(
      fill({ ...there, app: own.app }),
      fill({ ...there, app: own.appUid, endpoint: there.endpointUid }),
      fill({ ...there, endpoint: own.endpoint }),
    );
  }
  paths.push(...strangeQueries(route, there).map((query) => `${fill({ ...own })}?${query}`));
  return paths;
}

function strangeQueries({ query }: Route, { endpoint, event }: Belongings): string[] {
  const fields = Object.keys(query?.shape ?? {});
  return [
    ...(fields.includes("endpoint") ? [`endpoint=${endpoint}`] : []),
    ...(fields.includes("event") ? [`event=${event}`] : []),
  ];
}

describe("the key of an app", () => {
  let server: TestServer;
  let routes: readonly Route[];
  let theirs: Call;
  let own: Belongings;
  let other: Belongings;
  /** Ids of the right form that nothing has. */
  const nobody: Belongings = {
    app: newId("app"),
    appUid: "nobody",
    endpoint: newId("ep"),
    endpointUid: "nobody-main",
    event: newId("evt"),
    delivery: newId("dlv"),
    replay: newId("rpl"),
  };

  before(async () => {
    // Nothing is sent: deliveries stay pending, replays running.
    server = await startTestServer({ roles: ["api"] });
    const { engine, version, url, call } = server;
    routes = createRestServer({ engine, version, logger: silentLogger }).routes.filter(
      ({ access, path }) => access !== "open" && access.includes("app") && !path.startsWith("/console/"),
    );
    own = await furnish(call, "own");
    other = await furnish(call, "other");
    const key = await call("POST", "/v1/keys", { role: "app", app: "own", name: "theirs" });
    theirs = caller(url, key.json.secret);
  });
  after(() => server.end());

  const ask = (route: Route, path: string, by = theirs): Promise<Answered> =>
    by(route.method, path, BODIES[`${route.method} ${route.path}`]);

  test("finds nothing of another app, and the answer is that to what nobody has", async () => {
    const before = await everythingOf(server.call, other);
    let asked = 0;
    for (const route of routes) {
      const known = strangePaths(route, own, nobody);
      for (const [index, path] of strangePaths(route, own, other).entries()) {
        const answered = await ask(route, path);
        const named = `${route.method} ${path}: ${answered.status} ${answered.text}`;
        assert.ok(!answered.text.includes("marker-of-other"), named);
        if (answered.status === 200) assert.deepEqual(answered.json, { data: [], nextCursor: null }, named);
        else assert.equal(answered.status, 404, named);
        // Word for word, also as whoever may see everything is told.
        for (const asks of [theirs, server.call]) {
          const unknown = await ask(route, known[index] ?? assert.fail(path), asks);
          assert.deepEqual(anonymous(answered, other), anonymous(unknown, nobody), named);
        }
        asked += 1;
      }
    }
    assert.ok(asked > 60, `${asked} asked`);
    assert.deepEqual(await everythingOf(server.call, other), before);
  });

  test("lists what is its app's, whether it names the app or not", async () => {
    for (const route of routes) {
      if (scopeOf(route) !== "query") continue;
      for (const query of ["", `?app=${own.app}`, `?app=${own.appUid}`]) {
        const { json } = await theirs("GET", route.path + query);
        assert.deepEqual([...new Set(json.data.map(({ appId }: { appId: string }) => appId))], [own.app]);
      }
    }
  });

  test("may do all of that with its own", async () => {
    // What ends a thing comes after what needs it.
    const last = (route: Route): boolean => route.method === "DELETE";
    for (const route of [...routes.filter((each) => !last(each)), ...routes.filter(last)]) {
      const values: Readonly<Record<string, string>> = { ...own, name: "order.created" };
      const path = route.path.replaceAll(/\{([a-zA-Z]+)\}/g, (_, name: string) => values[name] ?? name);
      const { status, text } = await ask(route, path);
      assert.ok(status < 300 || status === 409, `${route.method} ${path}: ${status} ${text}`);
    }
  });

  test("a route that does not say how it keeps to the app starts no server", async () => {
    checkScopes(routes);
    const [route] = routes.filter((each) => scopeOf(each) === "within");
    const { scope: _scope, ...silent } = route as Route;
    assert.throws(() => checkScopes([silent]), /does not say how/);
    const listing = routes.find((each) => scopeOf(each) === "query") as Route;
    assert.throws(() => checkScopes([{ ...listing, scope: "within" }]), /does not say how/);
    checkScopes([{ ...silent, access: ["admin"] }]);
  });
});

describe("what the key of an app sees of an attempt", () => {
  test("does not tell a blocked, a refusing and an unresolvable address apart; other keys see which it was", async () => {
    const causes = ["address_refused", "connection_refused", "dns"];
    const attempts = causes.map((cause, index) => ({
      id: "att_1",
      number: 1,
      startedAtMs: 0,
      durationMs: 1 + 400 * index,
      url: "https://receiver.example/",
      outcome: { kind: "unreachable", cause, detail: `10.0.0.1: ${cause}` },
      responseBody: null,
    }));
    const delivery = { id: "dlv_1", createdAtMs: 0, expiresAtMs: null, dueAtMs: null, finishedAtMs: 0 };
    const keys = {
      authenticate: async (secret: string) =>
        secret === "phk_app" ? { role: "app", appId: newId("app") } : { role: "viewer", appId: null },
    };
    const door = await openDoor({
      keys: keys as never,
      deliveries: { get: async () => ({ delivery, attempts }) } as never,
    });
    try {
      const seen = async (key: string) =>
        (await caller(door.url, key)("GET", "/v1/deliveries/dlv_1")).json.attempts;
      const [first, ...others] = await seen("phk_app");
      for (const each of others) assert.deepEqual(each, first);
      assert.deepEqual([first.durationMs, first.outcome.cause], [null, "unreachable"]);
      assert.ok(!JSON.stringify(first).includes("10.0.0.1"));
      assert.deepEqual(
        (await seen("phk_viewer")).map(({ outcome }: { outcome: { cause: string } }) => outcome.cause),
        causes,
      );
    } finally {
      await door.close();
    }
  });
});

/** An app with one of everything; whatever can hold text holds its marker. */
async function furnish(call: Call, uid: string): Promise<Belongings> {
  const marker = `marker-of-${uid}`;
  const made = async (path: string, body: object) => {
    const { status, json, text } = await call("POST", path, body);
    assert.ok(status < 300, text);
    return json;
  };
  const app = await made("/v1/apps", { uid, name: marker, metadata: { marker } });
  await call("PUT", "/v1/event-types/order.created", { description: "", example: {} });
  const endpoint = await made(`/v1/apps/${uid}/endpoints`, {
    uid: `${uid}-main`,
    url: `https://example.com/${marker}`,
    description: marker,
    headers: { "x-marker": marker },
  });
  const event = await made("/v1/events", { app: uid, type: "order.created", uid: marker, data: { marker } });
  const { json: deliveries } = await call("GET", `/v1/deliveries?event=${event.id}`);
  const replay = await made(`/v1/apps/${uid}/endpoints/${endpoint.id}/replay`, { since: SINCE });
  return {
    app: app.id,
    appUid: uid,
    endpoint: endpoint.id,
    endpointUid: `${uid}-main`,
    event: event.id,
    delivery: deliveries.data[0].id,
    replay: replay.id,
  };
}

/** As the platform sees it. */
async function everythingOf(call: Call, { app, endpoint, event, delivery, replay }: Belongings) {
  const paths = [
    `/v1/apps/${app}`,
    `/v1/apps/${app}/endpoints`,
    `/v1/apps/${app}/endpoints/${endpoint}/secret`,
    `/v1/events?app=${app}`,
    `/v1/events/${event}`,
    `/v1/deliveries?app=${app}`,
    `/v1/deliveries/${delivery}`,
    `/v1/replays/${replay}`,
  ];
  const answers = await Promise.all(paths.map((path) => call("GET", path)));
  for (const { status, text } of answers) assert.equal(status, 200, text);
  return answers.map(({ text }) => text);
}

/** The answer without what was asked for and which request it was. */
function anonymous({ status, text }: Answered, asked: Belongings) {
  const values = Object.values(asked).sort((a, b) => b.length - a.length);
  const named = values.reduce(
    (rest, value) => rest.replaceAll(`"${value}`, '"<it>').replaceAll(`\\"${value}\\"`, "<it>"),
    text,
  );
  return { status, text: named.replace(/"requestId":"[^"]*"/, "") };
}

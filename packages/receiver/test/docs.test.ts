// docs/receiving.md and the pages below it, as a reader follows them: each snippet saved under its name, loaded, and sent signed
// requests. A snippet without a story here fails, and so does one that does not compile.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import path from "node:path";
import { after, afterEach, before, describe, mock, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { type AnyScheme, generateStandardSecret, SCHEMES } from "../src/index.ts";
import { signedParts, signedRequest, type TestEvent } from "../src/testing/testing.ts";
import { portOf, repository, SnippetFolder, snippetsOf } from "./snippet-folder.ts";

const run = promisify(execFile);
const pages = globSync("docs/receiving{.md,/*.md}", { cwd: repository }).sort();
const folder = new SnippetFolder();
const secret = generateStandardSecret();
/** Of what the snippets log: the first argument of each line. */
const log = mock.method(console, "log", () => {});
mock.method(console, "error", () => {});
/** Those that snippets started. */
const servers: Server[] = [];
subscribe("tracing:net.server.listen:asyncStart", (message) => {
  servers.push((message as { server: Server }).server);
});

process.env.WEBHOOK_SECRET = secret;
process.env.STRIPE_SECRET = "whsec_of_stripe";
process.env.SHOPIFY_SECRET = "shpss_of_the_app";

afterEach(() => {
  log.mock.resetCalls();
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});
after(() => {
  process.chdir(repository);
  folder.remove();
});

type Story = (page: string, name: string, context: TestContext) => Promise<unknown>;

const ORDER: TestEvent = { id: "evt_1", type: "order.created", data: { id: "o-7", total: 12.5 } };

const STORIES: Readonly<Record<string, Readonly<Record<string, Story>>>> = {
  "docs/receiving.md": {
    "server.ts": overHttp("github", "/", { ...ORDER, type: "issues.opened", data: { action: "opened" } }),
    "typed.ts": typedHandlers,
    "once.ts": onceInSqlite,
    "later.ts": laterFromAnInbox,
    "orders.test.ts": theReadersTests,
    "verify.ts": onlyVerified,
  },
  "docs/receiving/processors.md": {
    "shop.ts": intoATableAndAFile,
    "figures.ts": figuresOfAMinute,
    "report.ts": reported,
    "onward.ts": sentOn,
    "search.ts": ofOnesOwn,
  },
  "docs/receiving/node.md": { "server.ts": endsAtSigterm },
  "docs/receiving/express.md": { "app.ts": beside(overHttp("standard", "/hooks"), "/orders") },
  "docs/receiving/fastify.md": { "app.ts": beside(overHttp("standard", "/hooks"), "/orders") },
  "docs/receiving/koa.md": { "app.ts": overHttp("standard", "/hooks") },
  "docs/receiving/hono.md": { "app.ts": overFetch(({ default: app }) => app.fetch) },
  "docs/receiving/next.md": { "route.ts": overFetch(({ POST }) => POST), "hooks.ts": inNodesHands },
  "docs/receiving/bun-deno-workers.md": {
    "server.ts": overFetch((module) => module.default.fetch),
    "routes.ts": overFetch((module) => module.default.fetch),
  },
};

for (const page of pages) {
  describe(page, () => {
    const stories = STORIES[page] ?? {};
    before(() => process.chdir(folder.of(page)));
    test("every snippet has a story", () => {
      assert.deepEqual(Object.keys(stories), [...snippetsOf(page).keys()]);
    });
    for (const [name, story] of Object.entries(stories)) {
      test(name, async (context) => {
        await story(page, name, context);
      });
    }
  });
}

test("every snippet compiles", async () => {
  for (const page of pages) for (const name of snippetsOf(page).keys()) folder.save(page, name);
  const configuration = {
    extends: path.join(repository, "tsconfig.json"),
    compilerOptions: { typeRoots: [path.join(repository, "node_modules/@types")] },
    include: ["**/*.ts"],
    exclude: [],
  };
  writeFileSync(path.join(folder.path, "tsconfig.json"), JSON.stringify(configuration));
  const tsc = path.join(repository, "node_modules/.bin/tsc");
  const compiled = run(tsc, ["-p", "."], { cwd: folder.path });
  const said = await compiled.then(
    () => "",
    (error) => error.stdout || assert.fail(error),
  );
  // What is wrong within the packages themselves is not a page's fault.
  assert.deepEqual(said.match(/^docs-.*$/gm) ?? [], []);
});

test("docs/receiving/schemes.md has every scheme as it is, and no other", () => {
  const markdown = readFileSync(path.join(repository, "docs/receiving/schemes.md"), "utf8");
  const [, table = ""] = /^\| name \|.*?\n((?:\|.*\n)+)/m.exec(markdown) ?? [];
  const rows = [...table.matchAll(/^\| `([\w-]+)` \|.*\| (\w+) \|$/gm)].map(([, name, strength]) => [
    name,
    strength,
  ]);
  const schemes: [string, AnyScheme][] = Object.entries(SCHEMES);
  assert.deepEqual(
    Object.fromEntries(rows),
    Object.fromEntries(schemes.map(([name, { strength }]) => [name, strength])),
  );
  /** The names in the line that begins so. */
  const namesIn = (beginning: string) =>
    (markdown.split("\n").find((line) => line.startsWith(beginning)) ?? "")
      .match(/(?<=`)[a-z-]+(?=`)/g)
      ?.sort();
  const those = (is: (scheme: AnyScheme) => unknown) =>
    schemes.flatMap(([name, scheme]) => (is(scheme) ? [name] : [])).sort();
  assert.deepEqual(
    namesIn("- **GET**"),
    those(({ handshakesByGet, eventsByGet }) => handshakesByGet ?? eventsByGet),
  );
  assert.deepEqual(
    namesIn("- **Bodies**"),
    those(({ bodyBytesMax }) => bodyBytesMax === 256 * 1024),
  );
});

/** Listens on 3000 in the snippet, here on a free port. */
async function started(page: string, name: string): Promise<string> {
  await folder.load(page, name, (text) => text.replace("3000", "0"));
  const [server] = servers;
  assert.ok(server, `${page}: ${name} starts no server`);
  return `http://127.0.0.1:${await portOf(server)}`;
}

function overHttp(scheme: "standard" | "github", where: string, event = ORDER): Story {
  return async (page, name) => {
    const url = (await started(page, name)) + where;
    const { method, headers, body } = signedParts(scheme, secret, event, { url });
    const post = async (content: Uint8Array) =>
      (await fetch(url, { method, headers, body: new Uint8Array(content) })).status;
    assert.deepEqual([await post(body), await post(body)], [200, 200]);
    assert.deepEqual(logged(), ["evt_1"], "its handler ran once");
    assert.equal(await post(Buffer.concat([body, Buffer.from(" ")])), 401);
  };
}

/** The framework's own parsers work for its other routes. */
function beside(story: Story, other: string): Story {
  return async (page, name, context) => {
    await story(page, name, context);
    const url = `http://127.0.0.1:${await portOf(servers[0]!)}${other}`;
    const headers = { "content-type": "application/json" };
    const response = await fetch(url, { method: "POST", headers, body: '{"order":1}' });
    assert.deepEqual(await response.json(), { order: 1 });
  };
}

// biome-ignore lint/suspicious/noExplicitAny: what a snippet exports only its story knows.
function overFetch(fetchOf: (module: any) => (request: Request) => Response | Promise<Response>): Story {
  return async (page, name) => {
    const answer = fetchOf(await folder.load(page, name));
    const url = "https://receiver.example/hooks";
    const send = async () => (await answer(signedRequest("standard", secret, ORDER, { url }))).status;
    assert.deepEqual([await send(), await send()], [200, 200]);
    assert.deepEqual(logged(), ["evt_1"], "its handler ran once");
    const stranger = new Request(signedRequest("standard", secret, ORDER, { url }), { body: "{}" });
    assert.equal((await answer(stranger)).status, 401);
  };
}

async function endsAtSigterm(page: string, name: string, context: TestContext) {
  await overHttp("standard", "/any/path")(page, name, context);
  const [server] = servers;
  process.emit("SIGTERM");
  assert.equal(server?.listening, false);
}

async function inNodesHands(page: string, name: string) {
  const { config, default: handler } = await folder.load(page, name);
  assert.equal(config.api.bodyParser, false);
  const { createServer } = await import("node:http");
  createServer(handler).listen(0);
  const url = `http://127.0.0.1:${await portOf(servers[0]!)}/api/hooks`;
  const { status } = await fetch(signedRequest("standard", secret, ORDER, { url }));
  assert.deepEqual([status, logged()], [200, ["evt_1"]]);
}

async function typedHandlers(page: string, name: string, context: TestContext) {
  context.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-02-07T12:00:00Z") }); // a Saturday
  const { receiver } = await folder.load(page, name);
  const send = async (event: Partial<TestEvent>) => {
    const response: Response = await receiver.fetch(
      signedRequest("standard", secret, { ...ORDER, ...event }),
    );
    return [response.status, response.headers.get("webhook-delivery") ?? response.headers.get("retry-after")];
  };
  assert.deepEqual(await send({ id: "1", data: { id: "o-7", total: -1 } }), [422, "abort-message"]);
  assert.deepEqual(await send({ id: "2" }), [200, null]);
  assert.deepEqual(await send({ id: "3", type: "order.cancelled" }), [200, null]);
  assert.deepEqual(logged(), ["order.cancelled"]);
  context.mock.timers.setTime(Date.parse("2026-02-08T12:00:00Z"));
  assert.deepEqual(await send({ id: "4" }), [503, "3600"]);
}

async function onceInSqlite(page: string, name: string) {
  const { receiver } = await folder.load(page, name);
  for (const _ of ["first", "again"]) {
    assert.equal((await receiver.fetch(signedRequest("standard", secret, ORDER))).status, 200);
  }
  const spoilt = { ...ORDER, id: "evt_2", data: { id: { no: "text" }, total: 1 } };
  assert.equal((await receiver.fetch(signedRequest("standard", secret, spoilt))).status, 500);
  const { DatabaseSync } = await import("node:sqlite");
  using database = new DatabaseSync("shop.db");
  assert.deepEqual(
    database
      .prepare("SELECT id, total FROM orders")
      .all()
      .map((row) => ({ ...row })),
    [{ id: "o-7", total: 12.5 }],
  );
  assert.equal(database.prepare("SELECT count(*) AS n FROM posthorn_receiver_marks").get()?.n, 1);
}

async function laterFromAnInbox(page: string, name: string) {
  const { receiver } = await folder.load(page, name);
  const event = { id: "hook-1", type: "orders/create", data: { id: 7 } };
  const request = signedRequest("shopify", process.env.SHOPIFY_SECRET ?? "", event);
  assert.equal((await receiver.fetch(request)).status, 200);
  await receiver.close();
  assert.deepEqual(logged(), ["hook-1"]);
}

async function theReadersTests(page: string, name: string) {
  const file = folder.save(page, name);
  folder.save(page, "once.ts", (text) => text.replace("shop.db", "tested.db"));
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  for (const _ of ["first", "again"]) {
    const { stdout } = await run(process.execPath, ["--test", "--test-reporter=tap", file], { env });
    assert.match(stdout, /^# pass 2$/m);
  }
}

/** What `report.ts` reads is what this left. */
async function intoATableAndAFile(page: string, name: string) {
  const { receiver } = await folder.load(page, name);
  const send = async (event: Partial<TestEvent>) =>
    (await receiver.fetch(signedRequest("standard", secret, { ...ORDER, ...event }))).status;
  const { data } = ORDER as { data: object };
  assert.deepEqual([await send({}), await send({})], [200, 200]);
  assert.equal(await send({ id: "evt_2", type: "order.paid", data: { ...data, total: 7 } }), 200);
  assert.equal(await send({ id: "evt_3", data: { total: 1 } }), 200, "a dead letter is acknowledged");
  await receiver.close();
  const { DatabaseSync } = await import("node:sqlite");
  using database = new DatabaseSync("processed.db");
  const rows = database.prepare("SELECT event_id AS id, total FROM orders").all();
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [
      { id: "evt_1", total: 12.5 },
      { id: "evt_2", total: 7 },
    ],
  );
  const [letter = "", end] = readFileSync("dead-letters.ndjson", "utf8").split("\n");
  const { id, by, reason } = JSON.parse(letter);
  assert.deepEqual([id, by, end], ["evt_3", "insert orders", ""]);
  assert.match(reason, /column order_id \(\$\.data\.id\) is missing/);
}

async function figuresOfAMinute(page: string, name: string) {
  const { receiver, perMinute } = await folder.load(page, name);
  for (const [id, timestamp, cents] of [
    ["1", "2026-01-31T08:00:10Z", 1250],
    ["2", "2026-01-31T08:00:50Z", 700],
    ["3", "2026-01-31T08:01:20Z", 100],
  ] as const) {
    const event = { id, type: "order.created", timestamp, data: { shop: "north", cents, ms: 5 } };
    await receiver.fetch(signedRequest("standard", secret, event));
  }
  const first = ["north", new Date("2026-01-31T08:00:00Z"), 1950];
  assert.deepEqual(
    log.mock.calls.map((call) => call.arguments),
    [first],
  );
  assert.equal(perMinute.status().openWindows, 1);
  await receiver.close();
  assert.equal(log.mock.callCount(), 2);
}

async function reported(page: string, name: string) {
  const { perType } = await folder.load(page, name);
  assert.deepEqual(
    perType.toSorted((one: { type: string }, other: { type: string }) => one.type.localeCompare(other.type)),
    [
      { type: "order.created", orders: 1, total: 12.5 },
      { type: "order.paid", orders: 1, total: 7 },
    ],
  );
}

async function sentOn(page: string, name: string, context: TestContext) {
  const { createServer } = await import("node:http");
  const got: { url: string; standard: boolean; body: string; id: unknown }[] = [];
  createServer(async (request, response) => {
    const body = (await request.toArray()).join("");
    const { "webhook-id": id, "x-github-event": event } = request.headers;
    got.push({ url: request.url ?? "", standard: event === undefined, body, id });
    response.end();
  }).listen(0);
  const url = `http://127.0.0.1:${await portOf(servers[0]!)}`;
  const environment = { ...process.env };
  context.after(() => {
    process.env = environment;
  });
  Object.assign(process.env, {
    BUILD_URL: `${url}/build`,
    TRACKER_URL: `${url}/issues`,
    TRACKER_SECRET: secret,
  });
  const { receiver } = await folder.load(page, name);
  const send = (type: string, data: object) =>
    receiver.fetch(signedRequest("github", secret, { id: `${type.length}`, type, data }));
  assert.equal((await send("push", { ref: "main" })).status, 200);
  assert.equal((await send("issues.opened", { action: "opened" })).status, 200);
  const [build, issues] = got;
  assert.deepEqual(build, { url: "/build", standard: false, body: '{"ref":"main"}', id: "4" });
  assert.deepEqual([issues?.url, issues?.standard, issues?.id], ["/issues", true, "13"]);
  assert.deepEqual(JSON.parse(issues?.body ?? "").data, { action: "opened" });
}

async function ofOnesOwn(page: string, name: string) {
  const { receiver } = await folder.load(page, name);
  const send = async (id: string, data: object) =>
    (await receiver.fetch(signedRequest("standard", secret, { id, type: "article.written", data }))).status;
  assert.deepEqual([await send("1", { title: "Posthorn" }), await send("2", {})], [200, 422]);
}

async function onlyVerified(page: string, name: string) {
  const { webhook } = await folder.load(page, name);
  const request = () => signedRequest("stripe", process.env.STRIPE_SECRET ?? "", ORDER);
  assert.equal((await webhook(request())).status, 200);
  assert.deepEqual(log.mock.calls[0]?.arguments, ["evt_1", "order.created", ORDER.data]);
  const refused: Response = await webhook(new Request(request(), { body: "{}" }));
  assert.deepEqual([refused.status, await refused.text()], [401, "no_matching_signature"]);
}

function logged(): unknown[] {
  return log.mock.calls.map(({ arguments: [first] }: { arguments: unknown[] }) => first);
}

// The HTTP API on the real engine: what is refused leaves nothing behind, bytes stay as they were, secrets stay inside.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { assertProblem, caller } from "./api-fixture.ts";
import { ADMIN_KEY, startTestServer, type TestServer } from "./api-server-fixture.ts";

const url = "http://127.0.0.1:9/";
const event = { app: "shop", type: "order.created", data: 1 };

describe("bad input", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer({ roles: ["api"], strictTypes: false });
    const { status } = await server.call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
    assert.equal(status, 201);
    const schema = { type: "object", required: ["id"], properties: { id: { type: "integer" } } };
    await server.call("POST", "/v1/event-types", { name: "order.checked", schema });
    await server.call("POST", "/v1/apps/shop/endpoints", { uid: "main", url });
  });
  after(() => server.end());

  const deep = `${"[".repeat(65)}${"]".repeat(65)}`;
  /** What is sent, what it is called, the field that is named, and what the detail shows. */
  const cases: readonly {
    readonly what: string;
    readonly send: readonly [method: string, path: string, body?: unknown];
    readonly code: string;
    readonly pointer?: string;
    readonly shows?: string | RegExp;
  }[] = [
    {
      what: "malformed JSON",
      send: ["POST", "/v1/events", '{"app":"shop",}'],
      code: "invalid_json",
      shows: "byte 14",
    },
    { what: "half of a body", send: ["POST", "/v1/apps", '{"name":"x"'], code: "invalid_json" },
    { what: "an empty body", send: ["POST", "/v1/events", ""], code: "invalid_json" },
    { what: "no body", send: ["POST", "/v1/apps"], code: "missing_field", pointer: "" },
    {
      what: "an array that is broken",
      send: ["POST", "/v1/events", '[{"app":"shop"]'],
      code: "invalid_json",
    },
    { what: "a string for an app", send: ["POST", "/v1/apps", '"x"'], code: "invalid_field", pointer: "" },
    {
      what: "a number for a name",
      send: ["POST", "/v1/apps", { name: 5 }],
      code: "invalid_field",
      pointer: "/name",
      shows: "5",
    },
    {
      what: "a number for an event type",
      send: ["POST", "/v1/events", { ...event, type: 5 }],
      code: "invalid_field",
      pointer: "/type",
      shows: "5",
    },
    {
      what: "an event type with a space",
      send: ["POST", "/v1/events", { ...event, type: "a b" }],
      code: "invalid_field",
      pointer: "/type",
      shows: "a b",
    },
    {
      what: "an event without a type",
      send: ["POST", "/v1/events", { app: "shop", data: 1 }],
      code: "missing_field",
      pointer: "/type",
    },
    {
      what: "an event without data",
      send: ["POST", "/v1/events", { app: "shop", type: "a" }],
      code: "missing_field",
      pointer: "/data",
    },
    {
      what: "a time that is none",
      send: ["POST", "/v1/events", { ...event, timestamp: "yesterday" }],
      code: "invalid_field",
      pointer: "/timestamp",
      shows: "yesterday",
    },
    {
      what: "too far ahead",
      send: ["POST", "/v1/events", { ...event, deliverAt: "2999-01-01T00:00:00Z" }],
      code: "invalid_deliver_at",
      pointer: "/deliverAt",
      shows: "2999",
    },
    {
      what: "unknown fields of an event",
      send: ["POST", "/v1/events", { ...event, payload: 1 }],
      code: "unknown_field",
      pointer: "/payload",
    },
    {
      what: "a field __proto__",
      send: ["POST", "/v1/apps", '{"name":"x","__proto__":{"a":1}}'],
      code: "unknown_field",
      pointer: "/__proto__",
    },
    {
      what: "unknown fields of an app",
      send: ["POST", "/v1/apps", { name: "x", nmae: "y" }],
      code: "unknown_field",
      pointer: "/nmae",
    },
    {
      what: "a payload over 1 MiB",
      send: ["POST", "/v1/events", { ...event, data: "x".repeat(1024 * 1024) }],
      code: "payload_too_large",
      pointer: "/data",
    },
    {
      what: "a body over 8 MiB",
      send: ["POST", "/v1/events", "x".repeat(8 * 1024 * 1024 + 1)],
      code: "payload_too_large",
    },
    {
      what: "a batch of 1,001",
      send: ["POST", "/v1/events", new Array(1001).fill(event)],
      code: "batch_too_large",
    },
    {
      what: "data too deep",
      send: ["POST", "/v1/events", `{"app":"shop","type":"a","data":${deep}}`],
      code: "too_deep",
      shows: "/data/0/0",
    },
    {
      what: "configuration too deep",
      send: ["PUT", "/v1/event-types/a", `{"example":${deep}}`],
      code: "too_deep",
    },
    {
      what: "a duplicate key inside data",
      send: ["POST", "/v1/events", '{"app":"shop","type":"a","data":{"x":{"k":1,"\\u006b":2}}}'],
      code: "duplicate_key",
      shows: /"k".*\/data\/x/,
    },
    {
      what: "a duplicate key of an app",
      send: ["POST", "/v1/apps", '{"name":"a","name":"b"}'],
      code: "duplicate_key",
      shows: "name",
    },
    {
      what: "invalid UTF-8",
      send: ["POST", "/v1/events", Buffer.from('{"app":"shop","type":"a","data":"\xff"}', "latin1")],
      code: "invalid_utf8",
      shows: "byte 33",
    },
    {
      what: "an unknown app",
      send: ["POST", "/v1/events", { ...event, app: "nobody" }],
      code: "not_found",
      shows: "nobody",
    },
    {
      what: "an unknown app in the path",
      send: ["POST", "/v1/apps/nobody/endpoints", { url }],
      code: "not_found",
      shows: "nobody",
    },
    {
      what: "an unknown endpoint",
      send: ["PATCH", "/v1/apps/shop/endpoints/none", { description: "x" }],
      code: "not_found",
      shows: "none",
    },
    {
      what: "an unknown event",
      send: ["GET", "/v1/events/evt_nothing"],
      code: "not_found",
      shows: "evt_nothing",
    },
    {
      what: "an unknown delivery",
      send: ["POST", "/v1/deliveries/dlv_nothing/redeliver"],
      code: "not_found",
      shows: "dlv_nothing",
    },
    {
      what: "an unknown event type",
      send: ["GET", "/v1/event-types/no.such"],
      code: "not_found",
      shows: "no.such",
    },
    { what: "an unknown replay", send: ["POST", "/v1/replays/rpl_nothing/cancel"], code: "not_found" },
    { what: "an unknown key", send: ["DELETE", "/v1/keys/key_nothing"], code: "not_found" },
    {
      what: "a uid that is taken",
      send: ["POST", "/v1/apps", { uid: "shop", name: "x" }],
      code: "uid_taken",
      pointer: "/uid",
      shows: "shop",
    },
    {
      what: "an event type that is there",
      send: ["POST", "/v1/event-types", { name: "order.checked" }],
      code: "name_taken",
      shows: "order.checked",
    },
    {
      what: "a URL that is none",
      send: ["POST", "/v1/apps/shop/endpoints", { url: "not a url" }],
      code: "invalid_url",
      pointer: "/url",
      shows: "not a url",
    },
    {
      what: "another scheme",
      send: ["POST", "/v1/apps/shop/endpoints", { url: "ftp://example.com/" }],
      code: "invalid_url",
      pointer: "/url",
      shows: "ftp:",
    },
    {
      what: "a private address",
      send: ["POST", "/v1/apps/shop/endpoints", { url: "http://169.254.169.254/" }],
      code: "invalid_url",
      pointer: "/url",
      shows: "169.254.169.254",
    },
    {
      what: "bad CEL",
      send: ["POST", "/v1/apps/shop/endpoints", { url, filter: "event.data.total >" }],
      code: "invalid_filter",
      pointer: "/filter",
      shows: "event.data.total >",
    },
    {
      what: "CEL with a macro in a macro",
      send: [
        "POST",
        "/v1/apps/shop/endpoints",
        { url, filter: "event.data.a.all(x, event.data.b.exists(y, y == x))" },
      ],
      code: "invalid_filter",
      pointer: "/filter",
    },
    {
      what: "a negative delay",
      send: ["POST", "/v1/apps/shop/endpoints", { url, retrySchedule: [5, -1] }],
      code: "invalid_field",
      pointer: "/retrySchedule/1",
      shows: "-1",
    },
    {
      what: "a schedule of eleven days",
      send: ["POST", "/v1/apps/shop/endpoints", { url, retrySchedule: [500_000, 500_000] }],
      code: "invalid_retry_schedule",
      pointer: "/retrySchedule",
      shows: "500000",
    },
    {
      what: "a schedule that is no list",
      send: ["POST", "/v1/apps/shop/endpoints", { url, retrySchedule: "soon" }],
      code: "invalid_field",
      pointer: "/retrySchedule",
      shows: "soon",
    },
    {
      what: "a reserved header",
      send: ["POST", "/v1/apps/shop/endpoints", { url, headers: { "webhook-id": "x" } }],
      code: "invalid_field",
    },
    {
      what: "an event type pattern that is none",
      send: ["POST", "/v1/apps/shop/endpoints", { url, eventTypes: ["a..b"] }],
      code: "invalid_field",
      shows: "a..b",
    },
    {
      what: "data against its schema",
      send: ["POST", "/v1/events", { ...event, type: "order.checked", data: { id: "x" } }],
      code: "schema_mismatch",
      pointer: "/data/id",
    },
    {
      what: "a schema that is none",
      send: ["POST", "/v1/event-types", { name: "b", schema: { type: "nonsense" } }],
      code: "invalid_schema",
      pointer: "/schema",
    },
    {
      what: "a role that is not there",
      send: ["POST", "/v1/keys", { role: "god", name: "x" }],
      code: "invalid_field",
      pointer: "/role",
      shows: "god",
    },
    {
      what: "a state that is none",
      send: ["GET", "/v1/deliveries?state=lost"],
      code: "invalid_field",
      pointer: "/state",
      shows: "lost",
    },
    {
      what: "a cursor that is none",
      send: ["GET", "/v1/events?cursor=zzz"],
      code: "invalid_field",
      pointer: "/cursor",
      shows: "zzz",
    },
    {
      what: "an endpoint's uid without its app",
      send: ["GET", "/v1/deliveries?endpoint=main"],
      code: "invalid_field",
      pointer: "/endpoint",
      shows: "main",
    },
    {
      what: "a replay that ends before it begins",
      send: [
        "POST",
        "/v1/apps/shop/endpoints/main/replay",
        { since: "2026-01-02T00:00:00Z", until: "2026-01-01T00:00:00Z" },
      ],
      code: "invalid_field",
      pointer: "/until",
    },
  ];
  for (const { what, send, code, pointer, shows } of cases) {
    test(`${what}: ${code}`, async () => {
      const answered = await server.call(...send);
      const { detail, errors, status } = assertProblem(answered, code);
      assert.ok(status >= 400 && status < 500);
      if (pointer !== undefined) assert.equal(errors?.[0].pointer, pointer, answered.text);
      const named = `${detail} ${JSON.stringify(errors?.[0].value)}`;
      if (typeof shows === "string") assert.ok(named.includes(shows), named);
      else if (shows !== undefined) assert.match(named, shows);
    });
  }

  test("a bad key: 401", async () => {
    for (const key of ["phk_nobody", "", ADMIN_KEY.slice(0, -1)]) {
      assertProblem(await caller(server.url, key)("POST", "/v1/events", event), "unauthorized");
    }
  });

  test("an expired key, and a revoked one: 401", async () => {
    const made = await server.call("POST", "/v1/keys", { role: "admin", name: "for a moment" });
    const other = caller(server.url, made.json.secret);
    assert.equal((await other("GET", "/v1/apps")).status, 200);
    assert.equal((await server.call("DELETE", `/v1/keys/${made.json.id}`)).status, 204);
    assertProblem(await other("GET", "/v1/apps"), "unauthorized");
    const past = { role: "admin", name: "x", expiresAt: "2020-01-01T00:00:00Z" };
    assertProblem(await server.call("POST", "/v1/keys", past), "invalid_field");
  });

  test("nothing of all this was stored, and the server lives", async () => {
    const { json: events } = await server.call("GET", "/v1/events");
    assert.deepEqual(events, { data: [], nextCursor: null });
    const { json: apps } = await server.call("GET", "/v1/apps");
    assert.deepEqual(
      apps.data.map(({ uid }: { uid: string }) => uid),
      ["shop", "operator"],
    );
    const { json: endpoints } = await server.call("GET", "/v1/apps/shop/endpoints");
    assert.equal(endpoints.data.length, 1);
    assert.equal((await server.call("GET", "/readyz")).status, 200);
    assert.equal((await server.call("POST", "/v1/events", event)).status, 202);
  });
});

describe("pages", () => {
  test("follow one another to the end, newest first", async () => {
    const server = await startTestServer({ roles: ["api"] });
    try {
      await server.call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
      const batch = Array.from({ length: 7 }, (_, data) => ({ ...event, data }));
      const { json } = await server.call("POST", "/v1/events", batch);
      const ids = json.results.map(({ id }: { id: string }) => id).reverse();
      const seen: string[] = [];
      let next = "";
      for (let page = 0; page < 3; page += 1) {
        const { json: list } = await server.call("GET", `/v1/events?app=shop&limit=3${next}`);
        seen.push(...list.data.map(({ id }: { id: string }) => id));
        next = `&cursor=${list.nextCursor}`;
        assert.equal(list.nextCursor === null, page === 2);
      }
      assert.deepEqual(seen, ids);
    } finally {
      await server.end();
    }
  });
});

describe("bytes", () => {
  test("data arrives and is shown exactly as it was sent", async () => {
    const server = await startTestServer();
    const receiver = createServer(async (request, response) => {
      const body = await buffer(request);
      response.writeHead(204).end();
      receiver.emit("received", body);
    }).listen(0, "127.0.0.1");
    try {
      await once(receiver, "listening");
      const { port } = receiver.address() as AddressInfo;
      await server.call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
      await server.call("POST", "/v1/apps/shop/endpoints", { url: `http://127.0.0.1:${port}/` });
      const data = '{ "2":1,"1":2,\n\t"n":9007199254740993,"d":1.0,"e":1e2, "s":"\\u00e9é\\ud83d" }';
      const received = once(receiver, "received");
      const timestamp = "2026-01-01T00:00:00+02:00";
      const body = `{"app":"shop","data":${data},"type":"order.created","timestamp":"${timestamp}"}`;
      const { json } = await server.call("POST", "/v1/events", body);
      const [payload] = await received;
      assert.equal(payload.toString(), `{"type":"order.created","timestamp":"${timestamp}","data":${data}}`);
      const shown = await server.call("GET", `/v1/events/${json.id}`);
      assert.ok(shown.text.endsWith(`,"data":${data}}`), shown.text);
      assert.equal(shown.json.timestamp, timestamp);
    } finally {
      receiver.close();
      await server.end();
    }
  });

  test("the same key again is the same event; with another body it is a conflict", async () => {
    const server = await startTestServer({ roles: ["api"] });
    try {
      await server.call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
      const key = { "idempotency-key": "k" };
      const first = await server.call("POST", "/v1/events", [event, event], key);
      const again = await server.call("POST", "/v1/events", [event, event], key);
      const ids = first.json.results.map(({ id }: { id: string }) => id);
      assert.notEqual(ids[0], ids[1]);
      assert.deepEqual(
        again.json.results,
        ids.map((id: string) => ({ id, duplicate: true, deliveries: 0, fanOut: "done" })),
      );
      const other = await server.call("POST", "/v1/events", [{ ...event, data: 2 }], key);
      assert.equal(other.json.results[0].problem.code, "idempotency_conflict");
    } finally {
      await server.end();
    }
  });
});

describe("secrets", () => {
  test("stand in the answers that give them, and nowhere else", async () => {
    const server = await startTestServer({ roles: ["api"] });
    const texts: string[] = [];
    const call: TestServer["call"] = async (...request) => {
      const answered = await server.call(...request);
      texts.push(answered.text);
      return answered;
    };
    try {
      const secret = `whsec_${Buffer.alloc(24, "planted").toString("base64")}`;
      const headers = { "x-token": "planted-header-value" };
      await call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
      const created = await call("POST", "/v1/apps/shop/endpoints", { uid: "main", url, secret, headers });
      assert.deepEqual(created.json.headerNames, ["x-token"]);
      const made = await server.call("POST", "/v1/keys", { role: "admin", name: "another" });
      assert.equal(made.headers.get("cache-control"), "no-store");
      await call("PATCH", "/v1/apps/shop/endpoints/main", {
        headers: { "x-token": "planted-header-value\n" },
      });
      await call("POST", "/v1/apps/shop/endpoints", { url, secret: `${secret}?` });
      await call("POST", "/v1/apps/shop/endpoints", [{ secret, headers }]);
      await call("POST", "/v1/apps/shop/endpoints", { url: { secret } });
      await call("DELETE", `/v1/keys/${made.json.secret}`);
      await call("GET", `/v1/nothing/${made.json.secret}`);
      await call("GET", `/v1/apps?${made.json.secret}=1`);
      await call("POST", "/v1/events", event);
      const { json: api } = await call("GET", "/openapi.json");
      for (const route of Object.keys(api.paths)) {
        if (api.paths[route].get === undefined || route.endsWith("/secret")) continue;
        await call("GET", route.replace("{app}", "shop").replace("{endpoint}", "main"));
      }
      const shown = await server.call("GET", "/v1/apps/shop/endpoints/main/secret");
      assert.deepEqual([shown.json.secret, shown.headers.get("cache-control")], [secret, "no-store"]);
      const rotated = await server.call("POST", "/v1/apps/shop/endpoints/main/secret/rotate");
      assert.notEqual(rotated.json.secret, secret);
      const everything = [...texts, ...server.log].join("\n");
      assert.ok(server.log.length > 10 && texts.length > 25);
      for (const planted of [
        secret,
        secret.slice(6),
        headers["x-token"],
        made.json.secret,
        rotated.json.secret,
        ADMIN_KEY,
      ]) {
        assert.ok(!everything.includes(planted), planted);
      }
    } finally {
      await server.end();
    }
  });
});

describe("the data directory", () => {
  test("is its owner's alone, and keeps the first admin key and the events over a restart", async () => {
    const parent = mkdtempSync(path.join(tmpdir(), "posthorn-api-"));
    const dataDir = path.join(parent, "made", "here");
    try {
      const first = await startTestServer({ dataDir, adminKey: undefined, roles: ["api"] });
      const { file, made } = first.adminKey;
      assert.equal(file, path.join(dataDir, "admin.key"));
      assert.equal(readFileSync(file, "utf8"), `${made}\n`);
      for (const [name, mode] of [
        ["", 0o700],
        ["admin.key", 0o600],
        ["master.key", 0o600],
      ] as const) {
        assert.equal(statSync(path.join(dataDir, name)).mode & 0o777, mode, name);
      }
      assert.ok(!first.log.join("").includes(String(made)));
      await assert.rejects(startTestServer({ dataDir }), /in use|another|lock/i);
      const call = caller(first.url, String(made));
      await call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
      const { json } = await call("POST", "/v1/events", event);
      await first.stop();

      const second = await startTestServer({ dataDir, adminKey: undefined, roles: ["api"] });
      assert.equal(second.adminKey.made, null);
      const again = caller(second.url, String(made));
      assert.equal((await again("GET", `/v1/events/${json.id}`)).json.data, 1);
      // Revoked, it does not come back with the next start; a configured one is the way in.
      const other = await again("POST", "/v1/keys", { role: "admin", name: "another" });
      const keys = await again("GET", "/v1/keys");
      const id = keys.json.data.find((key: { id: string }) => key.id !== other.json.id).id;
      assert.equal((await again("DELETE", `/v1/keys/${id}`)).status, 204);
      await second.stop();

      const third = await startTestServer({ dataDir, roles: ["api"] });
      assertProblem(await caller(third.url, String(made))("GET", "/v1/keys"), "unauthorized");
      assert.equal((await third.call("GET", "/v1/keys")).status, 200);
      await third.stop();
    } finally {
      rmSync(parent, { recursive: true, force: true });
    }
  });

  test("a stop under load: whatever was answered 202 is there after it, the rest was told", async () => {
    const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-api-"));
    try {
      const first = await startTestServer({ dataDir, roles: ["api"] });
      await first.call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
      const accepted: string[] = [];
      const enough = Promise.withResolvers<void>();
      const sender = async () => {
        for (;;) {
          const answered = await first.call("POST", "/v1/events", event).catch(() => null);
          // The door is closed: nothing was taken, and the sender knows.
          if (answered === null) return;
          if (answered.status !== 202) {
            assertProblem(answered, "stopping");
            return;
          }
          accepted.push(answered.json.id);
          if (accepted.length === 100) enough.resolve();
        }
      };
      const senders = Array.from({ length: 8 }, sender);
      await enough.promise;
      await first.stop();
      await Promise.all(senders);

      const second = await startTestServer({ dataDir, roles: ["api"] });
      const stored = new Set<string>();
      for (let next = ""; ; ) {
        const { json } = await second.call("GET", `/v1/events?app=shop&limit=250${next}`);
        for (const { id } of json.data) stored.add(id);
        if (json.nextCursor === null) break;
        next = `&cursor=${json.nextCursor}`;
      }
      assert.deepEqual(
        accepted.filter((id) => !stored.has(id)),
        [],
      );
      await second.stop();
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });

  test("a port in use is said, and the directory is free again", async () => {
    const server = await startTestServer({ roles: ["api"] });
    const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-api-"));
    try {
      await assert.rejects(
        startTestServer({ dataDir, port: server.port }),
        /Port \d+ of 127\.0\.0\.1 is in use.*--port/,
      );
      await (await startTestServer({ dataDir })).end();
    } finally {
      await server.end();
    }
  });

  test("a store that cannot be reached is refused in one line, without its password", async () => {
    for (const store of ["postgres://me:planted@127.0.0.1:1/x", "postgres://me:planted@nowhere.invalid/x"]) {
      await assert.rejects(startTestServer({ store }), (error: Error) => {
        assert.match(error.message, /127\.0\.0\.1:1|nowhere\.invalid/);
        return !error.message.includes("planted") && !error.message.includes("\n");
      });
    }
  });
});

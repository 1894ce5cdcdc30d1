// The HTTP door by itself: keys, limits, the form of answers and errors. What the engine says is given.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import type { ServedEngine } from "../src/api/rest/server.ts";
import { PosthornError } from "../src/base/errors.ts";
import type { PublishOutcome } from "../src/engine/engine.ts";
import { assertProblem, caller, type Door, EVENT_ID, KEY, openDoor, raw } from "./api-fixture.ts";

const event = { app: "shop", type: "order.created", data: { id: 1 } };

describe("the door", () => {
  let door: Door;
  before(async () => {
    door = await openDoor();
  });
  after(() => door.close());

  test("needs a key, and says nothing of why a key is not good", async () => {
    const answers = [];
    for (const authorization of [
      "",
      "Bearer",
      "Bearer ",
      `Basic ${KEY}`,
      "Bearer phk_wrong",
      KEY,
      `Bearer ${"x".repeat(9000)}`,
    ]) {
      const answered = await door.call("POST", "/v1/events", event, { authorization });
      answers.push({ ...assertProblem(answered, "unauthorized"), requestId: "" });
      assert.equal(answered.headers.get("www-authenticate"), 'Bearer realm="posthorn"');
    }
    for (const each of answers) assert.deepEqual(each, answers[0]);
    assert.equal(
      (await door.call("POST", "/v1/events", event, { authorization: `bearer ${KEY}` })).status,
      202,
    );
  });

  test("every route but the open ones refuses a stranger", async () => {
    const stranger = caller(door.url, "phk_nobody");
    const open = ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/errors"];
    // Receivers have no key: what consents to deliveries, and what verifies them.
    open.push("/v1/verifications/{key}", "/.well-known/posthorn/jwks.json");
    for (const { method, path, access, door: way } of door.routes) {
      // Browsers are strangers in ways of their own.
      if (way === "console") continue;
      assert.equal(access === "open", open.includes(path), path);
      const answered = await stranger(method, path.replaceAll(/[{}]/g, ""));
      if (access === "open") assert.equal(answered.status, path.includes("{") ? 404 : 200, path);
      else assertProblem(answered, "unauthorized");
    }
  });

  test("a role that a route does not list is refused, an unknown one everywhere", async () => {
    const keys = { authenticate: async () => ({ id: "key_1", role: "someday" }) } as never;
    const other = await openDoor({ keys });
    try {
      assertProblem(await other.call("POST", "/v1/events", event), "forbidden");
      assertProblem(await other.call("GET", "/v1/apps"), "forbidden");
      assertProblem(await other.call("GET", "/metrics"), "forbidden");
    } finally {
      await other.close();
    }
  });

  test("takes over a sane request id, makes one else", async () => {
    const given = await door.call("GET", "/healthz", undefined, { "x-request-id": "trace-1.2:3" });
    assert.equal(given.headers.get("x-request-id"), "trace-1.2:3");
    for (const id of ["", "a b", "x".repeat(129), "<script>"]) {
      const made = await door.call("GET", "/healthz", undefined, { "x-request-id": id });
      assert.match(made.headers.get("x-request-id") ?? "", /^req_[0-9a-z]{30}$/);
    }
  });

  test("answers JSON in UTF-8", async () => {
    const { headers } = await door.call("GET", "/healthz");
    assert.equal(headers.get("content-type"), "application/json; charset=utf-8");
  });

  test("knows its addresses and their methods", async () => {
    const lost = assertProblem(await door.call("GET", "/v1/nothing"), "not_found");
    assert.match(lost.detail, /\/v1\/nothing/);
    const wrong = await door.call("PUT", "/v1/apps/x", {});
    assertProblem(wrong, "method_not_allowed");
    assert.deepEqual(wrong.headers.get("allow")?.split(", ").sort(), ["DELETE", "GET", "HEAD", "PATCH"]);
    assertProblem(await door.call("OPTIONS", "/v1/events"), "method_not_allowed");
    assert.equal((await door.call("HEAD", "/healthz")).status, 200);
    assertProblem(await door.call("GET", `/v1/apps/${"x".repeat(300)}`), "not_found");
    assertProblem(await door.call("GET", "/v1/apps/%ff"), "malformed_request");
  });

  test("names a query parameter that it does not know, or cannot use", async () => {
    const unknown = assertProblem(await door.call("GET", "/v1/apps?limits=5"), "unknown_field");
    assert.deepEqual([unknown.errors[0].pointer, unknown.errors[0].value], ["/limits", "limits"]);
    assertProblem(await door.call("POST", "/v1/events?dry=1", event), "unknown_field");
    for (const limit of ["0", "251", "-1", "1.5", "x", ""]) {
      const bad = assertProblem(await door.call("GET", `/v1/apps?limit=${limit}`), "invalid_field");
      assert.equal(bad.errors[0].pointer, "/limit");
    }
    assertProblem(await door.call("GET", "/v1/apps?limit=5&limit=6"), "invalid_field");
    assertProblem(await door.call("GET", "/v1/deliveries?state=done"), "invalid_field");
    assertProblem(await door.call("GET", "/v1/events?since=yesterday"), "invalid_field");
  });

  test("takes application/json and, to publish, NDJSON; nothing compressed", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "nonsense"]) {
      const bad = assertProblem(
        await door.call("POST", "/v1/events", "{}", { "content-type": type }),
        "unsupported_media_type",
      );
      assert.match(bad.detail, /application\/json/);
    }
    assertProblem(
      await door.call("POST", "/v1/events", "{}", { "content-encoding": "gzip" }),
      "unsupported_media_type",
    );
    const charset = { "content-type": "application/json; charset=utf-8" };
    assert.equal((await door.call("POST", "/v1/events", event, charset)).status, 202);
  });

  test("an address that takes no body refuses one, by name", async () => {
    const bad = assertProblem(
      await door.call("POST", "/v1/deliveries/dlv_x/cancel", { force: true }),
      "unknown_field",
    );
    assert.equal(bad.errors[0].pointer, "/force");
    assertProblem(await door.call("POST", "/v1/deliveries/dlv_x/cancel", {}), "not_found");
  });
});

describe("publishing", () => {
  test("hands over the bytes of data, and answers 202", async () => {
    const door = await openDoor();
    try {
      const data = '{"2":1,"1":2, "n":9007199254740993,"d":1.0,"e":1e2 }';
      const body = `{"app":"shop","data": ${data},"type":"order.created"}`;
      const { status, json } = await door.call("POST", "/v1/events", body, { "idempotency-key": "k" });
      assert.equal(status, 202);
      assert.deepEqual(json, { id: EVENT_ID, duplicate: false, deliveries: 2, fanOut: "done" });
      const [publication] = door.published;
      assert.equal(Buffer.from(publication?.data ?? []).toString(), data);
      assert.equal(Buffer.from(publication?.raw ?? []).toString(), body);
      assert.deepEqual(publication?.envelope, { app: "shop", type: "order.created" });
      assert.equal(publication?.idempotencyKey, "k");
    } finally {
      await door.close();
    }
  });

  test("a batch is answered in order, whatever one element is", async () => {
    const accepted = {
      kind: "accepted",
      id: EVENT_ID,
      duplicate: true,
      deliveries: 0,
      fanOut: "pending",
    } as const;
    const error = new PosthornError("unknown_event_type", "no", { pointer: "/type", value: "x" });
    const outcomes: PublishOutcome[] = [accepted, { kind: "refused", error }];
    const door = await openDoor({ publish: async () => outcomes });
    try {
      for (const [body, type] of [
        ['[{"data":1},7,{"data":2}]', "application/json"],
        ['{"data":1}\n7\n{"data":2}\n', "application/x-ndjson"],
      ] as const) {
        const { status, json } = await door.call("POST", "/v1/events", body, { "content-type": type });
        assert.equal(status, 202);
        const [first, second, third] = json.results;
        assert.deepEqual(first, { id: EVENT_ID, duplicate: true, deliveries: 0, fanOut: "pending" });
        assert.equal(second.problem.code, "invalid_field");
        assert.deepEqual(third.problem.errors, [{ pointer: "/type", value: "x", detail: "no" }]);
        assert.equal(json.results.length, 3);
      }
    } finally {
      await door.close();
    }
  });

  test("Idempotency-Key is 1 to 255 visible characters", async () => {
    const door = await openDoor();
    try {
      const good = await door.call("POST", "/v1/events", [event, event], {
        "idempotency-key": "x".repeat(255),
      });
      assert.equal(good.status, 202);
      assert.ok(door.published[1]?.idempotencyKey?.endsWith("x:1"));
      for (const key of ["", "x".repeat(256), "a b", "ä"]) {
        const bad = await door.call("POST", "/v1/events", event, { "idempotency-key": key });
        assert.equal(assertProblem(bad, "invalid_field").errors[0].pointer, "/idempotency-key");
      }
    } finally {
      await door.close();
    }
  });

  test("a server that cannot take it says when to try again", async () => {
    let error = new PosthornError("overloaded", "Too much.", { retryAfterSeconds: 0.2 });
    const door = await openDoor({ publish: async (list) => list.map(() => ({ kind: "refused", error })) });
    try {
      for (const code of ["overloaded", "storage_full", "stopping", "rate_limited"] as const) {
        error = new PosthornError(code, "Not now.", { retryAfterSeconds: 7 });
        for (const body of [event, [event, event]]) {
          const refused = await door.call("POST", "/v1/events", body);
          assert.equal(assertProblem(refused, code).retryAfterSeconds, 7);
          assert.equal(refused.headers.get("retry-after"), "7");
        }
      }
    } finally {
      await door.close();
    }
  });

  test("a body that is too large is answered, not cut off", async () => {
    const door = await openDoor({}, { limits: { bodyBytesMax: 100_000 } });
    try {
      const large = JSON.stringify({ ...event, data: "x".repeat(400_000) });
      assertProblem(await door.call("POST", "/v1/events", large), "payload_too_large");
      const chunked = await fetch(`${door.url}/v1/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
        body: new Blob([large]).stream(),
        duplex: "half",
      } as RequestInit);
      assert.equal(chunked.status, 413);
      assert.equal(door.published.length, 0);
      assert.equal((await door.call("POST", "/v1/events", event)).status, 202);
    } finally {
      await door.close();
    }
  });

  test("large bodies share a bound, and give it back", async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const error = new PosthornError("not_found", "There is no app.");
    const publish: ServedEngine["publish"] = async (publications) => {
      arrived.resolve();
      await gate.promise;
      return publications.map(() => ({ kind: "refused", error }));
    };
    const door = await openDoor({ publish }, { limits: { bodiesBytesMax: 150_000 } });
    try {
      const large = { ...event, data: "x".repeat(100_000) };
      const first = door.call("POST", "/v1/events", large);
      await arrived.promise;
      assertProblem(await door.call("POST", "/v1/events", large), "overloaded");
      gate.resolve();
      assertProblem(await first, "not_found");
      assertProblem(await door.call("POST", "/v1/events", large), "not_found");
    } finally {
      await door.close();
    }
  });
});

describe("secrets", () => {
  test("are not echoed, whatever field they came in", async () => {
    const planted = "planted-secret-value";
    const refuse = (
      pointer: string,
      value: unknown,
      code: "invalid_field" | "not_found" = "invalid_field",
    ) => {
      throw new PosthornError(code, `${pointer} is not good (got ${JSON.stringify(value)})`, {
        pointer,
        value,
      });
    };
    const errors: (() => never)[] = [
      () => refuse("/secret", planted),
      () => refuse("/headers/X-Token", planted),
      () => refuse("", { secret: planted, headers: { a: planted }, nested: [{ authorization: planted }] }),
      () => refuse("/name", `whsec_${planted}`),
      () => refuse("/url", `https://user:${planted}@example.com/`),
      () => {
        throw new PosthornError("not_found", `There is no key "phk_${planted}".`, {
          value: `phk_${planted}`,
        });
      },
      () => {
        throw new Error(`inside: ${planted}`);
      },
    ];
    let next = (): never => refuse("", null);
    const lines: string[] = [];
    const log = (_fields: object, message: string) => void lines.push(message);
    const door = await openDoor(
      { apps: { create: async () => next() } as never },
      { logger: { debug: log, info: log, warn: log, error: log, fatal: log }, requestLog: true },
    );
    try {
      for (const error of errors) {
        next = error;
        const answered = await door.call("POST", "/v1/apps", { secret: planted });
        assert.ok(!answered.text.includes(planted), answered.text);
        assert.ok(answered.json.detail.length > 10);
      }
      const shown = (() => {
        next = () => refuse("/retentionDays", 31);
        return door.call("POST", "/v1/apps", {});
      })();
      const { errors: named, detail } = assertProblem(await shown, "invalid_field");
      assert.equal(named[0].value, 31);
      assert.match(detail, /got 31/);
      assert.ok(lines.includes("request.failed") && lines.includes("request.answered"));
    } finally {
      await door.close();
    }
  });
});

describe("on the way out", () => {
  test("what would change something gets 503 and the end of its connection; reads go on", async () => {
    const door = await openDoor();
    try {
      door.drain();
      const refused = await door.call("POST", "/v1/events", event);
      assertProblem(refused, "stopping");
      assert.equal(refused.headers.get("retry-after"), "5");
      assert.equal(refused.headers.get("connection"), "close");
      assert.equal((await door.call("GET", "/healthz")).status, 200);
      const ready = await door.call("GET", "/readyz");
      assert.deepEqual([ready.status, ready.json.status], [503, "not_ready"]);
    } finally {
      await door.close();
    }
  });

  test("closing waits for the request under way, not for idle connections", async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const door = await openDoor({
      async publish() {
        arrived.resolve();
        await gate.promise;
        return [{ kind: "accepted", id: EVENT_ID, duplicate: false, deliveries: 0, fanOut: "done" }];
      },
    });
    await door.call("GET", "/healthz");
    const underWay = door.call("POST", "/v1/events", event);
    await arrived.promise;
    const closed = door.close();
    gate.resolve();
    assert.equal((await underWay).status, 202);
    await closed;
    await assert.rejects(door.call("GET", "/healthz"));
  });
});

describe("what is no request", () => {
  test("is answered with a problem, and the next connection works", async () => {
    const door = await openDoor(
      {},
      { limits: { headersTimeoutMs: 200, requestTimeoutMs: 400, timeoutCheckEveryMs: 50 } },
    );
    try {
      const head = `POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\n`;
      assert.match(
        await raw(door.port, "NONSENSE\r\n\r\n"),
        /^HTTP\/1\.1 400 [\s\S]*"code":"malformed_request"/,
      );
      assert.match(await raw(door.port, `${head}content-length: x\r\n\r\n`), /^HTTP\/1\.1 400 /);
      assert.match(
        await raw(door.port, `GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(20_000)}\r\n\r\n`),
        /^HTTP\/1\.1 431 [\s\S]*"code":"headers_too_large"/,
      );
      // A sender that stops in its headers, or in its body, is not waited for.
      assert.match(
        await raw(door.port, "POST /v1/events HTTP/1.1\r\nhost"),
        /^HTTP\/1\.1 408 [\s\S]*"code":"request_timeout"/,
      );
      assert.match(await raw(door.port, `${head}content-length: 100\r\n\r\n{`), /^HTTP\/1\.1 408 /);
      // One that then never closes its own side does not keep its connection: the next byte meets a reset.
      const stubborn = connect({ port: door.port, host: "127.0.0.1", allowHalfOpen: true });
      stubborn.resume();
      stubborn.write("POST /v1/events HTTP/1.1\r\nhost");
      await once(stubborn, "end");
      const gone = once(stubborn, "error");
      const pushing = setInterval(() => stubborn.write("x"), 50);
      const [reset] = await gone;
      clearInterval(pushing);
      assert.match(String(reset.code), /^(EPIPE|ECONNRESET)$/);
      assert.equal((await door.call("POST", "/v1/events", event)).status, 202);
    } finally {
      await door.close();
    }
  });
});

// Limits at the door of a real server: the headers that tell of them, and what refuses whole requests.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertProblem, type Call, caller } from "./api-fixture.ts";
import { startTestServer, type TestServer } from "./api-server-fixture.ts";

describe("publishing over HTTP within limits", () => {
  let server: TestServer;
  let publisher: Call;
  const event = (app: string) => ({ app, type: "order.created", data: {} });

  before(async () => {
    server = await startTestServer();
    await server.call("POST", "/v1/apps", { uid: "free", name: "Free" });
    await server.call("POST", "/v1/apps", { uid: "shop", name: "Shop", limits: { eventsPerDay: 3 } });
    await server.call("POST", "/v1/apps", { uid: "roomy", name: "Roomy", limits: { eventsPerDay: 9 } });
    const limits = { publishPerSecond: 0.01 };
    const made = await server.call("POST", "/v1/keys", { role: "publisher", name: "slow", limits });
    publisher = caller(server.url, made.json.secret);
  });
  after(() => server.end());

  test("nothing is told to who has no limits", async () => {
    const answered = await server.call("POST", "/v1/events", event("free"));
    assert.equal(answered.status, 202);
    assert.equal(answered.headers.get("ratelimit"), null);
    assert.equal(answered.headers.get("ratelimit-policy"), null);
  });

  test("what is allowed and what is left stands on an answer, on a refusal, and on both in one batch", async () => {
    const first = await server.call("POST", "/v1/events", event("shop"));
    assert.equal(first.status, 202);
    assert.equal(first.headers.get("ratelimit-policy"), '"app-day";q=3;w=86400');
    assert.match(first.headers.get("ratelimit") ?? "", /^"app-day";r=2;t=\d{1,5}$/);

    const batch = await server.call("POST", "/v1/events", Array(3).fill(event("shop")));
    assert.equal(batch.status, 202);
    const codes = batch.json.results.map(
      (result: { problem?: { code: string } }) => result.problem?.code ?? "stored",
    );
    assert.deepEqual(codes, ["stored", "stored", "quota_exceeded"]);
    assert.match(batch.headers.get("ratelimit") ?? "", /^"app-day";r=0;/);

    const refused = await server.call("POST", "/v1/events", event("shop"));
    const problem = assertProblem(refused, "quota_exceeded");
    assert.equal(refused.status, 429);
    const [, seconds] = /^"app-day";r=0;t=(\d+)$/.exec(refused.headers.get("ratelimit") ?? "") ?? [];
    assert.ok(Number(seconds) > 0);
    assert.ok(Math.abs(Number(refused.headers.get("retry-after")) - Number(seconds)) <= 1);
    assert.match(problem.detail, /^App shop may publish 3 events per day/);
    assertProblem(await server.call("POST", "/v1/events", Array(2).fill(event("shop"))), "quota_exceeded");
  });

  test("those of the key stand next to those of the app", async () => {
    const answered = await publisher("POST", "/v1/events", event("free"));
    assert.equal(answered.headers.get("ratelimit-policy"), '"key-rate";q=1;w=100');
    assert.equal(answered.headers.get("ratelimit"), '"key-rate";r=0;t=100');
    const refused = await publisher("POST", "/v1/events", event("roomy"));
    assertProblem(refused, "rate_limited");
    assert.equal(refused.headers.get("retry-after"), "100");
    assert.equal(refused.headers.get("ratelimit-policy"), '"app-day";q=9;w=86400, "key-rate";q=1;w=100');
  });

  test("the test button counts for the app's key that presses it", async () => {
    const limits = { eventsPerDay: 1 };
    const { json } = await server.call("POST", "/v1/keys", {
      role: "app",
      app: "free",
      name: "their own",
      limits,
    });
    const owner = caller(server.url, json.secret);
    await owner("POST", "/v1/apps/free/endpoints", { uid: "main", url: "https://receiver.example/" });
    const press = () => owner("POST", "/v1/apps/free/endpoints/main/test", { eventType: "order.created" });
    assert.equal((await press()).status, 202);
    assertProblem(await press(), "quota_exceeded");
  });

  test("hops come by a header: digits up to 255, and 8 of them end the way", async () => {
    const send = (hops: string) =>
      server.call("POST", "/v1/events", event("free"), { "posthorn-hops": hops });
    for (const hops of ["0", "8", "008"]) assert.equal((await send(hops)).status, 202);
    for (const hops of ["256", "-1", "1.5", "1e1", "", "0x1", "1, 1"]) {
      const problem = assertProblem(await send(hops), "invalid_field");
      assert.equal(problem.errors[0].pointer, "/posthorn-hops");
    }
    const looped = await send("9");
    assertProblem(looped, "loop_detected");
    assert.equal(looped.status, 508);
    const batch = await server.call("POST", "/v1/events", [event("free")], { "posthorn-hops": "9" });
    assert.equal(batch.json.results[0].problem.code, "loop_detected");
  });
});

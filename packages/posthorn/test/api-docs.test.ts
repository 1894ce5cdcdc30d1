// What is written about the API is what it does: OpenAPI covers the routes, docs/errors.md has the table of the code.
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { parameterNames } from "../src/api/rest/openapi.ts";
import { HTTP_ERRORS } from "../src/api/rest/problem.ts";
import { ERRORS } from "../src/base/errors.ts";
import { type Answered, type Door, openDoor } from "./api-fixture.ts";

const page = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");

describe("OpenAPI", () => {
  let door: Door;
  let api: Answered["json"];
  before(async () => {
    door = await openDoor();
    api = (await door.call("GET", "/openapi.json")).json;
  });
  after(() => door.close());

  test("has every route, and nothing else", () => {
    const described = Object.entries<object>(api.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.deepEqual(described.sort(), door.routes.map(({ method, path }) => `${method} ${path}`).sort());
    assert.ok(described.length > 40);
    assert.equal(api.openapi, "3.1.0");
  });

  test("each operation has a name of its own, its parameters, its key, and its errors", () => {
    const names = new Set<string>();
    for (const { method, path, access, door: way } of door.routes) {
      const operation = api.paths[path][method.toLowerCase()];
      assert.ok(!names.has(operation.operationId), operation.operationId);
      names.add(operation.operationId);
      const inPath = operation.parameters.filter((each: { in: string }) => each.in === "path");
      assert.deepEqual(
        inPath.map(({ name }: { name: string }) => name),
        parameterNames(path),
      );
      const secured = way === "console" ? { session: [] } : { key: [] };
      assert.deepEqual(operation.security, access === "open" ? [] : [secured]);
      assert.ok(operation.responses.default.content["application/problem+json"]);
    }
  });

  test("every reference leads somewhere, and publishing takes both forms", () => {
    const references = [...JSON.stringify(api).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(
      ([, path]) => path as string,
    );
    assert.ok(references.length > 20);
    for (const reference of new Set(references)) {
      const target = reference.split("/").reduce((node, step) => node?.[step], api);
      assert.ok(target, reference);
    }
    const { content } = api.paths["/v1/events"].post.requestBody;
    assert.deepEqual(Object.keys(content), ["application/json", "application/x-ndjson"]);
    const query = api.paths["/v1/events"].get.parameters.map(({ name }: { name: string }) => name);
    assert.deepEqual(query, ["cursor", "limit", "app", "type", "since", "until"]);
  });

  test("people get pages that load nothing and run nothing", async () => {
    for (const path of ["/docs", "/docs/errors"]) {
      const { text, headers } = await door.call("GET", path);
      const policy = headers.get("content-security-policy") ?? "";
      const [, style = ""] = /<style>(.*?)<\/style>/s.exec(text) ?? [];
      assert.match(policy, /^default-src 'none'; style-src 'sha256-[^']+'; /);
      assert.ok(policy.includes(`'sha256-${hash("sha256", style, "base64")}'`));
      assert.match(policy, /frame-ancestors 'none'/);
      assert.doesNotMatch(text, / style=| on\w+=/);
      assert.equal(headers.get("referrer-policy"), "no-referrer");
      assert.equal(headers.get("cross-origin-opener-policy"), "same-origin");
      assert.equal(headers.get("cross-origin-resource-policy"), "same-origin");
      assert.doesNotMatch(text, /<script|<link|<img|src=|href="http/);
    }
    const { text } = await door.call("GET", "/docs");
    for (const { path } of door.routes) assert.ok(text.includes(`<code>${path}</code>`), path);
    const errors = (await door.call("GET", "/docs/errors")).text;
    for (const code of Object.keys({ ...ERRORS, ...HTTP_ERRORS }))
      assert.ok(errors.includes(`id="${code}"`), code);
  });

  test("/metrics has the engine's figures", async () => {
    const counters = {
      accepted: 5,
      duplicates: 1,
      refused: 2,
      attempts: { succeeded: 4, rejected: 1 },
      finals: { delivered: 4 },
      inFlight: 3,
      lanes: 2,
      waiting: 6,
      waitingBytes: 600,
      latency: Object.assign(new Array(42).fill(0), { 0: 2, 5: 1, 41: 1 }),
      latencySumMs: 31_500,
    };
    const measured = await openDoor({ counters: () => counters }, { metricsOpen: true });
    try {
      const { text, headers } = await measured.call("GET", "/metrics", undefined, { authorization: "" });
      assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
      for (const line of [
        "posthorn_events_accepted_total 5",
        'posthorn_attempts_total{outcome="rejected"} 1',
        'posthorn_deliveries_finished_total{state="delivered"} 4',
        "posthorn_attempts_in_flight 3",
        'posthorn_attempt_duration_seconds_bucket{le="0.001"} 2',
        'posthorn_attempt_duration_seconds_bucket{le="0.006"} 3',
        'posthorn_attempt_duration_seconds_bucket{le="30"} 3',
        'posthorn_attempt_duration_seconds_bucket{le="+Inf"} 4',
        "posthorn_attempt_duration_seconds_sum 31.5",
        "posthorn_attempt_duration_seconds_count 4",
        "posthorn_ready 1",
      ])
        assert.ok(text.includes(`\n${line}\n`), line);
      assert.match(text, /process_cpu_seconds_total/);
    } finally {
      await measured.close();
    }
  });
});

test("docs/errors.md has the table of base/errors.ts, in its order", () => {
  const rows = [...page("errors.md").matchAll(/^\| `(\w+)` \| (\d{3}) \| (.+?) \| (.+?) \|$/gm)];
  assert.deepEqual(
    rows.map(([, code, status, title]) => [code, Number(status), title]),
    Object.entries({ ...ERRORS, ...HTTP_ERRORS }).map(([code, { status, title }]) => [code, status, title]),
  );
});

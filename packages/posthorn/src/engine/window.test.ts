import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import { pageOf, windowOf } from "./window.ts";

function refused(pointer: string, run: () => unknown): void {
  assert.throws(
    run,
    (error) => error instanceof PosthornError && error.code === "invalid_field" && error.pointer === pointer,
  );
}

describe("a page", () => {
  test("has 50 rows unless told otherwise, from 1 to 250", () => {
    assert.deepEqual(pageOf({}), { limit: 50 });
    assert.deepEqual(pageOf({ limit: 250, cursor: "abc" }), { limit: 250, cursor: "abc" });
    assert.deepEqual(pageOf({ limit: 1 }), { limit: 1 });
    for (const limit of [0, 251, -1, 1.5, Number.NaN]) refused("/limit", () => pageOf({ limit }));
  });
});

describe("a time window", () => {
  test("is read from ISO 8601, each end by itself", () => {
    assert.deepEqual(windowOf({}), {});
    assert.deepEqual(windowOf({ since: "1970-01-01T00:00:01Z" }), { sinceMs: 1000 });
    assert.deepEqual(windowOf({ until: "1970-01-01T01:00:00+01:00" }), { untilMs: 0 });
  });

  test("names the end that cannot be read", () => {
    refused("/since", () => windowOf({ since: "yesterday" }));
    refused("/until", () => windowOf({ since: "2026-01-01T00:00:00Z", until: "2026-01-01" }));
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ERRORS, messageOf, notFound, PosthornError, unreachable } from "./errors.ts";

describe("errors", () => {
  test("every code has a 4xx or 5xx status and a title of its own", () => {
    const entries = Object.entries(ERRORS);
    for (const [code, { status, title }] of entries) {
      assert.match(code, /^[a-z0-9]+(_[a-z0-9]+)*$/);
      assert.ok(status >= 400 && status <= 599, code);
      assert.ok(title.length > 5, code);
    }
    assert.equal(new Set(entries.map(([, { title }]) => title)).size, entries.length);
  });

  test("an error knows its status, the field, the value and what caused it", () => {
    const cause = new Error("underneath");
    const error = new PosthornError("invalid_field", "no", { pointer: "/name", value: 7, cause });
    assert.ok(error instanceof Error);
    assert.deepEqual(
      [error.name, error.code, error.status, error.pointer, error.value, error.cause],
      ["PosthornError", "invalid_field", 422, "/name", 7, cause],
    );
    assert.ok(!("cause" in new PosthornError("stopping", "bye")));
  });

  test("what is not there is named, cut to a readable length", () => {
    assert.equal(notFound("app", "acme").message, 'There is no app "acme".');
    assert.ok(notFound("app", "x".repeat(10_000)).message.length < 150);
  });

  test("a value that the types say cannot be fails closed", () => {
    assert.throws(() => unreachable("surprise" as never, "outcome"), /outcome: unknown value "surprise"/);
  });

  test("anything that was thrown has a text", () => {
    assert.deepEqual([new Error("a"), "b", 3, undefined].map(messageOf), ["a", "b", "3", "undefined"]);
  });
});

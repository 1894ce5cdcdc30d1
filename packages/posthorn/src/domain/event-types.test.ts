import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PosthornError } from "../base/errors.ts";
import { compileEventTypePatterns, isEventTypeName } from "./event-types.ts";

const TYPES = [
  "order",
  "order.created",
  "order.item.added",
  "order.item.stock.low",
  "orders.created",
  "user.created",
];

function wanted(...patterns: string[]): string[] {
  return TYPES.filter(compileEventTypePatterns(patterns));
}

describe("event type names", () => {
  test("segments of letters, digits, _ and -, joined by dots, at most 128 characters", () => {
    for (const name of ["a", "order.created", "a-b_C.9", "x".repeat(128)])
      assert.ok(isEventTypeName(name), name);
    for (const name of ["", ".", "a.", ".a", "a..b", "a b", "a.*", "é", "a\n", "x".repeat(129)]) {
      assert.ok(!isEventTypeName(name), name);
    }
  });
});

describe("event type patterns", () => {
  test("no patterns and * want everything", () => {
    assert.deepEqual(wanted(), TYPES);
    assert.deepEqual(wanted("*"), TYPES);
    assert.deepEqual(wanted("user.created", "*"), TYPES);
    assert.ok(compileEventTypePatterns(undefined)("order"));
  });
  test("an exact name wants itself", () => {
    assert.deepEqual(wanted("order.created", "order"), ["order", "order.created"]);
  });
  test("order.* wants exactly one segment more", () => {
    assert.deepEqual(wanted("order.*"), ["order.created"]);
    assert.deepEqual(wanted("order.item.*"), ["order.item.added"]);
  });
  test("order.** wants one or more segments more", () => {
    assert.deepEqual(wanted("order.**"), ["order.created", "order.item.added", "order.item.stock.low"]);
    assert.deepEqual(wanted("order.item.**"), ["order.item.added", "order.item.stock.low"]);
  });
  test("patterns add up", () => {
    assert.deepEqual(wanted("user.*", "order.item.**", "order"), [
      "order",
      "order.item.added",
      "order.item.stock.low",
      "user.created",
    ]);
  });
  test("a bad pattern is named, with its place", () => {
    for (const bad of [
      "",
      "**",
      "*.created",
      "order.*.added",
      "order*",
      "order.",
      "or der",
      "order.***",
      ".",
    ]) {
      assert.throws(
        () => compileEventTypePatterns(["order.*", bad]),
        (error) =>
          error instanceof PosthornError &&
          error.code === "invalid_field" &&
          error.pointer === "/eventTypes/1" &&
          error.message.includes(JSON.stringify(bad)),
        bad,
      );
    }
  });
  test("it agrees with what the patterns say as regular expressions", () => {
    const segments = fc.array(fc.constantFrom("a", "b", "ab"), { minLength: 1, maxLength: 4 });
    const name = segments.map((parts) => parts.join("."));
    const pattern = fc.tuple(name, fc.constantFrom("", ".*", ".**")).map(([base, stars]) => base + stars);
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 5 }), name, (patterns, eventType) => {
        const expected = patterns.some((each) => {
          const source = each
            .replaceAll(".", "\\.")
            .replace(/\\\.\*\*$/, "(\\.\\w+)+")
            .replace(/\\\.\*$/, "\\.\\w+");
          return new RegExp(`^${source}$`).test(eventType);
        });
        assert.equal(compileEventTypePatterns(patterns)(eventType), expected);
      }),
      { numRuns: 500 },
    );
  });
});

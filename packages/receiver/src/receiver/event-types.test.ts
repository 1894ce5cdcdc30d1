import assert from "node:assert/strict";
import { test } from "node:test";
import { compilePatterns } from "./event-types.ts";

const matcher = (...patterns: string[]) =>
  compilePatterns(patterns.map((pattern) => [pattern, pattern] as const));

test("the most specific pattern has an event", () => {
  const match = matcher(
    "*",
    "order.**",
    "order.*",
    "order.created",
    "order.item.**",
    "orders/create",
    "a.b.*",
    "a.**",
  );
  const expected = {
    "order.created": "order.created",
    "order.paid": "order.*",
    "order.a.b": "order.**",
    "order.item.added": "order.item.**",
    "order.item.a.b": "order.item.**",
    "orders/create": "orders/create",
    order: "*",
    "order.item": "order.*",
    "a.b.c": "a.b.*",
    "a.b.c.d": "a.**",
    ".a": "*",
    "": "*",
  };
  for (const [eventType, pattern] of Object.entries(expected))
    assert.equal(match(eventType), pattern, eventType);
});

test("what matches nothing has no pattern, names of every object included", () => {
  const match = matcher("order.*", "constructor.*");
  for (const eventType of ["order", "order.a.b", "orders.a", "toString", "__proto__", "constructor"]) {
    assert.equal(match(eventType), undefined, eventType);
  }
});

test("what is no pattern is refused by name", () => {
  for (const pattern of ["", "order*", "*.created", "order.*.a", "**", ".*", "order.***"]) {
    assert.throws(() => matcher("*", pattern), {
      name: "TypeError",
      message: /is not an event type pattern/,
    });
  }
});

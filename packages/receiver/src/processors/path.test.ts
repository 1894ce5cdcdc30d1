import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventRoot } from "./event-root.ts";
import { compilePath, PathError } from "./path.ts";

const event = {
  id: "evt_1",
  type: "order.created",
  timestampSeconds: 1_700_000_000,
  receivedAtMs: 1_700_000_001_250,
  headers: { "x-github-event": "ping" },
  payload: new TextEncoder().encode('{"id":7}'),
  data: { items: [{ id: 7, "x y": { "it's \\": true } }], name: "é", __proto__: null, länge: 3 },
};
const at = (path: string): unknown => compilePath(path).read(eventRoot(event));

test("a path leads to one value of an event", () => {
  assert.equal(at("$.id"), "evt_1");
  assert.equal(at("$['type']"), "order.created");
  assert.equal(at("$.timestamp"), "2023-11-14T22:13:20.000Z");
  assert.equal(at("$.receivedAt"), "2023-11-14T22:13:21.250Z");
  assert.equal(at("$.headers['x-github-event']"), "ping");
  assert.equal(at("$.payload"), '{"id":7}');
  assert.equal(at("$.data"), event.data);
  assert.equal(at("$.data.items[0].id"), 7);
  assert.equal(at(`$.data.items[0]["x y"]['it\\'s \\\\']`), true);
  assert.equal(at("$.data.länge"), 3);
});

test("where there is nothing, nothing is found: no inherited member, no length, no element by name", () => {
  for (const path of [
    "$.data.missing",
    "$.data.items[1]",
    "$.data.items.length",
    "$.data.items['0']",
    "$.data[0]",
    "$.data.constructor",
    "$.data.items[0].toString",
    "$.data.name.length",
    "$.data.name[0]",
    "$.id.x.y",
  ]) {
    assert.equal(at(path), undefined, path);
  }
});

test("a wrong path is refused with its position", () => {
  const refusals: readonly (readonly [string, number])[] = [
    ["data.id", 0],
    ["$", 1],
    ["$.order.id", 1],
    ["$[0]", 1],
    ["$.data.", 7],
    ["$.data..id", 7],
    ["$.data.x-y", 8],
    ["$.data[01]", 7],
    ["$.data[-1]", 7],
    ["$.data[*]", 7],
    ["$.data[0", 7],
    ["$.data['x]", 7],
    ["$.data['x\\n']", 7],
    ["$.data ", 6],
    ["$.data[?@.x]", 7],
  ];
  for (const [path, position] of refusals) {
    assert.throws(
      () => compilePath(path),
      (error) => error instanceof PathError && error.message.includes(`at position ${position}:`),
      path,
    );
  }
  assert.throws(() => compilePath(`$.data.${"x".repeat(1000)}`), /at most 1000 characters/);
});

test("any name can be written in quotes and is found", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.constantFrom("'", '"'), (name, quote) => {
      const quoted = name.replaceAll("\\", "\\\\").replaceAll(quote, `\\${quote}`);
      const data = Object.defineProperty({}, name, { value: "found", enumerable: true });
      assert.equal(compilePath(`$.data[${quote}${quoted}${quote}]`).read({ data }), "found");
    }),
    { numRuns: 100 },
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { propertiesOf, schemaAt } from "./schema.ts";

const schema = {
  $ref: "#/$defs/order",
  $defs: {
    order: {
      type: "object",
      required: ["id", "customer", "maybe", "a/b"],
      properties: {
        id: { type: "string" },
        "a/b": { $ref: "#/$defs/a~1b" },
        customer: {
          type: "object",
          required: ["age"],
          properties: { age: { type: "integer" }, name: { type: "string" } },
        },
        maybe: { type: ["object", "null"], required: ["x"], properties: { x: { type: "number" } } },
        lines: {
          type: "array",
          prefixItems: [{ type: "boolean" }],
          items: { type: "string", format: "date-time" },
        },
        both: { type: ["string", "integer"] },
        state: { enum: ["open", "paid", null] },
        level: { enum: [1, "high"] },
        far: { $ref: "https://example.com/schema.json" },
        loop: { $ref: "#/$defs/loop" },
      },
    },
    "a/b": { type: "string", format: "date" },
    loop: { $ref: "#/$defs/loop" },
  },
};

test("types and what is required, along a path", () => {
  assert.deepEqual(propertiesOf(schema), [
    "id",
    "a/b",
    "customer",
    "maybe",
    "lines",
    "both",
    "state",
    "level",
    "far",
    "loop",
  ]);
  const at = (...segments: (string | number)[]) => schemaAt(schema, segments);
  assert.deepEqual(at("id"), { type: "text", isRequired: true });
  assert.deepEqual(at("a/b"), { type: "date", isRequired: true });
  assert.deepEqual(at("customer"), { type: "json", isRequired: true });
  assert.deepEqual(at("customer", "age"), { type: "integer", isRequired: true });
  assert.deepEqual(at("customer", "name"), { type: "text", isRequired: false });
  assert.deepEqual(at("maybe"), { type: "json", isRequired: false });
  assert.deepEqual(at("maybe", "x"), { type: "number", isRequired: false });
  assert.deepEqual(at("lines", 0), { type: "boolean", isRequired: false });
  assert.deepEqual(at("lines", 1), { type: "timestamp", isRequired: false });
  assert.deepEqual(at("both"), { type: "json", isRequired: false });
  assert.deepEqual(at("state"), { type: "text", isRequired: false });
  assert.deepEqual(at("level"), { type: "json", isRequired: false });
  for (const name of ["far", "loop", "toString", "unknown"]) assert.equal(at(name), undefined, name);
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PosthornError } from "../base/errors.ts";
import { compileSchema } from "./schema.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/** Where and why data does not match; null when it does. */
function problem(schema: unknown, data: unknown): string | null {
  const found = compileSchema(schema)(data);
  return found === null ? null : `${found.pointer}: ${found.message}`;
}

function refused(schema: unknown, message: RegExp): void {
  assert.throws(
    () => compileSchema(schema),
    (error) =>
      error instanceof PosthornError &&
      error.code === "invalid_schema" &&
      error.pointer === "/schema" &&
      message.test(error.message),
    JSON.stringify(schema),
  );
}

describe("data is held against the schema of its event type", () => {
  test("what matches, matches", () => {
    const schema = {
      $schema: DIALECT,
      type: "object",
      properties: { id: { type: "integer" } },
      required: ["id"],
    };
    assert.equal(problem(schema, { id: 1, more: true }), null);
    assert.equal(problem(true, "anything"), null);
    assert.equal(problem({}, null), null);
  });

  test("what does not is pointed at", () => {
    const schema = {
      properties: { items: { type: "array", items: { properties: { count: { minimum: 1 } } } } },
    };
    assert.equal(problem(schema, { items: [{ count: 1 }, { count: 0 }] }), "/items/1/count: must be >= 1");
    assert.equal(problem({ type: "object" }, []), ": must be object");
    assert.notEqual(problem(false, {}), null);
  });

  test("each pattern is its own", () => {
    const schema = {
      properties: { a: { pattern: "^a+$" }, b: { pattern: "^b+$" } },
      patternProperties: { "^c": false },
    };
    assert.equal(problem(schema, { a: "aa", b: "bb", d: 1 }), null);
    assert.match(problem(schema, { a: "bb" }) ?? "", /^\/a: must match pattern/);
    assert.match(problem(schema, { b: "aa" }) ?? "", /^\/b: must match pattern/);
    assert.match(problem(schema, { cc: 1 }) ?? "", /^\/cc: /);
  });

  test("a missing or superfluous field is pointed at itself, with ~ and / escaped", () => {
    assert.equal(problem({ required: ["a/b~c"] }, {}), "/a~1b~0c: is required");
    const closed = { properties: { a: { properties: {}, additionalProperties: false } } };
    assert.equal(problem(closed, { a: { "x/y": 1 } }), "/a/x~1y: is not allowed");
    assert.equal(
      problem({ properties: { a: {} }, unevaluatedProperties: false }, { b: 1 }),
      "/b: is not allowed",
    );
  });

  test("a required field must be the data's own, not one that every object has", () => {
    for (const name of ["constructor", "toString", "__proto__"]) {
      assert.equal(problem({ required: [name] }, {}), `/${name}: is required`);
    }
  });

  test("format is an annotation, as 2020-12 has it", () => {
    assert.equal(problem({ type: "string", format: "email" }, "no mail"), null);
    assert.equal(problem({ format: "made-up" }, 1), null);
  });

  test("unique items are those that JSON Schema holds unequal", () => {
    const check = compileSchema({ uniqueItems: true });
    const unique = (data: unknown[]) => check(data) === null;
    assert.ok(unique([1, "1", true, "true", null, [1], ["1"], { a: 1 }, { a: 2 }, {}]));
    assert.ok(
      !unique([
        { a: 1, b: [{ c: 1, d: 2 }] },
        { b: [{ d: 2, c: 1 }], a: 1 },
      ]),
    );
    assert.ok(!unique([1, 1.0]));
    assert.equal(problem({ uniqueItems: false }, [1, 1]), null);
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const [one, other] = JSON.parse(JSON.stringify([a, b]));
        assert.ok(!unique([one, JSON.parse(JSON.stringify(one))]));
        let same = true;
        try {
          assert.deepEqual(one, other);
        } catch {
          same = false;
        }
        assert.equal(unique([one, other]), !same);
      }),
    );
  });
});

describe("schemas that cannot be used are refused", () => {
  test("a remote reference is not fetched", () => {
    refused({ $ref: "https://example.com/order.json" }, /https:\/\/example\.com\/order\.json/);
  });

  test("what is no schema of 2020-12", () => {
    refused({ type: "strin" }, /data\/type/);
    refused({ $ref: "#/$defs/nowhere" }, /nowhere/);
    refused({ $schema: "http://json-schema.org/draft-07/schema#" }, /draft-07.*Use https:.*2020-12/);
    refused({ $schema: 7 }, /\$schema is 7/);
    refused("object", /schema/);
  });

  test("a pattern that needs more than a linear-time engine", () => {
    refused({ pattern: "^(?=a)" }, /\(\?=/);
    refused({ pattern: "(a)\\1" }, /\\1/);
    refused({ patternProperties: { "(?<!a)b": {} } }, /\(\?</);
  });

  test("one that would answer later, and take the process down with a rejection", () => {
    refused({ $async: true, type: "object" }, /\$async/);
  });
});

describe("no schema hangs or breaks the publish path", () => {
  test("a catastrophic pattern runs in linear time", () => {
    const check = compileSchema({ pattern: "^(a+)+$" });
    const startedAt = performance.now();
    assert.notEqual(check(`${"a".repeat(100_000)}b`), null);
    assert.ok(performance.now() - startedAt < 2000);
  });

  test("patterns in the syntax of JSON Schema, which is that of JavaScript", () => {
    assert.equal(problem({ pattern: "^[\\u4e00-\\u9fff]+\\/\\d$" }, "中文/7"), null);
    assert.equal(problem({ pattern: "b" }, "abc"), null);
    assert.equal(problem({ pattern: "^.$" }, "😀"), null);
  });

  test("100,000 different objects are seen to be unique in no time", () => {
    const data = Array.from({ length: 100_000 }, (_, index) => ({ index }));
    const startedAt = performance.now();
    assert.equal(problem({ uniqueItems: true }, data), null);
    assert.ok(performance.now() - startedAt < 2000);
  });

  test("a schema that refers to itself without an end matches nothing", () => {
    assert.match(problem({ $ref: "#" }, 5) ?? "", /cannot be checked/);
  });

  test("one that describes a tree is fine", () => {
    const tree = { properties: { children: { type: "array", items: { $ref: "#" } } } };
    assert.equal(problem(tree, { children: [{ children: [] }] }), null);
    assert.equal(problem(tree, { children: [{ children: 1 }] }), "/children/0/children: must be array");
  });

  test("schemas with the same $id do not know each other", () => {
    assert.equal(problem({ $id: "https://example.com/a", type: "string" }, "x"), null);
    assert.notEqual(problem({ $id: "https://example.com/a", type: "number" }, "x"), null);
    refused({ $ref: "https://example.com/a" }, /example\.com/);
  });
});

test("a pattern that would be slow on a large text is refused when the schema is made", () => {
  for (const pattern of ["(a{0,100}b{0,100}){0,10}", `(${"x".repeat(200)}){300}`]) {
    assert.throws(() => compileSchema({ type: "string", pattern }), {
      code: "invalid_schema",
      message: /pattern/,
    });
  }
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { PosthornError } from "../base/errors.ts";
import { endpointCreateSchema, secretRotateSchema } from "./endpoint.ts";
import { parseInput, pointerOf, show } from "./input.ts";
import { keyCreateSchema } from "./key.ts";

/** What the caller sees of a refusal. */
function refusal(schema: z.ZodType, input: unknown): PosthornError {
  try {
    parseInput(schema, input);
  } catch (error) {
    assert.ok(error instanceof PosthornError, String(error));
    assert.equal(error.status, 422);
    return error;
  }
  return assert.fail("was accepted");
}

function facts(schema: z.ZodType, input: unknown): readonly unknown[] {
  const { code, pointer, value } = refusal(schema, input);
  return [code, pointer, value];
}

const URL = "https://example.com/hook";
const shop = z.strictObject({
  name: z.string().min(2),
  items: z.array(z.strictObject({ count: z.int() })).optional(),
  "a/b~c": z.boolean().optional(),
});

describe("bad input is refused with the field, the value and what to do", () => {
  test("a wrong type", () => {
    assert.deepEqual(facts(shop, { name: 7 }), ["invalid_field", "/name", 7]);
    assert.equal(refusal(shop, { name: 7 }).message, "/name: must be a string (got 7)");
    assert.equal(refusal(shop, { name: null }).message, "/name: must be a string (got null)");
    assert.equal(refusal(shop, []).message, "The input: must be an object (got [])");
  });

  test("a value out of bounds", () => {
    assert.deepEqual(facts(shop, { name: "x" }), ["invalid_field", "/name", "x"]);
    assert.match(refusal(shop, { name: "x" }).message, /^\/name: .*>=2.* \(got "x"\)$/);
  });

  test("deep in a list, by RFC 6901 pointer", () => {
    const input = { name: "ok", items: [{ count: 1 }, { count: 1.5 }] };
    assert.deepEqual(facts(shop, input), ["invalid_field", "/items/1/count", 1.5]);
    assert.deepEqual(facts(shop, { name: "ok", "a/b~c": 1 }), ["invalid_field", "/a~1b~0c", 1]);
    assert.equal(pointerOf([]), "");
  });

  test("a missing field, whatever kind it should have been", () => {
    assert.deepEqual(facts(shop, {}), ["missing_field", "/name", undefined]);
    assert.equal(refusal(shop, {}).message, "/name is required: must be a string.");
    assert.deepEqual(facts(shop, { name: "ok", items: [{}] }).slice(0, 2), [
      "missing_field",
      "/items/0/count",
    ]);
    assert.deepEqual(facts(keyCreateSchema, { name: "ci" }).slice(0, 2), ["missing_field", "/role"]);
    assert.match(refusal(keyCreateSchema, { name: "ci" }).message, /"admin"/);
    assert.deepEqual(facts(shop, undefined).slice(0, 2), ["missing_field", ""]);
  });

  test("an unknown field", () => {
    assert.deepEqual(facts(shop, { name: "ok", naem: 1 }), ["unknown_field", "/naem", "naem"]);
    assert.deepEqual(facts(shop, { name: "ok", items: [{ count: 1, "x/": 2 }] }), [
      "unknown_field",
      "/items/0/x~1",
      "x/",
    ]);
    assert.ok(refusal(shop, { name: "ok", ["x".repeat(1e6)]: 1 }).message.length < 400);
  });

  test("a code that the schema chose", () => {
    const [code, pointer] = facts(endpointCreateSchema, { url: URL, retrySchedule: [864_000, 1] });
    assert.deepEqual([code, pointer], ["invalid_retry_schedule", "/retrySchedule"]);
  });

  test("of a bad key the key is shown, not what was under it", () => {
    const error = refusal(endpointCreateSchema, { url: URL, headers: { Host: "10.0.0.1" } });
    assert.equal(error.message, '/headers/Host: is reserved and cannot be set (got "Host")');
    assert.equal(error.value, "Host");
  });

  test("whatever comes in, it is taken or refused with an error of ours", () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.object()), (input) => {
        for (const schema of [shop, endpointCreateSchema]) {
          try {
            parseInput(schema, input);
          } catch (error) {
            assert.ok(error instanceof PosthornError);
            assert.ok(error.message.length < 1000);
          }
        }
      }),
    );
  });
});

describe("what may be a secret is never shown", () => {
  const planted = "hunter2-planted";
  const shown = (schema: z.ZodType, input: unknown): string => {
    const { message, value, pointer } = refusal(schema, input);
    return JSON.stringify([message, value, pointer]);
  };

  test("neither a signing secret of the wrong form nor the value of a header", () => {
    for (const text of [
      shown(endpointCreateSchema, { url: URL, secret: [planted] }),
      shown(endpointCreateSchema, { url: URL, secret: { token: [planted] } }),
      shown(endpointCreateSchema, { url: URL, secret: { inner: { token: planted } } }),
      shown(endpointCreateSchema, { url: URL, headers: { authorization: `${planted}\r\n` } }),
      shown(endpointCreateSchema, { url: URL, headers: { "bad name": planted } }),
      shown(endpointCreateSchema, { url: URL, headers: planted }),
      shown(endpointCreateSchema, [{ secret: planted, headers: { "x-token": planted } }]),
      shown(secretRotateSchema, { secret: planted.repeat(1000) }),
      shown(secretRotateSchema, { signingKey: planted.repeat(1000) }),
    ]) {
      assert.ok(!text.includes(planted), text);
    }
    assert.match(
      shown(endpointCreateSchema, { url: URL, secret: [planted] }),
      /\/secret: must be text .*\(hidden\)/,
    );
  });

  test("nor what looks like one anywhere else", () => {
    const text = show({ name: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", password: planted });
    assert.equal(text, '{"name":"whsec_***","password":"(hidden)"}');
  });
});

test("a value is shown as JSON, cut to 200 characters", () => {
  assert.deepEqual([undefined, null, 1n, "a", [true]].map(show), ["nothing", "null", '"1"', '"a"', "[true]"]);
  assert.equal(show("x".repeat(1000)).length, 203);
  assert.equal(show(Symbol("x")), "nothing");
});

test("what would be stored other than it was given is refused: half of a surrogate pair, a field __proto__", () => {
  const schema = z.strictObject({
    name: z.string().optional(),
    metadata: z.record(z.string(), z.string()).optional(),
  });
  assert.throws(() => parseInput(schema, { name: "x\ud800y" }), { code: "invalid_field", pointer: "/name" });
  const input = JSON.parse('{"metadata": {"__proto__": "z"}}');
  assert.throws(() => parseInput(schema, input), { code: "unknown_field", pointer: "/metadata/__proto__" });
  assert.deepEqual(parseInput(schema, { name: "\u{1f4ef}" }), { name: "\u{1f4ef}" });
});

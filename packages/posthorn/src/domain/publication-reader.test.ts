import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import type { Publication } from "./publication.ts";
import { readPublications } from "./publication-reader.ts";

const bytes = (text: string) => Buffer.from(text);
const text = (part: Uint8Array | undefined) => Buffer.from(part ?? []).toString();
const read = (body: string, format: "json" | "ndjson" = "json", idempotencyKey: string | null = null) =>
  readPublications(bytes(body), { format, idempotencyKey });
const codes = (elements: readonly (Publication | PosthornError)[]) =>
  elements.map((element) => (element instanceof PosthornError ? element.code : "read"));
const refused = (code: string) => (error: unknown) => error instanceof PosthornError && error.code === code;

describe("one event", () => {
  test("its data is the bytes that came, and the envelope is everything else", () => {
    const data = '{ "2":1,\n"1" : 2, "n":9007199254740993,"d":1.0,"e":1e2, "s":"\\u00e9é" }';
    const body = ` {"app":"shop", "data" : ${data} ,"type":"order.created","uid":"é"} `;
    const { batch, elements } = read(body, "json", "k-1");
    const [publication] = elements as [Publication];
    assert.equal(batch, false);
    assert.deepEqual(publication.envelope, { app: "shop", type: "order.created", uid: "é" });
    assert.equal(text(publication.data), data);
    assert.equal(text(publication.raw), body.trim());
    assert.equal(publication.idempotencyKey, "k-1");
  });

  test("data may stand first, last, alone, be any value, and have an escaped key", () => {
    for (const [body, data] of [
      ['{"data":[1],"app":"a"}', "[1]"],
      ['{"app":"a","data":"x"}', '"x"'],
      ['{"d\\u0061ta":null,"app":"a"}', "null"],
    ] as const) {
      const [publication] = read(body).elements as [Publication];
      assert.equal(text(publication.data), data);
      assert.deepEqual(publication.envelope, { app: "a" });
    }
    assert.equal((read('{"app":"a"}').elements[0] as Publication).data, undefined);
  });

  test("a key __proto__ stays a field that the engine can refuse", () => {
    const [publication] = read('{"__proto__":{"app":"a"},"data":1}').elements as [Publication];
    assert.ok(Object.hasOwn(publication.envelope as object, "__proto__"));
  });

  test("data may be 64 levels deep, in each form, and not 65", () => {
    const nested = (levels: number) => `{"data":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    assert.deepEqual(codes(read(nested(64)).elements), ["read"]);
    assert.deepEqual(codes(read(`[${nested(64)}]`).elements), ["read"]);
    assert.deepEqual(codes(read(nested(64), "ndjson").elements), ["read"]);
    assert.throws(() => read(nested(65)), refused("too_deep"));
    assert.deepEqual(codes(read(`[${nested(65)}]`).elements), ["too_deep"]);
    assert.deepEqual(codes(read(nested(65), "ndjson").elements), ["too_deep"]);
  });

  test("what is no object is named", () => {
    for (const body of ["1", '"x"', "null", "true"])
      assert.deepEqual(codes(read(body).elements), ["invalid_field"]);
    assert.throws(() => read(""), refused("invalid_json"));
    assert.throws(() => read('{"a":1} x'), refused("invalid_json"));
    assert.throws(() => read('{"a":1,"a":2}'), refused("duplicate_key"));
    assert.throws(
      () => readPublications(Buffer.from([0x22, 0xff, 0x22]), { format: "json", idempotencyKey: null }),
      refused("invalid_utf8"),
    );
  });
});

describe("an array", () => {
  test("gives each element its own bytes and its own key", () => {
    const { batch, elements } = read('[{"data":1.0}, {"app":"b","data":{"x":[]}}]', "json", "k");
    assert.equal(batch, true);
    const [first, second] = elements as [Publication, Publication];
    assert.deepEqual([text(first.data), text(second.data)], ["1.0", '{"x":[]}']);
    assert.equal(text(second.raw), '{"app":"b","data":{"x":[]}}');
    assert.deepEqual([first.idempotencyKey, second.idempotencyKey], ["k:0", "k:1"]);
  });

  test("one bad element spoils no other", () => {
    const bad = '[{"data":1}, 7, {"a":"}],\\"","a":2}, {"data":"[,]"}, []]';
    assert.deepEqual(codes(read(bad).elements), [
      "read",
      "invalid_field",
      "duplicate_key",
      "read",
      "invalid_field",
    ]);
    assert.equal(text((read(bad).elements[3] as Publication).data), '"[,]"');
  });

  test("an array that is no JSON is refused as a whole, whatever else is wrong with it", () => {
    for (const body of [
      '[{"a":1}',
      '[{"a":1},]',
      '[{"a":1,"a":2},]',
      '[{"a":1,"a":2}] x',
      '[{"a":1,"a":2},{"b"}]',
      '[{"a":1,"a":2',
    ])
      assert.throws(() => read(body), refused("invalid_json"), body);
    assert.deepEqual(read("[]").elements, []);
  });

  test("has at most 1,000 events", () => {
    const events = (count: number) => `[${Array.from({ length: count }, () => '{"data":1}').join(",")}]`;
    assert.equal(read(events(1000)).elements.length, 1000);
    assert.throws(() => read(events(1001)), refused("batch_too_large"));
    assert.throws(() => read('{"data":1}\n'.repeat(1001), "ndjson"), refused("batch_too_large"));
  });
});

test("NDJSON: a bad line is that element's problem, empty lines are none", () => {
  const { batch, elements } = read(
    '{"data":1}\r\n\n  \n{"data":\n{"a":1,"a":1}\n[1]\n{"data":2}',
    "ndjson",
    "k",
  );
  assert.equal(batch, true);
  assert.deepEqual(codes(elements), ["read", "invalid_json", "duplicate_key", "invalid_field", "read"]);
  assert.equal((elements[4] as Publication).idempotencyKey, "k:4");
  const withBadBytes = Buffer.concat([bytes('{"data":"'), Buffer.from([0xff]), bytes('"}\n{"data":2}')]);
  assert.deepEqual(
    codes(readPublications(withBadBytes, { format: "ndjson", idempotencyKey: null }).elements),
    ["invalid_utf8", "read"],
  );
});

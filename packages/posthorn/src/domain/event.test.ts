import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { eventEnvelopeSchema, timestampSchema } from "./event.ts";
import { eventTypeCreateSchema, eventTypeNameSchema, eventTypePutSchema } from "./event-type.ts";
import { keyCreateSchema } from "./key.ts";
import { replayCreateSchema } from "./replay.ts";

const EVENT = { app: "acme", type: "order.created" };
const taken = (fields: object) => eventEnvelopeSchema.safeParse({ ...EVENT, ...fields }).success;

describe("a timestamp", () => {
  const good = (text: unknown) => timestampSchema.safeParse(text).success;

  test("is ISO 8601 with Z or an offset", () => {
    for (const text of [
      "2026-01-31T12:00:00Z",
      "2026-01-31T12:00:00.123456+02:00",
      "2024-02-29T23:59:59-11:30",
    ]) {
      assert.ok(good(text), text);
    }
    const malformed = [
      "2026-01-31",
      "2026-01-31T12:00:00",
      "2026-02-30T12:00:00Z",
      "2026-01-31T24:00:00Z",
      "now",
      "",
    ];
    for (const text of [
      ...malformed,
      `2026-01-31T12:00:00.${"1".repeat(100)}Z`,
      '2026-01-31T12:00:00Z"',
      7,
      null,
    ]) {
      assert.ok(!good(text), String(text));
    }
  });

  test("that is taken is one that can be read, and needs no escaping in JSON", () => {
    const pieces = fc.tuple(
      fc.date({ noInvalidDate: true }),
      fc.constantFrom("Z", "+14:00", "-23:59", "+24:00", '"'),
    );
    fc.assert(
      fc.property(pieces, ([date, offset]) => {
        const text = date.toISOString().replace("Z", offset);
        if (!good(text)) return;
        assert.ok(Number.isFinite(Date.parse(text)), text);
        assert.equal(JSON.stringify(text), `"${text}"`);
      }),
    );
  });
});

describe("the envelope of an event", () => {
  test("names app and type; the rest may be left out", () => {
    assert.deepEqual(eventEnvelopeSchema.parse(EVENT), EVENT);
    const full = {
      uid: "order-7",
      timestamp: "2026-01-31T12:00:00Z",
      channels: ["eu", "team:7"],
      orderingKey: "any text, even 中文",
      deliverAt: "2026-02-01T00:00:00Z",
    };
    assert.ok(taken(full));
  });

  test("is strict about what it knows and does not", () => {
    const bad = [
      { app: "" },
      { app: 7 },
      { type: undefined },
      { uid: "a b" },
      { channels: "eu" },
      { channels: ["a b"] },
    ];
    const more = [
      { orderingKey: "" },
      { orderingKey: "x".repeat(257) },
      { timestamp: 0 },
      { data: {} },
      { eventType: "a" },
    ];
    for (const fields of [...bad, ...more]) assert.ok(!taken(fields), JSON.stringify(fields));
    assert.ok(!taken({ channels: new Array(21).fill("a") }));
  });
});

describe("an event type", () => {
  test("has a name of dotted segments", () => {
    assert.ok(eventTypeNameSchema.safeParse("order.item_added.v-2").success);
    for (const name of ["", ".", "a..b", "a.*", "a b", "a\n", "x".repeat(129)]) {
      assert.ok(!eventTypeNameSchema.safeParse(name).success, name);
    }
  });

  test("may have a schema: an object, true or false, up to 256 KiB", () => {
    const put = (schema: unknown) => eventTypePutSchema.safeParse({ schema }).success;
    for (const schema of [{ type: "object" }, {}, true, false, null]) assert.ok(put(schema));
    for (const schema of ["object", 7, [], { description: "界".repeat(100_000) }]) assert.ok(!put(schema));
    assert.deepEqual(eventTypeCreateSchema.parse({ name: "a" }), {
      name: "a",
      description: "",
      schema: null,
      example: null,
      group: null,
      deprecated: false,
    });
  });
});

test("a key has a role that exists, a name, and perhaps an end", () => {
  const good = (fields: object) =>
    keyCreateSchema.safeParse({ role: "admin", name: "ci", ...fields }).success;
  assert.ok(good({}) && good({ expiresAt: "2027-01-01T00:00:00Z" }));
  for (const fields of [{ role: "root" }, { name: "" }, { expiresAt: 7 }, { hash: "x" }])
    assert.ok(!good(fields));
});

test("a replay has a beginning; by default it takes every stored event that matches the endpoint", () => {
  const since = "2026-01-31T12:00:00Z";
  assert.deepEqual(replayCreateSchema.parse({ since }), { since, states: [], eventTypes: [], dryRun: false });
  assert.ok(replayCreateSchema.safeParse({ since, states: ["dead_lettered", "cancelled"] }).success);
  for (const fields of [
    { since: undefined },
    { states: ["pending"] },
    { dryRun: "yes" },
    { until: "tomorrow" },
  ]) {
    assert.ok(!replayCreateSchema.safeParse({ since, ...fields }).success, JSON.stringify(fields));
  }
});

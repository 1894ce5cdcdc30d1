import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { generateStandardSecret } from "@posthorn/receiver";
import fc from "fast-check";
import { DEFAULTS } from "./defaults.ts";
import { endpointCreateSchema, endpointUpdateSchema, headersSchema, secretRotateSchema } from "./endpoint.ts";

const URL = "https://example.com/hook";
const taken = (fields: object) => endpointCreateSchema.safeParse({ url: URL, ...fields }).success;
const whsec = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString("base64")}`;

describe("an endpoint", () => {
  test("needs a URL only; everything else has its default", () => {
    assert.deepEqual(endpointCreateSchema.parse({ url: URL }), {
      url: URL,
      description: "",
      eventTypes: [],
      channels: [],
      filter: null,
      headers: {},
      rateLimitPerSecond: null,
      inFlightMax: 256,
      timeoutMs: 15_000,
      retrySchedule: DEFAULTS.retrySchedule,
      ordering: "unordered",
      onDeadLetter: "continue",
      scheme: "standard",
      authentication: null,
      clientCertificate: null,
      certificateAuthorities: null,
      encryption: null,
      status: "enabled",
    });
  });

  test("has bounds on every number", () => {
    for (const [field, good, bad] of [
      ["timeoutMs", [1000, 30_000], [999, 30_001, 1500.5, "1000"]],
      ["inFlightMax", [1, 256], [0, 257, 1.5]],
      ["rateLimitPerSecond", [0.01, 0.5, 10_000, null], [0, -1, 10_001, "5"]],
    ] as const) {
      for (const value of good) assert.ok(taken({ [field]: value }), `${field}: ${value}`);
      for (const value of bad) assert.ok(!taken({ [field]: value }), `${field}: ${value}`);
    }
    assert.ok(!taken({ url: `https://example.com/${"x".repeat(2048)}` }));
    assert.ok(!taken({ channels: new Array(21).fill("a") }));
    assert.ok(!taken({ eventTypes: new Array(201).fill("a") }));
  });

  test("is unverified or otherwise unknown only by our doing", () => {
    for (const status of ["enabled", "paused", "disabled"]) assert.ok(taken({ status }));
    for (const status of ["unverified", "on", null]) assert.ok(!taken({ status }));
    assert.ok(!taken({ ordering: "lifo" }));
    assert.ok(!taken({ scheme: "none" }));
    assert.ok(!taken({ colour: "red" }));
  });

  test("a change may clear to the default with null, but never carries a secret", () => {
    const patch = { filter: null, headers: null, retrySchedule: null, timeoutMs: null };
    assert.deepEqual(endpointUpdateSchema.parse(patch), patch);
    assert.ok(!endpointUpdateSchema.safeParse({ secret: whsec(24) }).success);
    assert.ok(!endpointUpdateSchema.safeParse({ url: null }).success);
  });
});

describe("custom headers", () => {
  const fine = (headers: object) => headersSchema.safeParse(headers).success;

  test("may authorise and label, with values of printable ASCII", () => {
    assert.ok(fine({ Authorization: "Bearer a b", "X-Shop": "", "x-tab": "a\tb", "!#$": "~" }));
  });

  const character = fc.nat(0x2ff).map((code) => String.fromCharCode(code));
  test("cannot end a header early: no CR, LF, NUL or other control character", () => {
    fc.assert(
      fc.property(fc.string({ unit: character, maxLength: 20 }), (value) => {
        if (fine({ "x-a": value })) assert.match(value, /^[\t -~]*$/);
      }),
    );
    for (const value of ["a\r\nx: y", "a\n", "\0", "\x7f", "é", "\u2028", "x".repeat(4097), 7]) {
      assert.ok(!fine({ "x-a": value }), JSON.stringify(value));
    }
  });

  test("cannot replace what we send or what frames the request, in any case", () => {
    for (const name of [
      ..."host content-length content-type content-encoding transfer-encoding connection upgrade te expect".split(
        " ",
      ),
      ..."user-agent proxy-authorization webhook-id webhook-signature webhook-anything signature".split(" "),
      "signature-input",
    ]) {
      assert.ok(!fine({ [name]: "x" }), name);
      assert.ok(!fine({ [name.toUpperCase()]: "x" }), name);
    }
    for (const name of ["", "a b", "a:b", "a\n", "é", "x".repeat(129)])
      assert.ok(!fine({ [name]: "x" }), name);
  });

  test("are at most 32, each named once", () => {
    const headers = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, "v"]));
    assert.ok(fine(headers(32)));
    assert.ok(!fine(headers(33)));
    assert.ok(!fine({ "X-Shop": "1", "x-shop": "2" }));
  });
});

describe("a signing secret of one's own", () => {
  test("is text, or texts by name: what its scheme makes of it is for the scheme", () => {
    for (const secret of [generateStandardSecret(), { token: "a", receiveId: "b" }, "x".repeat(1024)]) {
      assert.ok(taken({ secret }));
      assert.ok(secretRotateSchema.safeParse({ secret }).success);
    }
    const many = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`part${n}`, "v"]));
    for (const secret of ["", 7, null, ["a"], { token: 7 }, { token: { a: "b" } }, many, "x".repeat(1025)])
      assert.ok(!taken({ secret }), JSON.stringify(secret));
  });

  test("overlaps with the one before for 0 to 7 days", () => {
    assert.deepEqual(secretRotateSchema.parse({}), {});
    for (const overlapSeconds of [0, 604_800])
      assert.ok(secretRotateSchema.safeParse({ overlapSeconds }).success);
    for (const overlapSeconds of [-1, 604_801])
      assert.ok(!secretRotateSchema.safeParse({ overlapSeconds }).success);
  });
});

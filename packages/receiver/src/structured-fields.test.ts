import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type BareItem, type Dictionary, parseDictionary, serialiseDictionary } from "./structured-fields.ts";
import { VerificationError } from "./verification-error.ts";

const parse = (text: string) => parseDictionary("test", text);
/** What a text means, written in the one way that RFC 8941 4.1 has for it. */
const canonical = (text: string) => serialiseDictionary(parse(text));

describe("structured fields", () => {
  const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,12}$/);
  const bare: fc.Arbitrary<BareItem> = fc.oneof(
    fc
      .integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 })
      .map((value) => ({ kind: "integer" as const, value })),
    fc
      .integer({ min: -999_999_999, max: 999_999_999 })
      .map((value) => ({ kind: "decimal" as const, value: value / 1000 })),
    fc.stringMatching(/^[\x20-\x7e]{0,20}$/).map((value) => ({ kind: "string" as const, value })),
    fc
      .stringMatching(/^[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]{0,20}$/)
      .map((value) => ({ kind: "token" as const, value })),
    fc.uint8Array({ maxLength: 40 }).map((value) => ({ kind: "bytes" as const, value: Buffer.from(value) })),
    fc.boolean().map((value) => ({ kind: "boolean" as const, value })),
  );
  const parameters = fc.array(fc.tuple(key, bare), { maxLength: 3 }).map((pairs) => new Map(pairs));
  const item = fc.record({ value: bare, parameters }, { noNullPrototype: true });
  const innerList = fc.record(
    { items: fc.array(item, { maxLength: 4 }), parameters },
    { noNullPrototype: true },
  );
  const dictionary: fc.Arbitrary<Dictionary> = fc
    .array(fc.tuple(key, fc.oneof(item, innerList)), { maxLength: 5 })
    .map((pairs) => new Map(pairs));

  test("what is written is read back as it was, in its order", () => {
    fc.assert(
      fc.property(dictionary, (value) => {
        const read = parse(serialiseDictionary(value));
        assert.deepEqual([...read], [...value]);
      }),
    );
  });
  test("any text is either read, and then means the same when written anew, or refused", () => {
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.stringMatching(/^[ab=;,():"?1. \t\\-]{0,30}$/),
      // Written ones with one character changed.
      fc
        .tuple(dictionary, fc.nat(), fc.constantFrom(...'=;,():"?1. \t\\-aA'))
        .map(([value, at, character]) => {
          const written = serialiseDictionary(value);
          const place = at % (written.length + 1);
          return written.slice(0, place) + character + written.slice(place + 1);
        }),
    );
    fc.assert(
      fc.property(text, (given) => {
        let read: Dictionary;
        try {
          read = parse(given);
        } catch (error) {
          assert.ok(error instanceof VerificationError);
          assert.equal(error.code, "invalid_header");
          return;
        }
        assert.deepEqual([...parse(serialiseDictionary(read))], [...read]);
      }),
      { numRuns: 1000 },
    );
  });
  test("optional spaces and short forms mean the same (RFC 8941 3.2, 4.2)", () => {
    assert.equal(
      canonical('  a=1 ,\tb=( "x"   y );p;q=?1;r=?0,  c;d=:AAAA: '),
      'a=1, b=("x" y);p;q;r=?0, c;d=:AAAA:',
    );
    assert.equal(canonical("a=01.50, b=-0, c=?1, d=2.0, e=2"), "a=1.5, b=0, c, d=2.0, e=2");
    assert.equal(canonical('a="\\"\\\\"'), 'a="\\"\\\\"');
    assert.equal(canonical(""), "");
  });
  for (const text of [
    "a=1,",
    "a=1,,b=2",
    "a=1 b=2",
    ",a=1",
    "A=1",
    "=1",
    "a=",
    "a =1",
    "a= 1",
    "a=(",
    'a=("x""y")',
    'a=("x",y)',
    'a=("x"',
    'a="x',
    'a="x\\y"',
    'a="é"',
    'a="x\ny"',
    "a=1.",
    "a=.5",
    "a=1.2345",
    "a=1234567890123456",
    "a=1234567890123.0",
    "a=-",
    "a=--1",
    "a=?2",
    "a=:AAA:",
    "a=:AAA=",
    "a=:AB==:",
    "a=:A_-A:",
    "a=:AA AA:",
    "a=1;",
    "a=1; ;b",
    "a=1;B=2",
    "a=@1618884473",
    'a=%"x"',
    "a\0=1",
    // Which of the two would count depends on the reader.
    "a=1, a=1",
    "a=(b);c=1;c=2",
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(() => parse(text), { code: "invalid_header" });
    });
  }
});

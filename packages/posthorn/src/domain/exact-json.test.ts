import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseExact } from "./exact-json.ts";

/** The slow way to the same values, by the language's own parser. */
function reference(text: string): unknown {
  return JSON.parse(text, (_key, value, context?: { source?: string }) => {
    const source = context?.source ?? "";
    return typeof value === "number" && /^-?\d{1,100}$/.test(source) ? BigInt(source) : value;
  });
}

/** Maps as plain objects, for comparing. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
}

describe("exact JSON", () => {
  test("whole numbers keep every digit, other numbers stay numbers", () => {
    assert.deepEqual(plain(parseExact('{"n":9007199254740993,"m":-12,"d":1.0,"e":1e2,"z":-0,"f":-0.5}')), {
      n: 9007199254740993n,
      m: -12n,
      d: 1,
      e: 100,
      z: 0n,
      f: -0.5,
    });
    assert.equal(parseExact("1e400"), Infinity);
    assert.equal(parseExact("9".repeat(100)), 10n ** 100n - 1n);
    assert.equal(parseExact("9".repeat(101)), 1e101);
  });

  test("__proto__ and constructor are members like any other", () => {
    const value = parseExact('{"__proto__":{"admin":true},"constructor":1}');
    assert.deepEqual(
      value,
      new Map<string, unknown>([
        ["__proto__", new Map([["admin", true]])],
        ["constructor", 1n],
      ]),
    );
  });

  test("bytes and text give the same", () => {
    const text = '{"caf\\u00e9":"\\ud83d\\ude00 \\" 日本"}';
    assert.deepEqual(parseExact(Buffer.from(text)), parseExact(text));
    assert.deepEqual(plain(parseExact(text)), { café: '😀 " 日本' });
  });

  test("it reads any JSON text as JSON.parse does, white space of any kind included", () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(undefined, 1, "\t", "\r\n"), (json, space) => {
        const text = space === undefined ? json : ` ${JSON.stringify(JSON.parse(json), null, space)}\n`;
        assert.deepEqual(plain(parseExact(text)), reference(text));
      }),
      { numRuns: 500 },
    );
  });

  test("it reads any number as JSON.parse does", () => {
    const digits = fc.stringMatching(/^(0|[1-9][0-9]{0,30})$/);
    const fraction = fc.stringMatching(/^(\.[0-9]{1,20})?$/);
    const exponent = fc.stringMatching(/^([eE][+-]?[0-9]{1,3})?$/);
    fc.assert(
      fc.property(fc.constantFrom("", "-"), digits, fraction, exponent, (sign, whole, part, power) => {
        const text = `[${sign}${whole}${part}${power}]`;
        assert.deepEqual(parseExact(text), reference(text));
      }),
      { numRuns: 500 },
    );
  });

  test("a text that was never scanned gives an error or nonsense, but always an end", () => {
    const pieces = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      '"',
      ",",
      ":",
      "\\",
      "1",
      "-",
      ".",
      "e",
      "t",
      "f",
      "n",
      " ",
      "\\u",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        try {
          parseExact(parts.join(""));
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

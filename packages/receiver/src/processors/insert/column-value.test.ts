import assert from "node:assert/strict";
import { test } from "node:test";
import { type ColumnType, columnValue, ValueError } from "./column-value.ts";
import { ExactNumber } from "./exact-data.ts";

const convert = (value: unknown, type: ColumnType | undefined) => columnValue(value, type, { isExact: true });
const big = new ExactNumber("9007199254740993");
const noon = Date.UTC(2026, 0, 31, 12) / 1000;

test("a value goes into a column of its type, without loss", () => {
  const cases: readonly (readonly [unknown, ColumnType | undefined, unknown])[] = [
    [undefined, "text", null],
    [null, "json", null],
    ["a", "text", "a"],
    [5, "text", "5"],
    [big, "text", "9007199254740993"],
    [{ a: big }, "text", '{"a":9007199254740993}'],
    [5, "integer", 5n],
    [1e18, "integer", 10n ** 18n],
    [big, "integer", 9007199254740993n],
    ["-9223372036854775808", "integer", -(2n ** 63n)],
    [1.5, "number", 1.5],
    // Not what the double is (...208), but as short as one can write it.
    [new ExactNumber("61062378740351210"), "number", 61062378740351210],
    ["12.50", "number", 12.5],
    [new ExactNumber("12345678901234.567"), "number", 12345678901234.566],
    ["12.50", "numeric", "12.50"],
    [new ExactNumber("0.12345678901234567890"), "numeric", "0.12345678901234567890"],
    [true, "boolean", true],
    [0, "boolean", false],
    ["false", "boolean", false],
    ["2026-01-31T12:00:00Z", "timestamp", { seconds: noon, microseconds: 0 }],
    ["2026-01-31t14:00:00.123456789+02:00", "timestamp", { seconds: noon, microseconds: 123_456 }],
    [noon, "timestamp", { seconds: noon, microseconds: 0 }],
    [noon * 1000 + 250, "timestamp", { seconds: noon, microseconds: 250_000 }],
    [String(noon * 1000), "timestamp", { seconds: noon, microseconds: 0 }],
    ["1969-12-31T23:59:59.5Z", "timestamp", { seconds: -1, microseconds: 500_000 }],
    ["2024-02-29", "date", "2024-02-29"],
    ["a", "json", '"a"'],
    [[1, big], "json", "[1,9007199254740993]"],
    ["a", undefined, "a"],
    [true, undefined, true],
    [2, undefined, 2],
    [[1], undefined, "[1]"],
  ];
  for (const [value, type, expected] of cases) {
    assert.deepEqual(convert(value, type), expected, `${String(value)} as ${type}`);
  }
});

test("a value that does not fit is refused, and told what would", () => {
  const cases: readonly (readonly [unknown, ColumnType | undefined, RegExp])[] = [
    ["\ud83d", "text", /surrogate/],
    ["abc", "integer", /a whole number|a number/],
    [1.5, "integer", /a whole number/],
    [true, "integer", /a number/],
    ["0x10", "integer", /a number/],
    [" 1", "integer", /a number/],
    [new ExactNumber("9223372036854775808"), "integer", /64 bits/],
    [1e20, "integer", /64 bits/],
    [big, "number", /integer or numeric/],
    [Number.POSITIVE_INFINITY, "number", /range/],
    [Number.POSITIVE_INFINITY, undefined, /range/],
    ["", "numeric", /a number/],
    [{}, "numeric", /a number/],
    ["yes", "boolean", /true or false/],
    [2, "boolean", /true or false/],
    ["2026-01-31T12:00:00", "timestamp", /a time/],
    ["2026-02-30T12:00:00Z", "timestamp", /a time/],
    ["2026-01-31T25:00:00Z", "timestamp", /a time/],
    ["now", "timestamp", /a time/],
    [1e18, "timestamp", /a time/],
    [{}, "timestamp", /a time/],
    ["2026-02-30", "date", /a date/],
    ["2026-01-31T12:00:00Z", "date", /a date/],
  ];
  for (const [value, type, expected] of cases) {
    assert.throws(
      () => convert(value, type),
      (error) => error instanceof ValueError && expected.test(error.message),
      `${String(value)} as ${type}`,
    );
  }
});

test("what may have been rounded is refused, whatever the column", () => {
  assert.throws(() => columnValue(2 ** 53, "integer", { isExact: false }), ValueError);
  assert.throws(() => columnValue(2 ** 60, "text", { isExact: false }), ValueError);
  assert.equal(columnValue(2 ** 53 - 1, "integer", { isExact: false }), 9007199254740991n);
});

/** Any JSON value of each column type, as text, since JSON.parse would round it; and whether what a database gives back is the same. */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { COLUMN_TYPES, type ColumnType } from "./column-value.ts";

/** JSON of each type. */
export type Written = Readonly<Record<ColumnType, string>>;

// PostgreSQL has no text with U+0000.
const text = fc.string({ unit: "binary", maxLength: 20 }).map((value) => value.replaceAll("\u0000", ""));

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const double = fc.double({ noNaN: true, noDefaultInfinity: true });

const decimal = fc
  .tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.stringMatching(/^[0-9]{0,20}$/))
  .map(([whole, fraction]) => (fraction === "" ? `${whole}` : `${whole}.${fraction}`));

const moment = fc
  .tuple(
    fc.date({
      min: new Date("1001-01-01T00:00:00Z"),
      max: new Date("9998-12-31T00:00:00Z"),
      noInvalidDate: true,
    }),
    fc.integer({ min: 0, max: 999_999 }),
    fc.constantFrom("Z", "+00:00", "-05:30", "+14:00"),
  )
  .map(
    ([date, fraction, offset]) =>
      `${date.toISOString().slice(0, 19)}.${String(fraction).padStart(6, "0")}${offset}`,
  );

const tree = fc
  .tuple(fc.jsonValue({ maxDepth: 3, stringUnit: "binary" }), int64, decimal)
  .map(([value, whole, exact]) => `[${JSON.stringify(value).replaceAll("\\u0000", "")},${whole},${exact}]`);

export const written: fc.Arbitrary<Written> = fc
  .record({
    text: text.map((value) => JSON.stringify(value)),
    integer: int64.map(String),
    number: double.map(String),
    numeric: decimal,
    boolean: fc.boolean().map(String),
    timestamp: moment.map((value) => JSON.stringify(value)),
    date: moment.map((value) => JSON.stringify(value.slice(0, 10))),
    json: tree,
  })
  .chain((all) =>
    // Each may be null.
    fc
      .subarray([...COLUMN_TYPES], { maxLength: 3 })
      .map((nulls) => ({ ...all, ...Object.fromEntries(nulls.map((type) => [type, "null"])) })),
  );

export function isSameValue(type: ColumnType, stored: unknown, json: string): boolean {
  if (stored === null || stored === undefined) return json === "null";
  const value = String(stored);
  switch (type) {
    case "text":
      return value === JSON.parse(json);
    case "integer":
    case "numeric":
      return isDeepStrictEqual(decimalOf(value), decimalOf(json));
    case "number":
      return Number(value) === Number(json);
    case "boolean":
      return ["t", "true", "1"].includes(value) === JSON.parse(json);
    case "timestamp":
      return microsecondsOf(value) === microsecondsOf(JSON.parse(json));
    case "date":
      return value === JSON.parse(json);
    case "json":
      return isDeepStrictEqual(exactTree(value), exactTree(json));
  }
}

/** Significant digits and the power of ten of the last one. */
function decimalOf(source: string): readonly [string, number] {
  const [mantissa = "", exponent = "0"] = source.toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.replace("-", "").split(".");
  const digits = (whole + fraction).replace(/^0+/, "");
  const kept = digits.replace(/0+$/, "");
  if (kept === "") return ["0", 0];
  const sign = mantissa.startsWith("-") ? "-" : "";
  return [sign + kept, Number(exponent) - fraction.length + digits.length - kept.length];
}

function microsecondsOf(value: string): bigint {
  // PostgreSQL writes +00, MySQL nothing.
  const offset = /(?:Z|[+-][0-9:]+)$/.exec(value.slice(10))?.[0] ?? "Z";
  const [seconds = "", fraction = ""] = value
    .slice(0, value.length - (value.slice(10).endsWith(offset) ? offset.length : 0))
    .split(".");
  const zone = offset === "Z" || offset.includes(":") ? offset : `${offset}:00`;
  const milliseconds = Date.parse(seconds.replace(" ", "T") + zone);
  return BigInt(milliseconds) * 1000n + BigInt(fraction.padEnd(6, "0"));
}

/** With each number as what its text says. */
function exactTree(json: string): unknown {
  type Reviver = (key: string, value: unknown, context: { readonly source: string }) => unknown;
  const parse = JSON.parse as (text: string, reviver: Reviver) => unknown;
  return parse(json, (_key, value, context) =>
    typeof value === "number" ? { number: decimalOf(context.source) } : value,
  );
}

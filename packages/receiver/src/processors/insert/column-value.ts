/** From a JSON value to what a column of a type holds. Pure, the same for every database; how it is bound is the dialect's. */
import { ExactNumber } from "./exact-data.ts";
import { dateOf, type Instant, instantOf } from "./instant.ts";

export const COLUMN_TYPES = [
  "text",
  /** Whole numbers of 64 bits. */
  "integer",
  /** A double. */
  "number",
  /** A decimal, as exact as the database has it. */
  "numeric",
  "boolean",
  /** A moment, kept in UTC. */
  "timestamp",
  "date",
  "json",
] as const;

export type ColumnType = (typeof COLUMN_TYPES)[number];

export type ColumnValue = null | string | number | bigint | boolean | Instant;

/** Says why a value does not fit, to stand after "must be": `a whole number`. */
export class ValueError extends Error {
  override readonly name = "ValueError";
}

export interface ConvertOptions {
  /** False: numbers beyond 2^53 may have been rounded on the way, and are refused. */
  readonly isExact: boolean;
}

const JSON_NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const WHOLE = /^-?[0-9]+$/;
const INT64_MAX = 2n ** 63n - 1n;
const INT64_LENGTH_MAX = "-9223372036854775808".length;

/**
 * @param value of JSON; undefined (nothing there) and null give null
 * @param type undefined: whatever the value is, for columns of types that are the database's own
 * @throws ValueError
 */
export function columnValue(
  value: unknown,
  type: ColumnType | undefined,
  { isExact }: ConvertOptions,
): ColumnValue {
  if (value === undefined || value === null) return null;
  if (!isExact) refuseRounded(value);
  switch (type) {
    case undefined:
      return typeof value === "boolean" || typeof value === "number" ? finite(value) : textOf(value, isExact);
    case "text":
      return textOf(value, isExact);
    case "integer":
      return integerOf(value);
    case "number":
      return doubleOf(value);
    case "numeric":
      return numberText(value);
    case "boolean":
      return booleanOf(value);
    case "timestamp":
      return instantOf(value instanceof ExactNumber ? Number(value) : value) ?? fail(`a time: ${TIME_FORMS}`);
    case "date":
      return dateOf(value) ?? fail('a date such as "2026-01-31"');
    case "json":
      return jsonOf(value, isExact);
  }
}

const TIME_FORMS = 'text such as "2026-01-31T12:00:00Z", or a number of unix seconds or milliseconds';

function jsonOf(value: unknown, isExact: boolean): string {
  if (isExact) return JSON.stringify(value);
  return JSON.stringify(value, (_key, part) => {
    refuseRounded(part);
    return part;
  });
}

function textOf(value: unknown, isExact: boolean): string {
  if (typeof value === "object" && !(value instanceof ExactNumber)) return jsonOf(value, isExact);
  const text = String(finite(value));
  return text.isWellFormed() ? text : fail("text: half of a surrogate pair is none");
}

function integerOf(value: unknown): bigint {
  const text = numberText(value);
  // Before it is read as a number, which takes long for millions of digits.
  if (WHOLE.test(text) && text.length > INT64_LENGTH_MAX) fail("a whole number of at most 64 bits");
  const whole = WHOLE.test(text)
    ? BigInt(text)
    : typeof value === "number" && Number.isInteger(value)
      ? BigInt(value)
      : fail("a whole number");
  if (whole > INT64_MAX || whole < -INT64_MAX - 1n) fail("a whole number of at most 64 bits");
  return whole;
}

function doubleOf(value: unknown): number {
  const text = numberText(value);
  const double = Number(text);
  if (!Number.isFinite(double)) fail("a number within the range of doubles");
  // Either written in full, or as short as a double can be written.
  if (WHOLE.test(text) && BigInt(text) !== BigInt(double) && text !== String(double)) {
    fail("a number that a double can hold; for this one give the column the type integer or numeric");
  }
  return double;
}

/** Text counts where it is written as JSON writes numbers: many senders put ids and amounts in quotes. */
function numberText(value: unknown): string {
  if (typeof value === "number") return String(finite(value));
  if (value instanceof ExactNumber) return String(value);
  return typeof value === "string" && JSON_NUMBER.test(value) ? value : fail("a number");
}

function booleanOf(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  if (value === 0 || value === 1) return value === 1;
  return value === "true" || value === "false" ? value === "true" : fail("true or false");
}

/** JSON has `1e999`, which is read as infinity. */
function finite<Value>(value: Value): Value {
  return typeof value === "number" && !Number.isFinite(value)
    ? fail("a number within the range of doubles")
    : value;
}

function refuseRounded(value: unknown): void {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    fail("a number up to 2^53 here, where its last digits cannot be read from the payload");
  }
}

function fail(expected: string): never {
  throw new ValueError(expected);
}

/**
 * The data of an event with numbers as the sender wrote them. `JSON.parse` rounds whole numbers beyond 2^53 and decimals beyond some 16
 * digits; the payload still has them. Only a payload with a run of 16 digits is parsed again: plain events pay one search.
 */
import { Buffer } from "node:buffer";
import type { ReceivedEvent } from "../../receiver/event.ts";

/** A number with more digits than a double keeps, as text; `JSON.stringify` writes it as it came. */
export class ExactNumber {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }

  toJSON(): unknown {
    return json.rawJSON?.(this.#text);
  }
}

/** `JSON` as runtimes have it; the types of TypeScript 7.0 do not know these members (https://tc39.es/proposal-json-parse-with-source/). */
const json = JSON as unknown as {
  readonly rawJSON?: (text: string) => unknown;
  parse(text: string, reviver: Reviver): unknown;
};

type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

/** Or an exponent that leads out of the range of doubles, which would be read as infinity. */
const MANY_DIGITS = /[0-9.]{16}|[0-9][eE]\+?[0-9]{3}/;
/** So many digits any double gives back (DBL_DIG). */
const DIGITS_KEPT = 15;

export interface ExactData {
  readonly data: unknown;
  /** False: its numbers may have been rounded, and the sender's digits were not found. */
  readonly isExact: boolean;
}

/** @throws RangeError when the payload is nested too deeply */
export function exactData(event: ReceivedEvent): ExactData {
  const text = Buffer.from(event.payload).toString();
  if (!MANY_DIGITS.test(text)) return { data: event.data, isExact: true };
  const found = json.rawJSON === undefined ? undefined : findIn(parseExactly(text), event.data);
  return found === undefined ? { data: event.data, isExact: false } : { data: found, isExact: true };
}

/** undefined: not JSON. */
function parseExactly(text: string): unknown {
  try {
    return json.parse(text, (_key, value, context) =>
      typeof value === "number" && context?.source !== undefined && isChanged(value, context.source)
        ? new ExactNumber(context.source)
        : value,
    );
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isChanged(value: number, source: string): boolean {
  const digits = source
    .replace(/[eE].*/, "")
    .replaceAll(/[-.]/g, "")
    .replace(/^0+/, "");
  return digits.length > DIGITS_KEPT || !Number.isFinite(value);
}

/**
 * Where a scheme finds its `data` only the scheme knows: it is the part of the payload that equals it. undefined: there is none, or
 * several that differ in the digits.
 */
function findIn(payload: unknown, data: unknown): unknown {
  const nodes = [payload];
  let found: unknown;
  for (const node of nodes) {
    if (isSame(node, data)) {
      if (found !== undefined && !isSame(node, found)) return undefined;
      found ??= node;
    } else if (isParent(node)) for (const child of Object.values(node)) nodes.push(child);
  }
  return found;
}

function isParent(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !(value instanceof ExactNumber);
}

/** Of numbers as they were written, or of one such and one as it was read. */
function isSame(exact: unknown, rounded: unknown): boolean {
  if (rounded instanceof ExactNumber) return String(exact) === String(rounded);
  if (exact instanceof ExactNumber) return Object.is(Number(String(exact)), rounded);
  if (!isParent(exact) || !isParent(rounded)) return Object.is(exact, rounded);
  if (Array.isArray(exact) !== Array.isArray(rounded)) return false;
  const names = Object.keys(exact);
  return (
    names.length === Object.keys(rounded).length &&
    names.every((name) => Object.hasOwn(rounded, name) && isSame(exact[name], rounded[name]))
  );
}

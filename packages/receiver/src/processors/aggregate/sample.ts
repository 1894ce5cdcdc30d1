/** What an event brings to its windows: its time, its key and its values, each from a path or a function. */
import { PoisonError } from "../../receiver/control.ts";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { type EventRoot, eventRoot } from "../event-root.ts";
import { instantOf } from "../insert/instant.ts";
import { occurredAtMs } from "../occurrence.ts";
import { compilePath } from "../path.ts";
import type { Sample } from "./open-windows.ts";
import type { Figure } from "./tally.ts";

/** A path such as `$.data.amount`, or a function. */
export type Selector = string | ((event: ReceivedEvent) => unknown);

export type Measure =
  /** Events, whether they have a value or not. */
  | "count"
  | { readonly sum: Selector }
  | { readonly avg: Selector }
  | { readonly min: Selector }
  | { readonly max: Selector }
  /** Above 0, at most 100. */
  | { readonly percentile: number; readonly of: Selector };

export type Measures = Readonly<Record<string, Measure>>;

export interface SampleOptions {
  readonly by?: Selector | undefined;
  readonly time?: Selector | undefined;
  readonly values: Measures;
  /** How far an event's time may lie ahead of its arrival. */
  readonly aheadMaxMs: number;
}

type Read = (event: ReceivedEvent, root: EventRoot) => unknown;

interface Column {
  readonly name: string;
  readonly figure: Figure;
  /** Where its value comes from, as `textOf` says it; null: from nowhere. */
  readonly from: string | null;
  readonly read: Read;
}

/** @throws RangeError for what is no measure, PathError for what is no path */
export function columnsOf(measures: Measures): Column[] {
  return Object.entries(measures).map(([name, measure]) => ({ name, ...columnOf(name, measure) }));
}

/** @returns a function that throws PoisonError for an event whose time, key or value cannot be used */
export function sampler(
  { by, time, aheadMaxMs }: SampleOptions,
  columns: readonly Column[],
): (event: ReceivedEvent) => Sample {
  const readKey = by === undefined ? () => null : readerOf(by);
  const readTime = time === undefined ? null : readerOf(time);
  return (event) => {
    const root = eventRoot(event);
    const timeMs = readTime === null ? occurredAtMs(event) : millisecondsOf(readTime(event, root));
    checkAhead(timeMs, event.receivedAtMs + aheadMaxMs);
    return {
      timeMs,
      key: keyOf(readKey(event, root)),
      values: columns.map(({ name, read }) => numberOf(name, read(event, root))),
    };
  };
}

function columnOf(name: string, measure: Measure): Omit<Column, "name"> {
  if (measure === "count") return { figure: { kind: "count" }, from: null, read: () => null };
  if ("percentile" in measure) {
    const { percentile } = measure;
    if (!(percentile > 0 && percentile <= 100)) {
      throw new RangeError(`values.${name}.percentile is above 0 and at most 100, not ${percentile}`);
    }
    return {
      figure: { kind: "percentile", percentile },
      from: textOf(measure.of),
      read: readerOf(measure.of),
    };
  }
  for (const kind of ["sum", "avg", "min", "max"] as const) {
    const selector = (measure as Partial<Record<string, Selector>>)[kind];
    if (selector !== undefined) return { figure: { kind }, from: textOf(selector), read: readerOf(selector) };
  }
  throw new RangeError(
    `values.${name} is no measure: give "count", { sum }, { avg }, { min }, { max } or { percentile, of }`,
  );
}

/** All functions look alike: what they read only their author knows. */
export function textOf(selector: Selector): string {
  return typeof selector === "string" ? selector : "function";
}

function readerOf(selector: Selector): Read {
  if (typeof selector !== "string") return selector;
  const path = compilePath(selector);
  return (_event, root) => path.read(root);
}

/** One event of the year 2099 would make every other one late. */
function checkAhead(timeMs: number, latestMs: number): void {
  if (timeMs <= latestMs) return;
  throw new PoisonError(
    `its time, ${new Date(timeMs).toJSON() ?? `${timeMs} ms`}, lies too far ahead of its arrival (aheadMaxMs)`,
  );
}

function millisecondsOf(value: unknown): number {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.getTime();
  const instant = instantOf(value);
  if (instant !== undefined) return instant.seconds * 1000 + Math.floor(instant.microseconds / 1000);
  throw new PoisonError(
    `its time is ${shown(value)}: expected text such as 2026-01-31T08:00:00Z, or unix seconds or milliseconds`,
  );
}

function keyOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint")
    return String(value);
  throw new PoisonError(`its key is ${shown(value)}: expected text, a number or a boolean`);
}

/** Amounts are often sent as text; text of anything but a number is a fault. */
function numberOf(name: string, value: unknown): number | null {
  if (value === undefined || value === null) return null;
  const isNumeric =
    typeof value === "number" ||
    typeof value === "bigint" ||
    (typeof value === "string" && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value));
  const number = isNumeric ? Number(value) : Number.NaN;
  if (Number.isFinite(number)) return number;
  throw new PoisonError(`its value for ${name} is ${shown(value)}: expected a number`);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}...`;
}

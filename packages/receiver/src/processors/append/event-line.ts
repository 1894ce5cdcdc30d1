/** An event as one line of JSON: `id`, `type`, `occurredAt`, `receivedAt`, your own columns, `data`. */
import { Buffer } from "node:buffer";
import { PoisonError } from "../../receiver/control.ts";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { eventRoot } from "../event-root.ts";
import {
  COLUMN_TYPES,
  type ColumnType,
  type ColumnValue,
  columnValue,
  ValueError,
} from "../insert/column-value.ts";
import { exactData } from "../insert/exact-data.ts";
import { isoText } from "../insert/instant.ts";
import { occurredAtMs } from "../occurrence.ts";
import { compilePath, type Path } from "../path.ts";
import { dataText } from "./data-text.ts";

/** A path, whose column is text, or a path with the type of its column. */
export type AppendColumn = string | { readonly path: string; readonly type: ColumnType };

export interface LineColumn {
  readonly name: string;
  readonly path: Path;
  readonly type: ColumnType;
}

const OWN_NAMES = ["id", "type", "occurredat", "receivedat", "data"];
/** What DuckDB reads as one line. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
/** DECIMAL(38, 9) of DuckDB. */
const DECIMAL = /^-?\d{1,29}(\.\d{1,9})?$/;

/** @throws RangeError for a name that is taken or a type that there is not, PathError */
export function lineColumns(columns: Readonly<Record<string, AppendColumn>>): LineColumn[] {
  const taken = new Set(OWN_NAMES);
  return Object.entries(columns).map(([name, column]) => {
    const { path, type } = typeof column === "string" ? { path: column, type: "text" as const } : column;
    // DuckDB does not tell names apart by their case.
    if (taken.has(name.toLowerCase()) || name === "") {
      throw new RangeError(`columns: there is a column "${name}" already; give this one another name`);
    }
    taken.add(name.toLowerCase());
    if (!COLUMN_TYPES.includes(type)) {
      throw new RangeError(
        `columns.${name}.type is one of ${COLUMN_TYPES.join(", ")}, not ${JSON.stringify(type)}`,
      );
    }
    return { name, path: compilePath(path), type };
  });
}

/** With its line break. @throws PoisonError for a value that is not of its column's type, and for a line over 16 MiB */
export function eventLine(event: ReceivedEvent, columns: readonly LineColumn[]): string {
  try {
    return lineOf(event, columns);
  } catch (error) {
    // Nested too deeply, or a time beyond the calendar.
    if (error instanceof RangeError) throw new PoisonError(`it cannot be written: ${error.message}`);
    throw error;
  }
}

function lineOf(event: ReceivedEvent, columns: readonly LineColumn[]): string {
  const members = [
    ["id", JSON.stringify(event.id.toWellFormed())],
    ["type", JSON.stringify(event.type.toWellFormed())],
    ["occurredAt", JSON.stringify(new Date(occurredAtMs(event)))],
    ["receivedAt", JSON.stringify(new Date(event.receivedAtMs))],
    ...columnMembers(event, columns),
    ["data", dataText(event)],
  ];
  const line = `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}\n`;
  const bytes = Buffer.byteLength(line);
  if (bytes <= LINE_BYTES_MAX) return line;
  throw new PoisonError(`its line would have ${bytes} bytes: at most ${LINE_BYTES_MAX} can be read`);
}

function columnMembers(event: ReceivedEvent, columns: readonly LineColumn[]): string[][] {
  if (columns.length === 0) return [];
  const { data, isExact } = exactData(event);
  const root = eventRoot(event, data);
  return columns.map(({ name, path, type }) => {
    try {
      return [name, jsonOf(columnValue(path.read(root), type, { isExact }), type)];
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      throw new PoisonError(`its column ${name} (${path.text}) must be ${error.message}`);
    }
  });
}

function jsonOf(value: ColumnValue, type: ColumnType): string {
  if (value === null || typeof value === "bigint") return String(value);
  if (type === "json") return String(value);
  if (type === "numeric" && !DECIMAL.test(String(value))) {
    throw new ValueError(
      "a decimal of at most 29 digits before the point and 9 after it, without an exponent",
    );
  }
  return JSON.stringify(typeof value === "object" ? isoText(value) : value);
}

/** From events to rows, and from rows to as few statements as the database takes. Pure. */
import { PoisonError } from "../../receiver/control.ts";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { eventRoot } from "../event-root.ts";
import { columnValue, ValueError } from "./column-value.ts";
import type { Dialect, Parameter, Statement, TableName } from "./dialect.ts";
import { exactData } from "./exact-data.ts";
import { quoteTable } from "./identifier.ts";
import { isWrittenAgain } from "./mapping.ts";
import type { TableField } from "./table.ts";

type ParameterRow = readonly Parameter[];

/** Of text in one statement, in characters: MariaDB takes packets of 16 MiB, and each character may need several bytes. */
const TEXT_MAX = 2 * 1024 * 1024;

const ADVICE = "Change the column or its path, or what the sender sends.";

export interface RowWriter {
  /** Of the processor. */
  readonly name: string;
  readonly dialect: Dialect;
}

/** @throws PoisonError that names column, path and what is expected there */
export function rowOf(event: ReceivedEvent, fields: readonly TableField[], writer: RowWriter): ParameterRow {
  try {
    const { data, isExact } = exactData(event);
    const root = eventRoot(event, data);
    return fields.map((field) => parameterOf(root, field, { ...writer, isExact }));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new PoisonError(`${writer.name}: the payload is nested too deeply to be written`, { cause: error });
  }
}

function parameterOf(
  root: object,
  field: TableField,
  { name, dialect, isExact }: RowWriter & { readonly isExact: boolean },
): Parameter {
  const { path, isRequired } = field.mapping;
  const value = path.read(root);
  if (isRequired && (value === undefined || value === null)) {
    throw new PoisonError(
      `${name}: ${described(field)} is ${value === null ? "null" : "missing"}. ${ADVICE}`,
    );
  }
  try {
    const parameter = dialect.parameter(columnValue(value, field.type, { isExact }), field);
    checkLength(parameter, field.lengthMax);
    return parameter;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new PoisonError(
      `${name}: ${described(field)} must be ${error.message}, not ${shown(value, field)}. ${ADVICE}`,
    );
  }
}

function checkLength(parameter: Parameter, lengthMax: number | null): void {
  if (lengthMax === null || typeof parameter !== "string" || parameter.length <= lengthMax) return;
  const length = [...parameter].length;
  if (length > lengthMax) throw new ValueError(`of at most ${lengthMax} characters (it has ${length})`);
}

export function described({ name, mapping }: TableField): string {
  return `column ${name} (${mapping.path.text})`;
}

/** A header may hold a secret. */
function shown(value: unknown, { mapping }: TableField): string {
  const text = mapping.path.segments[0] === "headers" ? "what the header holds" : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/** Of rows with the same key the last stays: PostgreSQL refuses to write a row twice in one statement. */
export function lastOfEachKey(
  rows: readonly ParameterRow[],
  fields: readonly TableField[],
): readonly ParameterRow[] {
  const keys = fields.flatMap(({ mapping }, index) => (mapping.isKey ? [index] : []));
  if (keys.length === 0) return rows;
  const byKey = new Map<string, ParameterRow>();
  for (const row of rows) {
    const key = JSON.stringify(keys.map((index) => String(row[index])));
    // Deleted first, so that it stands where the last one stood.
    byKey.delete(key);
    byKey.set(key, row);
  }
  return [...byKey.values()];
}

export function insertStatements(
  rows: readonly ParameterRow[],
  fields: readonly TableField[],
  { table, dialect }: { readonly table: TableName; readonly dialect: Dialect },
): readonly Statement[] {
  const { quote } = dialect;
  const mappings = fields.map(({ mapping }) => mapping);
  const key = mappings.filter(({ isKey }) => isKey).map(({ column }) => quote(column));
  const updates = mappings.filter((one) => isWrittenAgain(one, mappings)).map(({ column }) => quote(column));
  const head = `INSERT INTO ${quoteTable(table, quote)} (${fields.map(({ name }) => quote(name)).join(", ")}) VALUES `;
  // Without anything to update, a key is set to what it is.
  const tail = key.length === 0 ? "" : ` ${dialect.onRepeat(key, updates.length === 0 ? key : updates)}`;
  return chunksOf(rows, Math.floor(dialect.parametersMax / fields.length)).map((chunk) => ({
    sql: head + chunk.map((_row, index) => slotsOf(fields, index * fields.length, dialect)).join(", ") + tail,
    values: chunk.flat(),
  }));
}

function slotsOf(fields: readonly TableField[], before: number, dialect: Dialect): string {
  return `(${fields.map((field, index) => dialect.placeholder(before + index + 1, field)).join(", ")})`;
}

function chunksOf(rows: readonly ParameterRow[], rowsMax: number): readonly (readonly ParameterRow[])[] {
  const chunks: ParameterRow[][] = [];
  let text = 0;
  for (const row of rows) {
    const size = row.reduce((sum: number, value) => sum + (typeof value === "string" ? value.length : 0), 0);
    const chunk = chunks.at(-1);
    if (chunk === undefined || chunk.length === rowsMax || text + size > TEXT_MAX) {
      chunks.push([row]);
      text = size;
    } else {
      chunk.push(row);
      text += size;
    }
  }
  return chunks;
}

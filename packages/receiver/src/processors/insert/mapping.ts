/** Which value of an event goes into which column: reads the options of `insert`. Pure. */
import { compilePath, type Path, type Segment } from "../path.ts";
import { COLUMN_TYPES, type ColumnType } from "./column-value.ts";
import { type JsonSchema, propertiesOf, schemaAt } from "./schema.ts";

export interface ColumnOptions {
  /** Such as `$.data.amount`. */
  readonly path: string;
  /** Left out: that of the JSON Schema, or of the column as it is. */
  readonly type?: ColumnType;
  /** An event without it is never inserted; a new column is NOT NULL. */
  readonly required?: boolean;
}

export type Columns = Readonly<Record<string, string | ColumnOptions>>;

export interface Mapping {
  readonly column: string;
  readonly path: Path;
  readonly type: ColumnType | undefined;
  readonly isRequired: boolean;
  readonly isKey: boolean;
}

export interface MappingInput {
  readonly columns?: Columns | undefined;
  readonly upsertKey?: readonly string[] | undefined;
  /** Of the event's data. */
  readonly schema?: JsonSchema | undefined;
}

const DEFAULT_COLUMNS: Columns = {
  event_id: "$.id",
  event_type: "$.type",
  received_at: "$.receivedAt",
  data: "$.data",
};

const { data: _, ...EVENT_COLUMNS } = DEFAULT_COLUMNS;

/** Of paths that mean the same in every event. */
const KNOWN: ReadonlyMap<string, { readonly type: ColumnType; readonly isAlwaysThere: boolean }> = new Map([
  ["id", { type: "text", isAlwaysThere: true }],
  ["type", { type: "text", isAlwaysThere: true }],
  ["timestamp", { type: "timestamp", isAlwaysThere: false }],
  ["receivedAt", { type: "timestamp", isAlwaysThere: true }],
  ["headers", { type: "json", isAlwaysThere: true }],
  ["data", { type: "json", isAlwaysThere: false }],
  ["payload", { type: "text", isAlwaysThere: true }],
]);

/** @throws RangeError or PathError that names the column */
export function mappingsOf({ columns, upsertKey, schema }: MappingInput): readonly Mapping[] {
  const chosen = columns ?? (schema === undefined ? DEFAULT_COLUMNS : columnsOf(schema));
  const mapped = Object.entries(chosen).map(([column, given]) => mappingOf(column, given, schema));
  if (mapped.length === 0) throw new RangeError("columns names no column");
  const key =
    upsertKey ??
    mapped
      .filter(({ path }) => path.segments.join() === "id")
      .slice(0, 1)
      .map(nameOf);
  for (const name of key) {
    if (!mapped.some(({ column }) => column === name)) {
      throw new RangeError(
        `upsertKey names ${JSON.stringify(name)}; the columns are ${mapped.map(nameOf).join(", ")}`,
      );
    }
  }
  return mapped.map((mapping) =>
    key.includes(mapping.column) ? { ...mapping, isKey: true, isRequired: true } : mapping,
  );
}

function nameOf({ column }: Mapping): string {
  return column;
}

function mappingOf(column: string, given: string | ColumnOptions, schema: JsonSchema | undefined): Mapping {
  const {
    path: text,
    type,
    required,
    ...rest
  }: ColumnOptions = typeof given === "string" ? { path: given } : given;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    throw new RangeError(`columns.${column}.${unknown} is unknown; use path, type, required`);
  }
  if (type !== undefined && !COLUMN_TYPES.includes(type)) {
    throw new RangeError(`columns.${column}.type is ${JSON.stringify(type)}; use ${COLUMN_TYPES.join(", ")}`);
  }
  const path = compilePath(text);
  const [root, ...below] = path.segments;
  const described =
    root === "data" && schema !== undefined && below.length > 0 ? schemaAt(schema, below) : undefined;
  const known = below.length === 0 ? KNOWN.get(root) : undefined;
  return {
    column,
    path,
    type: type ?? described?.type ?? known?.type,
    isRequired: required ?? described?.isRequired ?? known?.isAlwaysThere ?? false,
    isKey: false,
  };
}

/** Who sent it and when, and one column for each property; the data as a whole where the schema names none. */
function columnsOf(schema: JsonSchema): Columns {
  const properties = propertiesOf(schema);
  if (properties.length === 0) return DEFAULT_COLUMNS;
  const columns: Record<string, string | ColumnOptions> = { ...EVENT_COLUMNS };
  for (const name of properties) {
    // What an object takes for its prototype is no column of it.
    if (name === "__proto__") throw new RangeError("the schema has a property __proto__: set columns");
    if (Object.hasOwn(columns, name)) {
      throw new RangeError(
        `the schema has a property ${name}, which is a column of the event, too: set columns`,
      );
    }
    const type = schemaAt(schema, [name])?.type ?? "json";
    columns[name] = { path: pathTo(name), type };
  }
  return columns;
}

function pathTo(name: Segment): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(String(name))) return `$.data.${name}`;
  return `$.data['${String(name).replaceAll(/['\\]/g, "\\$&")}']`;
}

/**
 * What a repeat of the event writes again. Found by its own id it is the same event: what belongs to the one request that brought it
 * stays as it was first.
 */
export function isWrittenAgain(mapping: Mapping, mappings: readonly Mapping[]): boolean {
  if (mapping.isKey) return false;
  const keys = mappings.filter(({ isKey }) => isKey);
  const isByEvent = keys.length === 1 && keys[0]?.path.segments.join() === "id";
  return !isByEvent || !["receivedAt", "timestamp", "headers"].includes(mapping.path.segments[0]);
}

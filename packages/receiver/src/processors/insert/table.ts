/** Makes sure, before the first event, that the table is there and takes what will be inserted: fails with what is wrong of it. */
import type { ColumnType } from "./column-value.ts";
import type { ColumnForm, Database, Dialect, Row, TableColumn, TableName } from "./dialect.ts";
import type { OwnNames } from "./fault.ts";
import { quoteTable } from "./identifier.ts";
import type { Mapping } from "./mapping.ts";

/** A mapping, and the column as it is. */
export interface TableField extends ColumnForm {
  readonly mapping: Mapping;
  /** In characters; null: no such limit. */
  readonly lengthMax: number | null;
}

export interface PreparedTable {
  readonly fields: readonly TableField[];
  readonly own: OwnNames;
}

export interface TableOptions {
  readonly table: TableName;
  readonly mappings: readonly Mapping[];
  readonly isCreated: boolean;
}

/** @throws Error that says what the table lacks */
export async function prepareTable(database: Database, options: TableOptions): Promise<PreparedTable> {
  const { dialect } = database;
  const { table, mappings, isCreated } = options;
  let columns = await columnsOf(database, table);
  if (columns.length === 0 && isCreated) {
    await database.write(dialect.creation(createStatement(dialect, options), table));
    columns = await columnsOf(database, table);
  }
  if (columns.length === 0) {
    throw new Error(
      `${dialect.name} has no table ${shown(table)}. Create it, or set create (true, or a JSON Schema of the data).`,
    );
  }
  const fields = mappings.map((mapping) => fieldOf(mapping, columns, { table, dialect }));
  checkNeeded(columns, mappings, table);
  await checkKey(database, table, mappings);
  return {
    fields,
    own: { tables: await tablesOf(database, table), columns: columns.map(({ name }) => name) },
  };
}

async function tablesOf(database: Database, table: TableName): Promise<readonly string[]> {
  const statement = database.dialect.tablesOf(table);
  if (statement === null) return [table.table];
  return (await database.read(statement)).map(({ name }) => String(name));
}

async function columnsOf(database: Database, table: TableName): Promise<readonly TableColumn[]> {
  const rows = await database.read(database.dialect.columnsOf(table));
  return rows.map(({ name, declared, needed }) => ({
    name: String(name),
    declared: String(declared),
    isNeeded: Boolean(Number(needed)),
  }));
}

function createStatement(dialect: Dialect, { table, mappings }: TableOptions): string {
  const untyped = mappings.filter(({ type }) => type === undefined).map(({ column }) => column);
  if (untyped.length > 0) {
    throw new Error(
      `create needs a type for ${untyped.join(", ")}: { path, type }, or a JSON Schema that has it.`,
    );
  }
  const key = mappings.filter(({ isKey }) => isKey);
  const lines = mappings.map(({ column, type = "text", isKey, isRequired }) => {
    const declared = dialect.declare(type, { isKey, keyLength: key.length });
    return `${dialect.quote(column)} ${declared}${isRequired ? " NOT NULL" : ""}`;
  });
  if (key.length > 0)
    lines.push(`PRIMARY KEY (${key.map(({ column }) => dialect.quote(column)).join(", ")})`);
  return `CREATE TABLE IF NOT EXISTS ${quoteTable(table, dialect.quote)} (${lines.join(", ")})`;
}

/** What a column of a type also takes, besides its own. */
const TAKEN_BY: Readonly<Record<ColumnType, readonly ColumnType[]>> = {
  text: [],
  integer: ["number", "numeric", "boolean", "text"],
  number: ["numeric", "text"],
  numeric: ["integer", "number", "text"],
  boolean: ["integer", "text"],
  timestamp: ["text"],
  date: ["timestamp", "text"],
  json: ["text"],
};

function fieldOf(
  mapping: Mapping,
  columns: readonly TableColumn[],
  { table, dialect }: { readonly table: TableName; readonly dialect: Dialect },
): TableField {
  const column = columns.find(({ name }) => name === mapping.column);
  if (column === undefined) {
    throw new Error(
      `The table ${shown(table)} has no column ${mapping.column} (${mapping.path.text}). It has ${columns
        .map(({ name }) => name)
        .join(", ")}.`,
    );
  }
  const { name, declared } = column;
  const actual = dialect.typeOf(declared);
  const type = mapping.type ?? actual;
  if (type !== undefined && actual !== undefined && type !== actual && !TAKEN_BY[type].includes(actual)) {
    throw new Error(
      `The column ${name} of ${shown(table)} is ${declared}, and ${mapping.path.text} is ${type}. Map it to another column, or say its type: { path, type }.`,
    );
  }
  const length = /char[a-z ]*\(([0-9]+)\)$/.exec(declared)?.[1];
  const isLimited = length !== undefined && dialect.name !== "SQLite";
  return { mapping, name, declared, type, lengthMax: isLimited ? Number(length) : null };
}

function checkNeeded(columns: readonly TableColumn[], mappings: readonly Mapping[], table: TableName): void {
  const mapped = new Set(mappings.map(({ column }) => column));
  const missing = columns
    .filter(({ name, isNeeded }) => isNeeded && !mapped.has(name))
    .map(({ name }) => name);
  if (missing.length === 0) return;
  throw new Error(
    `The table ${shown(table)} needs a value for ${missing.join(", ")} in each row. Map it, or give it a default.`,
  );
}

async function checkKey(database: Database, table: TableName, mappings: readonly Mapping[]): Promise<void> {
  const key = mappings.filter(({ isKey }) => isKey).map(({ column }) => column);
  if (key.length === 0) return;
  const { dialect } = database;
  const keys = keysOf(await database.read(dialect.uniqueKeysOf(table)));
  const same = keys.filter(({ columns }) => isSameSet(columns, key));
  if (same.length === 0) {
    throw new Error(
      `The table ${shown(table)} has no unique key of ${key.join(", ")}, by which a repeat is found. CREATE UNIQUE INDEX it, or set upsertKey ([]: repeats make rows of their own).`,
    );
  }
  const loose = same.find(({ loose }) => loose !== null);
  if (loose !== undefined && (dialect.isAnyKeyMatched || same.every(({ loose }) => loose !== null))) {
    throw new Error(
      `The unique key of ${key.join(", ")} of the table ${shown(table)} compares by ${loose.loose}: events that differ would overwrite each other's rows. Have it compare whole values, byte by byte (${BYTE_BY_BYTE[dialect.name]}).`,
    );
  }
  if (dialect.isAnyKeyMatched) checkOthers(keys, key, { table, mappings, dialect });
}

const BYTE_BY_BYTE: Readonly<Record<Dialect["name"], string>> = {
  SQLite: "COLLATE BINARY",
  PostgreSQL: 'COLLATE "C"',
  MySQL: "COLLATE utf8mb4_bin, the whole column",
};

/** One that holds all of the key, and more, finds no row that the key does not find. */
function checkOthers(
  keys: readonly UniqueKey[],
  key: readonly string[],
  { table, mappings, dialect }: { table: TableName; mappings: readonly Mapping[]; dialect: Dialect },
): void {
  const mapped = new Set(mappings.map(({ column }) => column));
  const other = keys.find(
    ({ columns, loose }) =>
      columns.some((name) => mapped.has(name)) &&
      (loose !== null || !key.every((name) => columns.includes(name))),
  );
  if (other === undefined) return;
  throw new Error(
    `The table ${shown(table)} has another unique key, of ${other.columns.join(", ")}: ${dialect.name} would overwrite the row that it finds by either. Leave one of the two, or map none of its columns.`,
  );
}

interface UniqueKey {
  readonly columns: readonly string[];
  /** Why values that differ may be one; null: they never are. */
  readonly loose: string | null;
}

function keysOf(rows: readonly Row[]): readonly UniqueKey[] {
  return [...Map.groupBy(rows, ({ key }) => String(key)).values()].map((parts) => ({
    columns: parts.map(({ column }) => String(column)),
    loose: parts.map(({ loose }) => loose).find((loose) => typeof loose === "string") ?? null,
  }));
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name));
}

function shown({ schema, table }: TableName): string {
  return schema === null ? table : `${schema}.${table}`;
}

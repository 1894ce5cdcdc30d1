/** SQLite. Tables are made STRICT, so that a value of another type is refused and not stored: https://sqlite.org/stricttables.html */
import type { SqliteDatabase } from "../../clients/sqlite.ts";
import type { ColumnType, ColumnValue } from "./column-value.ts";
import type { Database, Dialect, Parameter, Row, Statement, TableName } from "./dialect.ts";
import { sqliteFault } from "./fault.ts";
import { quoteIdentifier } from "./identifier.ts";
import { isoText } from "./instant.ts";

/** `into`: a transaction for each batch. Where the receiver deduplicates in the same database, leave `into` out: then both commit as one. */
export function sqlite(database: SqliteDatabase): Database {
  return {
    ...within(database),
    // Without an await between begin and commit nobody else on this connection comes in between.
    async write(statements) {
      database.exec("BEGIN IMMEDIATE");
      try {
        for (const statement of statements) run(database, statement);
        database.exec("COMMIT");
      } catch (error) {
        rollBack(database);
        throw error;
      }
    },
  };
}

/** Within a transaction that somebody else began and ends. */
export function withinSqlite(transaction: SqliteDatabase): Database {
  return within(transaction);
}

function within(database: SqliteDatabase): Database {
  return {
    dialect,
    handle: database,
    read: async ({ sql, values }) => database.prepare(sql).all(...values) as readonly Row[],
    async write(statements) {
      for (const statement of statements) run(database, statement);
    },
  };
}

function run(database: SqliteDatabase, { sql, values }: Statement): void {
  database.prepare(sql).run(...values);
}

/** Some errors, such as a full disk, have rolled back already. */
function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("ROLLBACK");
  } catch {}
}

const DECLARED: Readonly<Record<ColumnType, string>> = {
  text: "TEXT",
  integer: "INTEGER",
  number: "REAL",
  // There is no decimal; ANY keeps whole numbers and doubles as such, and what neither can hold as text.
  numeric: "ANY",
  boolean: "INTEGER",
  timestamp: "TEXT",
  date: "TEXT",
  json: "TEXT",
};

/** Told apart much as SQLite tells affinities: https://sqlite.org/datatype3.html#determination_of_column_affinity */
const TYPES: readonly (readonly [RegExp, ColumnType])[] = [
  [/json/, "json"],
  [/bool/, "boolean"],
  [/datetime|timestamp/, "timestamp"],
  [/^date$/, "date"],
  [/int/, "integer"],
  [/char|clob|text/, "text"],
  [/real|floa|doub/, "number"],
  [/numeric|decimal/, "numeric"],
];

const dialect: Dialect = {
  name: "SQLite",
  parametersMax: 32_766,
  isAnyKeyMatched: false,
  quote: (name) => quoteIdentifier(name, { mark: '"', bytesMax: 255 }),
  columnsOf: (table) => ({
    sql: `SELECT name, lower(type) AS declared, "notnull" AND dflt_value IS NULL AND NOT pk AS needed
      FROM pragma_table_info(${slots(table)}) ORDER BY cid`,
    values: names(table),
  }),
  // A primary key that is the row's number has no index of its own.
  uniqueKeysOf: (table) => ({
    sql: `SELECT list.name AS key, info.name AS "column", iif(coll = 'BINARY', NULL, 'collation ' || coll) AS loose
        FROM pragma_index_list(${slots(table)}) AS list, pragma_index_xinfo(list.name${table.schema === null ? "" : ", ?"}) AS info
        WHERE list."unique" AND NOT list.partial AND info.key
      UNION ALL SELECT '', name, NULL FROM pragma_table_info(${slots(table)})
        WHERE pk AND NOT EXISTS (SELECT 1 FROM pragma_index_list(${slots(table)}) WHERE origin = 'pk')`,
    values: [
      ...names(table),
      ...(table.schema === null ? [] : [table.schema]),
      ...names(table),
      ...names(table),
    ],
  }),
  tablesOf: () => null,
  typeOf: (declared) => TYPES.find(([pattern]) => pattern.test(declared))?.[1],
  declare: (type) => DECLARED[type],
  creation: (create) => [{ sql: `${create} STRICT`, values: [] }],
  onRepeat: (key, updates) =>
    `ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${updates.map((name) => `${name} = excluded.${name}`).join(", ")}`,
  placeholder: () => "?",
  parameter: (value, { type }) => (type === "numeric" ? numericParameter(value) : parameterOf(value)),
  faultOf: sqliteFault,
};

function slots({ schema }: TableName): string {
  return schema === null ? "?" : "?, ?";
}

function names({ schema, table }: TableName): readonly string[] {
  return schema === null ? [table] : [table, schema];
}

function parameterOf(value: ColumnValue): Parameter {
  if (typeof value === "boolean") return value ? 1 : 0;
  return typeof value === "object" && value !== null ? isoText(value) : value;
}

/** The text of a decimal, as a number where that says the same. */
function numericParameter(value: ColumnValue): Parameter {
  if (typeof value !== "string") return parameterOf(value);
  if (/^-?[0-9]{1,18}$/.test(value)) return BigInt(value);
  const digits = value
    .replace(/[eE].*/, "")
    .replaceAll(/[-.]/g, "")
    .replace(/^0+/, "");
  return digits.length <= 15 && Number.isFinite(Number(value)) ? Number(value) : value;
}

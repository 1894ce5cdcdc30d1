/**
 * What the error of a database means for the event that was written: the value can never go in, or everything else, which is tried
 * again. Only codes that blame the value count as such: a missing right, a lost connection or a full disk would bury good events. A
 * missing row that a foreign key asks for may still come, so it is tried again, too; and so is what a trigger does elsewhere and fails at:
 * somebody repairs that, and the event was good. Pure.
 */

export type Fault =
  | { readonly kind: "passing" }
  | {
      readonly kind: "value";
      /** The column, or the number of the parameter (from 1), if the database says. */
      readonly at: { readonly column: string } | { readonly parameter: number } | null;
    };

/** What a fault has to name to be one of the row, and not of what a trigger does with it elsewhere. */
export interface OwnNames {
  /** As the dialect's `tablesOf` names them. */
  readonly tables: readonly string[];
  readonly columns: readonly string[];
}

const PASSING: Fault = { kind: "passing" };

/**
 * SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html. Class 22 is "data exception"; 54000 a key too long for its
 * index; 54001 JSON nested too deeply.
 */
const POSTGRES_VALUE = /^(?:22...|23502|23505|23514|23P01|54000|54001)$/;

export function postgresFault(error: unknown, { tables }: OwnNames): Fault {
  const code = property(error, "code");
  if (typeof code !== "string" || !POSTGRES_VALUE.test(code) || isElsewhere(error, tables)) return PASSING;
  // A row that no partition takes: one may still be made.
  if (code === "23514" && property(error, "constraint") === undefined) return PASSING;
  const column = property(error, "column");
  if (typeof column === "string") return { kind: "value", at: { column } };
  // The context of what a parameter could not be read as, such as "unnamed portal parameter $3".
  const parameter = match(PARAMETER, property(error, "where"));
  return { kind: "value", at: parameter === undefined ? null : { parameter: Number(parameter) } };
}

const PARAMETER = /(?:^|\n)(?:unnamed portal|portal ".*") parameter \$([0-9]+)/;

/** Another table, or a context that is not our parameter: the code of a function. */
function isElsewhere(error: unknown, tables: readonly string[]): boolean {
  const [table, where] = [property(error, "table"), property(error, "where")];
  if (typeof table === "string" && !tables.includes(`${property(error, "schema")}.${table}`)) return true;
  return where !== undefined && match(PARAMETER, where) === undefined;
}

/** https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and https://mariadb.com/kb/en/mariadb-error-codes/ */
const MYSQL_VALUE: ReadonlySet<unknown> = new Set([
  1048, // ER_BAD_NULL_ERROR
  1062, // ER_DUP_ENTRY, of a key that is not ours
  1153, // ER_NET_PACKET_TOO_LARGE
  1264, // ER_WARN_DATA_OUT_OF_RANGE
  1265, // WARN_DATA_TRUNCATED
  1292, // ER_TRUNCATED_WRONG_VALUE, dates
  1366, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
  1406, // ER_DATA_TOO_LONG
  1690, // ER_DATA_OUT_OF_RANGE
  3140, // ER_INVALID_JSON_TEXT
  3141, // ER_INVALID_JSON_TEXT_IN_PARAM
  3157, // ER_JSON_DOCUMENT_TOO_DEEP
  3819, // ER_CHECK_CONSTRAINT_VIOLATED
  4025, // ER_CONSTRAINT_FAILED of MariaDB, json_valid among them
]);

/** Of a trigger the errors say nothing, so what they name has to be ours. */
export function mysqlFault(error: unknown, own: OwnNames): Fault {
  if (!MYSQL_VALUE.has(property(error, "errno"))) return PASSING;
  return named(MYSQL_NAMES, property(error, "sqlMessage") ?? property(error, "message"), own);
}

const MYSQL_NAMES = [
  // "Incorrect integer value: 'abc' for column `d`.`t`.`x` at row 1"
  /column `[^`]*`\.`(?<table>[^`]*)`\.`(?<column>[^`]*)` at row [0-9]+$/i,
  // "CONSTRAINT `t.x` failed for `d`.`t`"
  /^CONSTRAINT `(?:[^`]*\.(?<column>[^`.]*)|[^`]*)` failed for `[^`]*`\.`(?<table>[^`]*)`$/,
  // "Invalid JSON text: "..." at position 1 in value for column 't.x'."
  /column '(?<table>[^'.]*)\.(?<column>[^']*)'\.?$/,
  // "Duplicate entry 'a' for key 't.k'", which MariaDB writes without the table
  /for key '(?<table>[^'.]*)\.[^']*'$/,
  // "Data too long for column 'x' at row 1", "Column 'x' cannot be null"
  /column '(?<column>[^']*)'(?: at row [0-9]+| cannot be null)$/i,
];

/** Extended result codes: https://sqlite.org/rescode.html */
const SQLITE_VALUE: ReadonlyMap<unknown, string> = new Map([
  [18, "SQLITE_TOOBIG"],
  [20, "SQLITE_MISMATCH"],
  [275, "SQLITE_CONSTRAINT_CHECK"],
  [1299, "SQLITE_CONSTRAINT_NOTNULL"],
  [1555, "SQLITE_CONSTRAINT_PRIMARYKEY"],
  [2067, "SQLITE_CONSTRAINT_UNIQUE"],
  [3091, "SQLITE_CONSTRAINT_DATATYPE"],
]);
const SQLITE_VALUE_NAMES: ReadonlySet<unknown> = new Set(SQLITE_VALUE.values());

/** node:sqlite has `errcode`, better-sqlite3 a name as `code`, bun:sqlite both: a name as `code` and `errno`. */
export function sqliteFault(error: unknown, own: OwnNames): Fault {
  const number = property(error, "errcode") ?? property(error, "errno");
  if (!SQLITE_VALUE.has(number) && !SQLITE_VALUE_NAMES.has(property(error, "code"))) return PASSING;
  return named(SQLITE_NAMES, property(error, "message"), own);
}

const SQLITE_NAMES = [
  // "UNIQUE constraint failed: people.mail, people.name"
  /^UNIQUE constraint failed: (?<table>[^.]+)\./,
  // "NOT NULL constraint failed: orders.amount"
  /^NOT NULL constraint failed: (?<table>[^.]+)\.(?<column>.+)$/,
  // "cannot store TEXT value in INTEGER column orders.amount"
  /^cannot store .* column (?<table>[^.]+)\.(?<column>.+)$/,
];

/** Which table and column the message names, if it does. To both databases names in upper and lower case are the same. */
function named(patterns: readonly RegExp[], message: unknown, { tables, columns }: OwnNames): Fault {
  const found = typeof message === "string" ? patterns.map((pattern) => pattern.exec(message)) : [];
  const { table, column } = found.find((one) => one !== null)?.groups ?? {};
  const isOurs = (own: readonly string[], name: string | undefined) =>
    name === undefined || own.some((one) => one.toLowerCase() === name.toLowerCase());
  if (!isOurs(tables, table) || !isOurs(columns, column)) return PASSING;
  return { kind: "value", at: column === undefined ? null : { column } };
}

function property(error: unknown, name: string): unknown {
  return typeof error === "object" && error !== null ? (error as Record<string, unknown>)[name] : undefined;
}

function match(pattern: RegExp, text: unknown): string | undefined {
  return typeof text === "string" ? pattern.exec(text)?.[1] : undefined;
}

/**
 * SQL over received events: `await analyse("orders.ndjson", "SELECT type, count(*) AS n FROM events GROUP BY type")`. `events` has the
 * columns of `append`: `id`, `type`, `occurredAt`, `receivedAt`, your own, and `data` as JSON (`data->>'$.amount'`), each id once. It
 * needs the package @duckdb/node-api. The SQL reads the given files and no others, and writes none.
 */
import type { ReceivedEvent } from "../../receiver/event.ts";
import { dataText } from "../append/data-text.ts";
import { type DuckDb, type DuckDbModule, openDuckDb } from "../duckdb/duckdb.ts";
import { type ColumnTypes, columnsOfEvents, selectEvents } from "../duckdb/event-files.ts";
import { occurredAtMs } from "../occurrence.ts";
import { tableOf } from "./arrow.ts";
import { filesOf } from "./files.ts";
import { rowsOf } from "./rows.ts";

/** Files of `append` (NDJSON, Parquet), folders of them, or events. */
export type AnalyseInput = string | readonly string[] | readonly ReceivedEvent[];

export type Row = Record<string, unknown>;

export type SqlValue = string | number | bigint | boolean | null;

export interface AnalyseOptions {
  /** Plain objects, or a `Table` of the package apache-arrow. `rows` when left out. */
  readonly as?: "rows" | "arrow";
  /** For `$1`, `$2` in the last statement. */
  readonly values?: readonly SqlValue[];
  /** Types of your own columns in NDJSON files; Parquet files know theirs. */
  readonly columns?: ColumnTypes;
}

/** The SQL is wrong, or asks for what it may not have: the text is DuckDB's. */
export class SqlError extends Error {
  override readonly name = "SqlError";
}

/**
 * As rows, whole numbers are `number` up to 2^53 and `bigint` beyond, decimals, dates, times and JSON text, timestamps `Date`.
 * @param sql one statement, or several, of which the last gives the result
 * @throws SqlError; Error for a file that is not there, and for a package that is not installed
 */
export async function analyse<Table>(
  input: AnalyseInput,
  sql: string,
  options: AnalyseOptions & { readonly as: "arrow" },
): Promise<Table>;
export async function analyse<Result = Row>(
  input: AnalyseInput,
  sql: string,
  options?: AnalyseOptions & { readonly as?: "rows" },
): Promise<Result[]>;
export async function analyse<Table, Result = Row>(
  input: AnalyseInput,
  sql: string,
  options: AnalyseOptions,
): Promise<Table | Result[]>;
export async function analyse(
  input: AnalyseInput,
  sql: string,
  options: AnalyseOptions = {},
): Promise<unknown> {
  const events = eventsOf(input);
  if (events !== null) return await answer({ events }, sql, options);
  const wanted = input as string | readonly string[];
  for (let count = 0; count < READS_MAX; count += 1) {
    const files = await filesOf(wanted);
    const [outcome] = await Promise.allSettled([answer({ files }, sql, options)]);
    const now = await filesOf(wanted);
    if (outcome.status === "fulfilled" && isSameList(partsOf(files), partsOf(now))) return outcome.value;
    if (outcome.status === "rejected" && isSameList(files, now)) throw outcome.reason;
  }
  throw new Error(
    `The files changed each of the ${READS_MAX} times that they were read. Analyse complete parts alone, or complete them less often.`,
  );
}

/** `append` may complete a part meanwhile: then what was found in it is neither under its old name nor its new one. */
const READS_MAX = 10;

/** One that becomes Parquet stays the same part. */
function partsOf(files: readonly string[]): string[] {
  return [...new Set(files.map((file) => file.replace(/\.\w+$/, "")))];
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.join("\0") === other.join("\0");
}

type Source = { readonly events: readonly ReceivedEvent[] } | { readonly files: readonly string[] };

async function answer(
  source: Source,
  sql: string,
  { as = "rows", values = [], columns = {} }: AnalyseOptions,
): Promise<unknown> {
  const database = await openDuckDb("files" in source ? source.files : []);
  try {
    if ("events" in source) await insertEvents(database, source.events);
    const select = "files" in source ? selectEvents(source.files, columns) : "FROM given";
    const reader = await run(
      database,
      [`CREATE VIEW events AS SELECT DISTINCT ON (id) * FROM (${select})`, sql],
      values,
    );
    switch (as) {
      case "rows":
        return rowsOf(database.module, reader);
      case "arrow":
        return await tableOf(database.module, reader);
      default:
        throw new RangeError(`as is "rows" or "arrow", not ${JSON.stringify(as)}`);
    }
  } finally {
    database.close();
  }
}

function eventsOf(input: AnalyseInput): readonly ReceivedEvent[] | null {
  if (typeof input === "string" || typeof input[0] === "string") return null;
  return input as readonly ReceivedEvent[];
}

async function insertEvents({ module, connection }: DuckDb, events: readonly ReceivedEvent[]): Promise<void> {
  const columns = columnsOfEvents({}).map(([name, type]) => `${name} ${type}`);
  await connection.run(`CREATE TABLE given (${columns.join(", ")})`);
  const appender = await connection.createAppender("given");
  for (const event of events) {
    appender.appendVarchar(event.id);
    appender.appendVarchar(event.type);
    appender.appendTimestampTZ(new module.DuckDBTimestampTZValue(microseconds(occurredAtMs(event))));
    appender.appendTimestampTZ(new module.DuckDBTimestampTZValue(microseconds(event.receivedAtMs)));
    appender.appendVarchar(dataText(event));
    appender.endRow();
  }
  appender.closeSync();
}

function microseconds(ms: number): bigint {
  return BigInt(Math.floor(ms)) * 1000n;
}

async function run(
  { module, connection }: DuckDb,
  [view, sql]: [string, string],
  values: readonly SqlValue[],
) {
  try {
    await connection.run(view);
    const statements = await connection.extractStatements(sql);
    for (let index = 0; index < statements.count - 1; index += 1) {
      await (await checked(module, statements.prepare(index))).run();
    }
    const last = await checked(module, statements.prepare(statements.count - 1));
    if (values.length > 0) last.bind([...values]);
    return await last.runAndReadAll();
  } catch (error) {
    throw error instanceof SqlError ? error : sqlError(error as Error);
  }
}

function sqlError(cause: Error): SqlError {
  // What the binding says of a text without a statement in it, for which DuckDB has no error.
  const isEmpty = cause.message === "Error in native callback";
  const text = isEmpty
    ? "The SQL holds no statement."
    : cause.message.replace(/^Failed to extract statements: /, "");
  return new SqlError(text, { cause });
}

/** A file that may be read may be written, as far as DuckDB is concerned; not here. */
async function checked<Prepared extends { readonly statementType: number }>(
  { StatementType }: DuckDbModule,
  preparing: Promise<Prepared>,
): Promise<Prepared> {
  const prepared = await preparing;
  const { SELECT, CREATE, INSERT, UPDATE, DELETE, DROP } = StatementType;
  if (([SELECT, CREATE, INSERT, UPDATE, DELETE, DROP] as number[]).includes(prepared.statementType))
    return prepared;
  throw new SqlError(
    `${StatementType[prepared.statementType]} is not allowed here: SELECT, and CREATE, INSERT, UPDATE, DELETE and DROP of tables in memory, are.`,
  );
}

/**
 * The processor `insert`: one row for each event, by paths into it. A batch is one statement. The row of an event that comes again, found
 * by the upsert key, is written over with the same: a repeat changes nothing.
 */
import type { PostgresClient } from "../../clients/postgres.ts";
import type { SqliteDatabase } from "../../clients/sqlite.ts";
import { PoisonError } from "../../receiver/control.ts";
import type { ReceivedEvent } from "../../receiver/event.ts";
import type { ProcessContext, Processor } from "../processor.ts";
import type { Database, TableName } from "./dialect.ts";
import type { Fault } from "./fault.ts";
import { tableNameOf } from "./identifier.ts";
import { type Columns, type Mapping, mappingsOf } from "./mapping.ts";
import { withinPostgres } from "./postgres.ts";
import { described, insertStatements, lastOfEachKey, rowOf } from "./rows.ts";
import type { JsonSchema } from "./schema.ts";
import { withinSqlite } from "./sqlite.ts";
import { type PreparedTable, prepareTable, type TableField } from "./table.ts";

export interface InsertOptions {
  /** `orders` or `shop.orders`. */
  readonly table: string;
  /** Column to path, or to path, type and required. Left out: event_id, event_type, received_at and data; with a JSON Schema its properties in place of data. */
  readonly columns?: Columns;
  /** `sqlite(database)`, `postgres(pool)` or `mysql(pool)`. Left out: the transaction of the receiver's dedupe store or inbox, so that mark and row commit as one. */
  readonly into?: Database;
  /** Columns by which a repeat is found. Left out: the one that `$.id` goes to. `[]`: none, and a repeat makes a row of its own. */
  readonly upsertKey?: readonly string[];
  /** Creates the table if there is none; a JSON Schema of the event type's data gives the types of its columns. */
  readonly create?: boolean | JsonSchema;
}

const OPTIONS = ["table", "columns", "into", "upsertKey", "create"];

/** @throws RangeError, PathError for options that can never work */
export function insert(options: InsertOptions): Processor {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) throw new RangeError(`insert: ${unknown} is unknown; use ${OPTIONS.join(", ")}`);
  const { columns, upsertKey, create = false, into } = options;
  const schema = typeof create === "object" ? create : undefined;
  return new Insert({
    name: `insert ${options.table}`,
    table: tableNameOf(options.table),
    mappings: mappingsOf({ columns, upsertKey, schema }),
    isCreated: create !== false,
    into,
  });
}

interface Plan {
  readonly name: string;
  readonly table: TableName;
  readonly mappings: readonly Mapping[];
  readonly isCreated: boolean;
  readonly into: Database | undefined;
}

class Insert implements Processor {
  readonly kind = "processor";
  readonly name: string;
  readonly #plan: Plan;
  /** Of a table that was looked at, in a transaction that committed. */
  #prepared: PreparedTable | undefined;

  constructor(plan: Plan) {
    this.name = plan.name;
    this.#plan = plan;
  }

  async start(): Promise<void> {
    const { into } = this.#plan;
    if (into !== undefined) this.#prepared = await prepareTable(into, this.#plan);
  }

  async process(events: readonly ReceivedEvent[], context: ProcessContext): Promise<void> {
    const { into, table } = this.#plan;
    const database = into === undefined || into.handle === context.transaction ? this.#within(context) : into;
    const { dialect } = database;
    const { rows, prepared } = await this.#rowsOf(events, database);
    if (database === into) this.#prepared = prepared;
    else {
      context.onCommit(() => {
        this.#prepared = prepared;
      });
    }
    const { fields } = prepared;
    const statements = insertStatements(lastOfEachKey(rows, fields), fields, { table, dialect });
    try {
      await database.write(statements);
    } catch (error) {
      this.#prepared = undefined;
      throw this.#refusal(error, dialect.faultOf(error, prepared.own), fields);
    }
  }

  /** Whoever repairs the table need not start the receiver again: what its columns did not take may fit by now. */
  async #rowsOf(events: readonly ReceivedEvent[], database: Database) {
    const { dialect } = database;
    const rowsFor = (prepared: PreparedTable) => ({
      prepared,
      rows: events.map((event) => rowOf(event, prepared.fields, { name: this.name, dialect })),
    });
    const known = this.#prepared;
    try {
      if (known !== undefined) return rowsFor(known);
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
    }
    return rowsFor(await prepareTable(database, this.#plan));
  }

  #within({ transaction }: ProcessContext): Database {
    if (isSqlite(transaction)) return withinSqlite(transaction);
    if (isPostgres(transaction)) return withinPostgres(transaction);
    throw new Error(
      `${this.name}: there is no transaction to write in. Set into (sqlite(database), postgres(pool), mysql(pool)), or give the receiver a dedupe store or an inbox on SQLite or PostgreSQL.`,
    );
  }

  #refusal(error: unknown, fault: Fault, fields: readonly TableField[]): unknown {
    if (fault.kind === "passing") return error;
    const at = fieldAt(fault, fields);
    const where = at === undefined ? `one of ${fields.map(described).join(", ")}` : described(at);
    const said = error instanceof Error ? error.message : String(error);
    return new PoisonError(
      `${this.name}: the database refused ${where}: ${said}. Change the column or its path, or have the sender send what fits.`,
      { cause: error },
    );
  }
}

function fieldAt(fault: Fault, fields: readonly TableField[]): TableField | undefined {
  if (fault.kind === "passing" || fault.at === null) return undefined;
  const { at } = fault;
  if ("column" in at) return fields.find(({ name }) => name === at.column);
  return fields[(at.parameter - 1) % fields.length];
}

function isSqlite(transaction: unknown): transaction is SqliteDatabase {
  return hasMethod(transaction, "prepare") && hasMethod(transaction, "exec");
}

function isPostgres(transaction: unknown): transaction is PostgresClient {
  return hasMethod(transaction, "query");
}

function hasMethod(value: unknown, name: string): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Record<string, unknown>)[name] === "function"
  );
}

/** CONTRACT of a dialect: all that differs between the databases that `insert` writes to. Its files are sqlite.ts, postgres.ts, mysql.ts. */
import type { ColumnType, ColumnValue } from "./column-value.ts";
import type { Fault, OwnNames } from "./fault.ts";

export type Parameter = null | string | number | bigint;

export interface Statement {
  readonly sql: string;
  readonly values: readonly Parameter[];
}

export type Row = Readonly<Record<string, unknown>>;

/** A database that can be written to: on its own, or within the transaction of somebody else. */
export interface Database {
  readonly dialect: Dialect;
  /** What the user gave: two with the same are the same. */
  readonly handle: unknown;
  read(statement: Statement): Promise<readonly Row[]>;
  /** All in one transaction: its own, or the one that it stands for. Rejects with the client's error as it is. */
  write(statements: readonly Statement[]): Promise<void>;
}

export interface TableName {
  /** null: where the connection looks by itself. */
  readonly schema: string | null;
  readonly table: string;
}

/** A column as the database says. */
export interface TableColumn {
  readonly name: string;
  /** In lower case, such as `character varying(20)`. */
  readonly declared: string;
  /** NOT NULL without a default: each row has to bring a value. */
  readonly isNeeded: boolean;
}

/** A column with its value. */
export interface ColumnForm {
  readonly name: string;
  readonly type: ColumnType | undefined;
  /** As the database says. */
  readonly declared: string;
}

export interface KeyOptions {
  readonly isKey: boolean;
  /** Of how many columns the key is. */
  readonly keyLength: number;
}

export interface Dialect {
  readonly name: "SQLite" | "PostgreSQL" | "MySQL";
  /** Of one statement. */
  readonly parametersMax: number;
  /** True: a repeat is found by any unique key, not by the one that was asked for. */
  readonly isAnyKeyMatched: boolean;
  /** @throws RangeError for a name that the database cannot have */
  quote(name: string): string;
  /** Rows of `name`, `declared` and `needed` (1 or 0), in the table's order; none: there is no such table. */
  columnsOf(table: TableName): Statement;
  /**
   * Rows of `key`, `column` and `loose`, for unique keys that hold for the whole table at once. `loose` says why two values may be one to
   * the key, such as `collation NOCASE`; null: they never are.
   */
  uniqueKeysOf(table: TableName): Statement;
  /** Rows of `name`: where the table's rows lie, as errors name it. null: in itself. */
  tablesOf(table: TableName): Statement | null;
  /** undefined: one of the database's own, which takes text that it knows to read. */
  typeOf(declared: string): ColumnType | undefined;
  /** How a new column is declared. */
  declare(type: ColumnType, options: KeyOptions): string;
  /** `create` is a whole `CREATE TABLE IF NOT EXISTS ...`. */
  creation(create: string, table: TableName): readonly Statement[];
  /** What follows the rows. @param updates never empty */
  onRepeat(key: readonly string[], updates: readonly string[]): string;
  /** @param number from 1 */
  placeholder(number: number, column: ColumnForm): string;
  /** @throws ValueError for what this column cannot hold */
  parameter(value: ColumnValue, column: ColumnForm): Parameter;
  /** What an error of the client means for the events that were written. */
  faultOf(error: unknown, own: OwnNames): Fault;
}

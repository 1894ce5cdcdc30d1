/** PostgreSQL. Values go as text, and the types of the columns say how they are read: each is exact. */
import type { PostgresClient, PostgresPool } from "../../clients/postgres.ts";
import { inTransaction, withConnection } from "../../clients/postgres-transactions.ts";
import type { ColumnType, ColumnValue } from "./column-value.ts";
import type { ColumnForm, Database, Dialect, Parameter, Row, Statement } from "./dialect.ts";
import { postgresFault } from "./fault.ts";
import { quoteIdentifier, quoteTable } from "./identifier.ts";
import { isoText } from "./instant.ts";

/** `into`: a transaction for each batch, on a connection of the pool. */
export function postgres(pool: PostgresPool): Database {
  return {
    dialect,
    handle: pool,
    read: (statement) => withConnection(pool, (client) => rowsOf(client, statement)),
    write: (statements) =>
      inTransaction(pool, "", async (client) => {
        for (const statement of statements) await rowsOf(client, statement);
      }),
  };
}

/** Within a transaction that somebody else began and ends. */
export function withinPostgres(transaction: PostgresClient): Database {
  return {
    dialect,
    handle: transaction,
    read: (statement) => rowsOf(transaction, statement),
    async write(statements) {
      for (const statement of statements) await rowsOf(transaction, statement);
    },
  };
}

async function rowsOf(client: PostgresClient, { sql, values }: Statement): Promise<readonly Row[]> {
  return (await client.query(sql, values)).rows;
}

const DECLARED: Readonly<Record<ColumnType, string>> = {
  text: "text",
  integer: "bigint",
  number: "double precision",
  numeric: "numeric",
  boolean: "boolean",
  timestamp: "timestamptz",
  date: "date",
  json: "jsonb",
};

/** As `format_type` names them. */
const TYPES: readonly (readonly [RegExp, ColumnType])[] = [
  [/^(?:text|character|character varying)(?:\([0-9]+\))?$/, "text"],
  [/^(?:smallint|integer|bigint)$/, "integer"],
  [/^(?:real|double precision)$/, "number"],
  [/^numeric(?:\(.*\))?$/, "numeric"],
  [/^boolean$/, "boolean"],
  [/^timestamp(?:\([0-9]\))? with(?:out)? time zone$/, "timestamp"],
  [/^date$/, "date"],
  [/^jsonb?$/, "json"],
];

const quote = (name: string): string => quoteIdentifier(name, { mark: '"', bytesMax: 63 });

const dialect: Dialect = {
  name: "PostgreSQL",
  parametersMax: 65_535,
  isAnyKeyMatched: false,
  quote,
  columnsOf: (table) => ({
    sql: `SELECT attname AS name, format_type(atttypid, atttypmod) AS declared,
        (attnotnull AND NOT atthasdef AND attidentity = '')::int AS needed
      FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    values: [quoteTable(table, quote)],
  }),
  uniqueKeysOf: (table) => ({
    sql: `SELECT indexrelid::text AS key, attname AS "column", NULL AS loose
      FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey[0:indnkeyatts - 1])
      WHERE indrelid = to_regclass($1) AND indisunique AND indisvalid AND indimmediate
        AND indpred IS NULL AND indexprs IS NULL`,
    values: [quoteTable(table, quote)],
  }),
  // With its partitions, which errors name in its place.
  tablesOf: (table) => ({
    sql: `WITH RECURSIVE own(id) AS (
        SELECT to_regclass($1)::oid UNION SELECT inhrelid FROM pg_inherits JOIN own ON inhparent = id)
      SELECT nspname || '.' || relname AS name
      FROM own JOIN pg_class ON pg_class.oid = id JOIN pg_namespace ON pg_namespace.oid = relnamespace`,
    values: [quoteTable(table, quote)],
  }),
  typeOf,
  declare: (type) => DECLARED[type],
  // Of two who create the same table at the same time one would fail, IF NOT EXISTS or not: the second waits.
  creation: (create, table) => [
    {
      sql: "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
      values: [`posthorn insert ${quoteTable(table, quote)}`],
    },
    { sql: create, values: [] },
  ],
  onRepeat: (key, updates) =>
    `ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${updates.map((name) => `${name} = EXCLUDED.${name}`).join(", ")}`,
  placeholder: (number) => `$${number}`,
  parameter,
  faultOf: postgresFault,
};

function typeOf(declared: string): ColumnType | undefined {
  return TYPES.find(([pattern]) => pattern.test(declared))?.[1];
}

function parameter(value: ColumnValue, { declared }: ColumnForm): Parameter {
  if (value === null) return null;
  if (typeof value === "boolean" && typeOf(declared) === "integer") return value ? "1" : "0";
  return typeof value === "object" ? isoText(value) : String(value);
}

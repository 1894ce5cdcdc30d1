/** MySQL and MariaDB. Times are kept in UTC. */
import { Buffer } from "node:buffer";
import type { MysqlConnection, MysqlPool } from "../../clients/mysql.ts";
import { type ColumnType, type ColumnValue, ValueError } from "./column-value.ts";
import type { ColumnForm, Database, Dialect, Parameter, Row, Statement, TableName } from "./dialect.ts";
import { mysqlFault } from "./fault.ts";
import { quoteIdentifier } from "./identifier.ts";
import { type Instant, isoText } from "./instant.ts";

/** `into`: a transaction for each batch, on a connection of the pool. */
export function mysql(pool: MysqlPool): Database {
  return {
    dialect,
    handle: pool,
    read: (statement) => connected(pool, (connection) => rowsOf(connection, statement)),
    write: (statements) =>
      connected(pool, async (connection) => {
        const packetMax = await checkSession(connection);
        for (const statement of statements) checkSize(statement, packetMax);
        await connection.beginTransaction();
        for (const statement of statements) await rowsOf(connection, statement);
        await connection.commit();
      }),
  };
}

async function connected<Result>(
  pool: MysqlPool,
  work: (connection: MysqlConnection) => Promise<Result>,
): Promise<Result> {
  const connection = await pool.getConnection();
  try {
    const result = await work(connection);
    connection.release();
    return result;
  } catch (error) {
    // A connection that cannot even roll back is not one to use again.
    await connection.rollback().then(
      () => connection.release(),
      () => connection.destroy(),
    );
    throw error;
  }
}

async function rowsOf(connection: MysqlConnection, { sql, values }: Statement): Promise<readonly Row[]> {
  const [rows] = await connection.query(sql, [...values]);
  return Array.isArray(rows) ? rows : [];
}

/**
 * The client puts values into the statement with backslashes, which is safe only where the server reads them so; without strict mode
 * the server cuts what does not fit and says nothing. Both belong to the session, so each batch asks.
 * @returns how many bytes the server takes at once
 */
async function checkSession(connection: MysqlConnection): Promise<number> {
  const sql =
    "SELECT @@SESSION.sql_mode AS mode, @@SESSION.character_set_client AS charset, @@SESSION.max_allowed_packet AS packet";
  const [session] = await rowsOf(connection, { sql, values: [] });
  const modes = String(session?.mode).split(",");
  if (modes.includes("NO_BACKSLASH_ESCAPES")) {
    throw new Error("insert into MySQL: sql_mode has NO_BACKSLASH_ESCAPES. Take it out for this pool.");
  }
  if (!modes.includes("STRICT_TRANS_TABLES") && !modes.includes("STRICT_ALL_TABLES")) {
    throw new Error("insert into MySQL: sql_mode lacks STRICT_TRANS_TABLES. Add it for this pool.");
  }
  if (session?.charset !== "utf8mb4") {
    throw new Error(
      `insert into MySQL: the client's character set is ${session?.charset}. Give the pool charset: "utf8mb4".`,
    );
  }
  return Number(session?.packet);
}

/** The server would answer the same, and hang up: that the client mostly sees before the answer, as a connection that is lost. */
function checkSize({ sql, values }: Statement, packetMax: number): void {
  const texts = [sql, ...values.map(String)];
  const bytes = texts.reduce((sum, text) => sum + sizeOf(text), 0);
  if (bytes < packetMax) return;
  const message = `a statement of ${bytes} bytes is more than the server's max_allowed_packet, ${packetMax}`;
  throw Object.assign(new Error(message), { errno: 1153 });
}

/** In quotes, and with a backslash before what needs one. */
function sizeOf(text: string): number {
  return Buffer.byteLength(text) + (text.match(/[\p{Cc}"'\\]/gu)?.length ?? 0) + 2;
}

/** Compared byte by byte: ids that differ in case alone are two. */
const BINARY = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
/** Characters of all columns of a key: 3,072 bytes, 4 for a character. */
const KEY_CHARACTERS_MAX = 768;

const DECLARED: Readonly<Record<ColumnType, string>> = {
  text: `LONGTEXT ${BINARY}`,
  integer: "BIGINT",
  number: "DOUBLE",
  numeric: "DECIMAL(65, 20)",
  boolean: "BOOLEAN",
  timestamp: "DATETIME(6)",
  date: "DATE",
  json: "JSON",
};

const TYPES: readonly (readonly [RegExp, ColumnType])[] = [
  [/^json/, "json"],
  [/^(?:tinyint|bit)\(1\)/, "boolean"],
  [/^bit/, "integer"],
  [/^(?:tiny|small|medium|big)?int/, "integer"],
  [/^(?:varchar|char|tinytext|text|mediumtext|longtext)/, "text"],
  [/^(?:double|float)/, "number"],
  [/^decimal/, "numeric"],
  [/^(?:datetime|timestamp)/, "timestamp"],
  [/^date$/, "date"],
];

const OF_TABLE = "table_schema = COALESCE(?, DATABASE()) AND table_name = ?";

const dialect: Dialect = {
  name: "MySQL",
  parametersMax: 65_535,
  isAnyKeyMatched: true,
  // The client takes every question mark for a value.
  quote: (name) => quoteIdentifier(name, { mark: "`", bytesMax: 64, refused: /[?]| $/ }),
  columnsOf: (table) => ({
    sql: `SELECT column_name AS name, LOWER(column_type) AS declared, is_nullable = 'NO' AND column_default IS NULL
        AND extra NOT LIKE '%auto_increment%' AND extra NOT LIKE '%GENERATED%' AS needed
      FROM information_schema.columns WHERE ${OF_TABLE} ORDER BY ordinal_position`,
    values: names(table),
  }),
  uniqueKeysOf: (table) => ({
    sql: `SELECT index_name AS \`key\`, column_name AS \`column\`,
        CASE WHEN sub_part IS NOT NULL THEN CONCAT('the first ', sub_part, ' characters alone')
          WHEN collation_name NOT LIKE '%\\_bin' THEN CONCAT('collation ', collation_name) END AS loose
      FROM information_schema.statistics LEFT JOIN information_schema.columns USING (table_schema, table_name, column_name)
      WHERE ${OF_TABLE} AND non_unique = 0 ORDER BY index_name, seq_in_index`,
    values: names(table),
  }),
  tablesOf: () => null,
  typeOf: (declared) => TYPES.find(([pattern]) => pattern.test(declared))?.[1],
  declare: (type, { isKey, keyLength }) =>
    isKey && type === "text"
      ? `VARCHAR(${Math.floor(KEY_CHARACTERS_MAX / keyLength)}) ${BINARY}`
      : DECLARED[type],
  creation: (create) => [{ sql: create, values: [] }],
  // VALUES() is what both know; MySQL 8 would rather have an alias, which MariaDB lacks.
  onRepeat: (_key, updates) =>
    `ON DUPLICATE KEY UPDATE ${updates.map((name) => `${name} = VALUES(${name})`).join(", ")}`,
  placeholder: (_number, column) => (isTimestamp(column) ? "FROM_UNIXTIME(CAST(? AS DECIMAL(20, 6)))" : "?"),
  parameter,
  faultOf: mysqlFault,
};

function names({ schema, table }: TableName): readonly (string | null)[] {
  return [schema, table];
}

/** TIMESTAMP is read in the session's time zone, whatever that is; DATETIME keeps what it is given. */
function isTimestamp({ type, declared }: ColumnForm): boolean {
  return type === "timestamp" && declared.startsWith("timestamp");
}

function parameter(value: ColumnValue, column: ColumnForm): Parameter {
  if (value === null) return null;
  if (typeof value === "boolean") return value ? 1 : 0;
  // Text would be taken for the bits of its characters.
  if (typeof value === "bigint" && column.declared.startsWith("bit")) return value;
  if (typeof value !== "object") return String(value);
  if (isTimestamp(column)) return unixText(value);
  return isoText(value).replace("T", " ").replace("Z", "");
}

function unixText({ seconds, microseconds }: Instant): string {
  if (seconds < 1 || seconds >= 2 ** 31)
    throw new ValueError("a time from 1970 to 2038, as TIMESTAMP has it");
  return `${seconds}.${String(microseconds).padStart(6, "0")}`;
}

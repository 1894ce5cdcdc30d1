/** The files of `append` as DuckDB reads them. */
import path from "node:path";
import type { ColumnType } from "../insert/column-value.ts";
import { quoteName, quoteText } from "./duckdb.ts";

export type ColumnTypes = Readonly<Record<string, ColumnType>>;

const DUCKDB_TYPES: Readonly<Record<ColumnType, string>> = {
  text: "VARCHAR",
  integer: "BIGINT",
  number: "DOUBLE",
  numeric: "DECIMAL(38, 9)",
  boolean: "BOOLEAN",
  timestamp: "TIMESTAMPTZ",
  date: "DATE",
  json: "JSON",
};

/** In the order of a line. */
export function columnsOfEvents(columns: ColumnTypes): [name: string, type: string][] {
  return [
    ["id", "VARCHAR"],
    ["type", "VARCHAR"],
    ["occurredAt", "TIMESTAMPTZ"],
    ["receivedAt", "TIMESTAMPTZ"],
    ...Object.entries(columns).map(([name, type]): [string, string] => [name, DUCKDB_TYPES[type]]),
    ["data", "JSON"],
  ];
}

/** A query of what is in the files, NDJSON or Parquet by their names. @param files absolute paths, at least one */
export function selectEvents(files: readonly string[], columns: ColumnTypes): string {
  const parquet = files.filter((file) => isParquet(file));
  const ndjson = files.filter((file) => !isParquet(file));
  const parts: string[] = [];
  if (parquet.length > 0) parts.push(`SELECT * FROM read_parquet(${list(parquet)}, union_by_name = true)`);
  if (ndjson.length > 0) {
    const types = columnsOfEvents(columns).map(([name, type]) => `${quoteText(name)}: ${quoteText(type)}`);
    parts.push(
      `SELECT * FROM read_json(${list(ndjson)}, format = 'newline_delimited', columns = {${types.join(", ")}})`,
    );
  }
  return parts.join(" UNION ALL BY NAME ");
}

/** A statement that writes an NDJSON file anew as Parquet, under that very name: DuckDB's own temporary one would be a second. */
export function copyToParquet(ndjson: string, parquet: string, columns: ColumnTypes): string {
  const names = columnsOfEvents(columns).map(([name]) => quoteName(name));
  return `COPY (SELECT ${names.join(", ")} FROM (${selectEvents([ndjson], columns)})) TO ${quoteText(parquet)} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)`;
}

function isParquet(file: string): boolean {
  return path.extname(file) === ".parquet";
}

function list(files: readonly string[]): string {
  return `[${files.map(quoteText).join(", ")}]`;
}

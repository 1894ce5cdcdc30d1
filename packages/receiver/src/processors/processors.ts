export {
  type Aggregate,
  type AggregateOptions,
  type AggregateSnapshot,
  type AggregateStatus,
  aggregate,
  type WindowResult,
} from "./aggregate/aggregate.ts";
export type { Measure, Measures, Selector } from "./aggregate/sample.ts";
export type { Span, Window } from "./aggregate/window.ts";
export {
  type AnalyseInput,
  type AnalyseOptions,
  analyse,
  type Row,
  SqlError,
  type SqlValue,
} from "./analyse/analyse.ts";
export { type AppendOptions, append } from "./append/append.ts";
export type { AppendColumn } from "./append/event-line.ts";
export { deadLetterFile } from "./dead-letters.ts";
export type { ColumnTypes } from "./duckdb/event-files.ts";
export { type ForwardOptions, forward } from "./forward.ts";
export type { ColumnType } from "./insert/column-value.ts";
export type { Database } from "./insert/dialect.ts";
export { type InsertOptions, insert } from "./insert/insert.ts";
export type { ColumnOptions, Columns } from "./insert/mapping.ts";
export { mysql } from "./insert/mysql.ts";
export { postgres } from "./insert/postgres.ts";
export type { JsonSchema } from "./insert/schema.ts";
export { sqlite } from "./insert/sqlite.ts";
export { compilePath, type Path, PathError } from "./path.ts";
export type { ProcessContext, Processor } from "./processor.ts";

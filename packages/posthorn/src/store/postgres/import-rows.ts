/** Carried rows as statements: one for a table, each column an array. */
import { locatorOf } from "../../base/ids.ts";
import {
  type CarriedRow,
  type CarriedRows,
  type CarriedTable,
  type Cell,
  type ColumnKind,
  columnsOf,
  placeOf,
} from "../carried.ts";
import { Blob } from "./blob.ts";
import { dayOfId } from "./day.ts";
import { plainArray, textArray } from "./literal.ts";

/** What a row has besides its cells, taken from the ids in it: its shard, its day, and its retention class. */
type Placing = readonly [column: string, what: "locator" | "day" | "class", from: string];

const PLACINGS: Partial<Record<CarriedTable, readonly Placing[]>> = {
  events: [
    ["locator", "locator", "id"],
    ["day", "day", "id"],
    ["retention_days", "class", "app_id"],
  ],
  fan_outs: [
    ["locator", "locator", "event_id"],
    ["event_day", "day", "event_id"],
    ["retention_days", "class", "of_app"],
  ],
  deliveries: placingsOfDelivery(),
  delivery_history: placingsOfDelivery(),
  attempts: [
    ["locator", "locator", "delivery_id"],
    ["day", "day", "delivery_id"],
    ["retention_days", "class", "of_app"],
  ],
};

function placingsOfDelivery(): readonly Placing[] {
  return [
    ["locator", "locator", "id"],
    ["day", "day", "id"],
    ["event_day", "day", "event_id"],
    ["retention_days", "class", "of_app"],
  ];
}

/** What happens to a row that is there already: rows that never change are left, others replaced. */
const CONFLICTS: Partial<Record<CarriedTable, readonly string[]>> = {
  figures: ["endpoint_id", "minute_ms", "incarnation"],
  idempotency: ["app_id", "key"],
};

/** Tables whose rows are put by the retention class of their app. */
export function isPlacedByApp(table: CarriedTable): boolean {
  return PLACINGS[table] !== undefined;
}

/** Tables with a partition for each day and class. */
export const PARTITIONED: ReadonlySet<CarriedTable> = new Set(["events", "delivery_history", "attempts"]);

export interface Placed {
  readonly text: string;
  readonly values: readonly unknown[];
}

export interface Putting {
  /** The retention class of an app. */
  classOf(appId: string): number;
  /** The number of the incarnation that holds what is leased. */
  readonly holder: number;
}

export function insertOf({ table, rows }: CarriedRows, { classOf, holder }: Putting): Placed {
  const values: unknown[] = [];
  const given = (value: unknown): string => `$${values.push(value)}`;
  const names: string[] = [];
  const cells: string[] = [];
  const arrays: string[] = [];
  const aliases: string[] = [];
  const array = (type: string, value: string): string => {
    const alias = `c${aliases.length}`;
    aliases.push(alias);
    arrays.push(`${given(value)}::${type}[]`);
    return alias;
  };
  for (const [index, [name, kind]] of columnsOf(table).entries()) {
    const column = rows.map((row) => row[index] ?? null);
    if (kind === "app") continue;
    names.push(name);
    cells.push(cellOf(kind, column, array, given, holder));
  }
  for (const [name, what, from] of PLACINGS[table] ?? []) {
    const at = placeOf(table, from);
    names.push(name);
    cells.push(array(...placing(what, rows, at, classOf)));
  }
  return {
    text: `INSERT INTO posthorn.${table} (${names.join(", ")})
      SELECT ${cells.join(", ")} FROM unnest(${arrays.join(", ")}) AS c (${aliases.join(", ")})
      ON CONFLICT ${conflictOf(table, names)}`,
    values,
  };
}

function placing(
  what: Placing[1],
  rows: readonly CarriedRow[],
  at: number,
  classOf: (appId: string) => number,
): [type: string, value: string] {
  const ids = rows.map((row) => row[at] as string);
  switch (what) {
    case "locator":
      return ["integer", plainArray(ids.map(locatorOf))];
    case "day":
      return ["date", plainArray(ids.map((id) => dayOfId(id, 0)))];
    case "class":
      return ["smallint", plainArray(ids.map(classOf))];
  }
}

function cellOf(
  kind: Exclude<ColumnKind, "app">,
  column: readonly Cell[],
  array: (type: string, value: string) => string,
  given: (value: unknown) => string,
  holder: number,
): string {
  switch (kind) {
    case "text":
      return array("text", textArray(column as (string | null)[]));
    case "number":
      return array("bigint", plainArray(column as (number | null)[]));
    case "real":
      return array("double precision", plainArray(column as (number | null)[]));
    case "boolean":
      return `${array("integer", plainArray(column as number[]))} = 1`;
    case "lease":
      return `CASE WHEN ${array("integer", plainArray(column as number[]))} = 1 THEN ${given(holder)}::integer END`;
    case "numbers":
      return `translate(${array("text", textArray(column as string[]))}, '[]', '{}')::bigint[]`;
    case "bytes": {
      const blob = new Blob();
      for (const cell of column) blob.add(cell as Uint8Array | null);
      const start = array("integer", plainArray(blob.starts));
      const length = array("integer", plainArray(blob.lengths));
      return `substring(${given(blob.whole())}::bytea FROM ${start} + 1 FOR ${length})`;
    }
  }
}

function conflictOf(table: CarriedTable, names: readonly string[]): string {
  const key = CONFLICTS[table];
  if (key === undefined) return "DO NOTHING";
  const changed = names.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  return `(${key.join(", ")}) DO UPDATE SET ${changed.join(", ")}`;
}

/** The partitions that rows of a table go to: days by class. */
export function partitionsOf(
  { table, rows }: CarriedRows,
  classOf: (appId: string) => number,
): ReadonlyMap<number, ReadonlySet<string>> {
  const days = new Map<number, Set<string>>();
  if (!PARTITIONED.has(table)) return days;
  const id = placeOf(table, table === "attempts" ? "delivery_id" : "id");
  const app = placeOf(table, table === "events" ? "app_id" : "of_app");
  for (const row of rows) {
    const retentionDays = classOf(row[app] as string);
    const day = dayOfId(row[id] as string, 0);
    const known = days.get(retentionDays);
    if (known === undefined) days.set(retentionDays, new Set([day]));
    else known.add(day);
  }
  return days;
}

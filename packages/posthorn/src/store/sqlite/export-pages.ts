/** Walks through a table page by page, each a read of its own, so that none holds the log for long. */
import { type CarriedRows, type Cell, placeOf } from "../carried.ts";
import { BYTES_MAX, bytesOf, ROWS_MAX, type SqliteSource, type Walked } from "./export.ts";
import { DELIVERIES } from "./export-tables.ts";

/** `start`: the numbers of the row before the first one; the query takes them, and gives rows in their order. */
export function* pagesOf(
  source: SqliteSource,
  sql: string,
  start: readonly number[],
): Generator<readonly Walked[]> {
  for (let after = start; ; ) {
    const rows: Walked[] = [];
    let bytes = 0;
    for (const row of source.walk(`${sql} LIMIT ${ROWS_MAX}`, after, start.length)) {
      rows.push(row);
      bytes += bytesOf(row.cells);
      if (bytes >= BYTES_MAX) break;
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    after = last.at;
  }
}

const ID = placeOf("deliveries", "id");
const APP = placeOf("deliveries", "of_app");

/** Unfinished deliveries with their attempts. */
export function* unfinishedSlices(source: SqliteSource): Generator<readonly CarriedRows[]> {
  for (const rows of pagesOf(source, `${DELIVERIES} WHERE d.seq > ? ORDER BY d.seq`, [0])) {
    const attempts = rows.flatMap(({ at, cells }) =>
      source.attempts(at[0] as number, cells[ID] as Cell, cells[APP] as Cell),
    );
    yield [
      { table: "deliveries", rows: rows.map(({ cells }) => cells) },
      { table: "attempts", rows: attempts },
    ];
  }
}

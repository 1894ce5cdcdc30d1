/** Counts and hashes of what a PostgreSQL store holds, for comparing it with what it was copied from. */
import { type CarriedTable, columnsOf, HASH_DIGITS, type Tallies } from "../carried.ts";
import type { Connection } from "./connection.ts";
import type { Day } from "./day.ts";
import { plainArray } from "./literal.ts";

interface TallyRow {
  readonly part: string;
  readonly count: number;
  readonly sum: string;
}

/** Of a row with this alias: see tallyOf. */
function tallied(table: CarriedTable, alias: string): string {
  const cells = columnsOf(table).flatMap(([name, kind]) => {
    const column = `${alias}.${name}`;
    switch (kind) {
      case "app":
        return [];
      case "bytes":
        return [`md5(${column})`];
      case "numbers":
        return [`array_to_json(${column})`];
      case "lease":
        return [`${column} IS NOT NULL`];
      default:
        return [column];
    }
  });
  const digest = `left(md5(json_build_array(${cells.join(", ")})::text), ${HASH_DIGITS})`;
  return `count(*) AS count, coalesce(sum(('x' || ${digest})::bit(${HASH_DIGITS * 4})::bigint), 0)::text AS sum`;
}

async function tally(
  connection: Connection,
  text: string,
  values: readonly unknown[] = [],
): Promise<Tallies> {
  const rows = await connection.query<TallyRow>({ text }, values);
  return new Map(rows.map(({ part, count, sum }) => [part, { count, sum: BigInt(sum) }]));
}

/** A table as a whole; `condition` names its alias `r`. */
export function tallyTable(
  connection: Connection,
  table: CarriedTable,
  condition = "true",
): Promise<Tallies> {
  return tally(
    connection,
    `SELECT 'all' AS part, ${tallied(table, "r")} FROM posthorn.${table} r WHERE ${condition} HAVING count(*) > 0`,
  );
}

/** What is compared: from inclusive, to exclusive; and of each class only what was made after a day. */
export interface ComparedStretch {
  readonly fromMs: number;
  readonly toMs: number;
  readonly floors: ReadonlyMap<number, Day>;
}

function valuesOf({ fromMs, toMs, floors }: ComparedStretch): unknown[] {
  return [
    fromMs,
    Math.min(toMs, Number.MAX_SAFE_INTEGER),
    plainArray([...floors.keys()]),
    plainArray([...floors.values()]),
  ];
}

const FLOORS = "unnest($3::smallint[], $4::date[]) AS f (retention_days, day)";

export function tallyEventsByDay(connection: Connection, stretch: ComparedStretch): Promise<Tallies> {
  return tally(
    connection,
    `SELECT r.day AS part, ${tallied("events", "r")} FROM posthorn.events r JOIN ${FLOORS} ON f.retention_days = r.retention_days
    WHERE r.accepted_at_ms >= $1 AND r.accepted_at_ms < $2 AND r.expunged_at_ms IS NULL AND r.day > f.day GROUP BY r.day`,
    valuesOf(stretch),
  );
}

export function tallyHistoryByDay(connection: Connection, stretch: ComparedStretch): Promise<Tallies> {
  return tally(
    connection,
    `SELECT r.day AS part, ${tallied("delivery_history", "r")} FROM posthorn.delivery_history r
      JOIN ${FLOORS} ON f.retention_days = r.retention_days
    WHERE r.finished_at_ms >= $1 AND r.finished_at_ms < $2 AND r.event_day > f.day GROUP BY r.day`,
    valuesOf(stretch),
  );
}

/** Those of finished deliveries. */
export function tallyAttemptsByDay(connection: Connection, stretch: ComparedStretch): Promise<Tallies> {
  return tally(
    connection,
    `SELECT r.day AS part, ${tallied("attempts", "r")} FROM posthorn.attempts r
      JOIN posthorn.delivery_history h ON h.locator = r.locator AND h.day = r.day AND h.id = r.delivery_id
        AND h.retention_days = r.retention_days
      JOIN ${FLOORS} ON f.retention_days = h.retention_days
    WHERE h.finished_at_ms >= $1 AND h.finished_at_ms < $2 AND h.event_day > f.day GROUP BY r.day`,
    valuesOf(stretch),
  );
}

export function tallyAttemptsUnfinished(connection: Connection): Promise<Tallies> {
  return tally(
    connection,
    `SELECT 'unfinished' AS part, ${tallied("attempts", "r")} FROM posthorn.attempts r
      JOIN posthorn.deliveries d ON d.locator = r.locator AND d.id = r.delivery_id HAVING count(*) > 0`,
  );
}

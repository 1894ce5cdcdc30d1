/**
 * Marks in the user's SQLite database: the mark and what the handler writes are one commit. Handlers run one after another, because
 * a connection has one transaction at a time, and a database one writer.
 *
 * Each call costs a sync of the disk, however many keys it has: one by one that is some 340 a second, in batches 23,000.
 */
import { beforeFirstUse } from "../../clients/first-use.ts";
import type { SqliteDatabase } from "../../clients/sqlite.ts";
import { transactionEnded, transactionsOf } from "../../clients/sqlite-transactions.ts";
import { quoteTable } from "../../clients/table-name.ts";
import { UnderWay } from "../../under-way.ts";
import type { DedupeStore } from "../dedupe.ts";
import { checkWindow, Keys } from "../keys.ts";
import { createMarks, SqliteMarks } from "./sqlite-marks.ts";

export interface SqliteDedupeOptions {
  /** How long an event is remembered; 7 days unless told otherwise. */
  readonly windowMs?: number;
  /** `posthorn_receiver_marks` unless told otherwise; created on first use. */
  readonly table?: string;
}

/**
 * @param database a connection that nothing else writes with: whatever does so while a handler runs is part of its transaction. A file
 *   is switched to `journal_mode = WAL` and `synchronous = FULL`.
 * @throws RangeError for an option out of range
 */
export function sqliteDedupe<Database extends SqliteDatabase>(
  database: Database,
  { windowMs, table = "posthorn_receiver_marks" }: SqliteDedupeOptions = {},
): DedupeStore<Database> {
  const options = { table: quoteTable(table), windowMs: checkWindow(windowMs) };
  const transactions = transactionsOf(database);
  const calls = new UnderWay("dedupe store");
  let marks: SqliteMarks | undefined;
  const prepare = beforeFirstUse(async () => {
    await transactions.run(() => createMarks(database, options.table));
    marks = new SqliteMarks(database, options);
  });
  return {
    once: (given, work) =>
      calls.run(async () => {
        const keys = new Keys(given);
        await prepare();
        return transactions.run(async () => {
          // Before the work, so that a handler that rolls back by itself takes the marks with it.
          const fresh = marks!.add(keys.distinct);
          const [first] = fresh;
          if (first !== undefined) {
            await work(database, keys.indicesOf(fresh));
            if (!marks!.has(first)) throw transactionEnded();
          }
          return keys.outcomes(fresh);
        });
      }),
    onceMax: 1,
    close: () => calls.close(),
  };
}

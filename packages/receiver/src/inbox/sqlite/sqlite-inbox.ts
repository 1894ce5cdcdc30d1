/**
 * An inbox in the user's SQLite database: that an entry was processed and what the handler writes are one commit. A database has one
 * writer, so `put` waits while `take` works, for one at most: what takes long belongs into an inbox on PostgreSQL.
 *
 * Each `take` costs a sync of the disk, however many entries it has: one by one that is some 340 a second, in batches 23,000.
 */
import { beforeFirstUse } from "../../clients/first-use.ts";
import type { SqliteDatabase } from "../../clients/sqlite.ts";
import { transactionEnded, transactionsOf } from "../../clients/sqlite-transactions.ts";
import { quoteTable } from "../../clients/table-name.ts";
import type { Line } from "../../clients/turns.ts";
import { checkWindow } from "../../dedupe/keys.ts";
import { UnderWay } from "../../under-way.ts";
import { checkEvent, checkLimit, checkPostponement, entryOf } from "../entry.ts";
import type { Inbox } from "../inbox.ts";
import { PutQueue } from "../put-queue.ts";
import { createEntries, SqliteEntries } from "./sqlite-entries.ts";

export interface SqliteInboxOptions {
  /** How long an event is remembered after it was processed; 7 days unless told otherwise. */
  readonly windowMs?: number;
  /** `posthorn_receiver_inbox` unless told otherwise; created on first use. */
  readonly table?: string;
}

/**
 * @param database a connection to a file that nothing else writes with: whatever does so while a handler runs is part of its transaction.
 *   The file is switched to `journal_mode = WAL` and `synchronous = FULL`; a database in memory is refused on first use.
 * @throws RangeError for an option out of range
 */
export function sqliteInbox<Database extends SqliteDatabase>(
  database: Database,
  { windowMs, table = "posthorn_receiver_inbox" }: SqliteInboxOptions = {},
): Inbox<Database> {
  const options = { table: quoteTable(table), windowMs: checkWindow(windowMs) };
  const transactions = transactionsOf(database);
  const calls = new UnderWay("inbox");
  let prepared: SqliteEntries | undefined;
  const prepare = beforeFirstUse(async () => {
    await transactions.run((kind) => {
      if (kind === "memory") {
        throw new Error(
          "An inbox keeps what was acknowledged, and this SQLite database is in memory: open a file.",
        );
      }
      createEntries(database, options.table);
    });
    prepared = new SqliteEntries(database, options);
  });
  const transact = async <Result>(
    work: (entries: SqliteEntries) => Result | Promise<Result>,
    line?: Line,
  ): Promise<Result> => {
    await prepare();
    return transactions.run(() => work(prepared!), line);
  };
  // A sender waits for these.
  const puts = new PutQueue((events) => transact((entries) => entries.add(events), "urgent"));
  return {
    put: (events) =>
      calls.run(async () => {
        events.forEach(checkEvent);
        transactions.refuseWithin();
        return puts.put(events);
      }),
    take: ({ receiver, limit }, work) =>
      calls.run(async () => {
        checkLimit(limit);
        return transact(async (entries) => {
          const due = entries.due(receiver, limit);
          const [first] = due;
          if (first === undefined) return 0;
          // Before the work, so that a handler that rolls back by itself takes this with it.
          entries.finish(due.map(({ seq }) => seq));
          await work(database, due.map(entryOf));
          if (!entries.isFinished(first.seq)) throw transactionEnded();
          return due.length;
        });
      }),
    takesMax: 1,
    postpone: (keys, later) =>
      calls.run(async () => {
        checkPostponement(later);
        await transact((entries) => entries.postpone(keys, later));
      }),
    bury: (keys, reason) => calls.run(() => transact((entries) => entries.bury(keys, reason))),
    nextDueInMs: (receiver) => calls.run(() => transact((entries) => entries.nextDueInMs(receiver))),
    waiting: (receiver) => calls.run(() => transact((entries) => entries.waiting(receiver))),
    close: () => calls.close(),
  };
}

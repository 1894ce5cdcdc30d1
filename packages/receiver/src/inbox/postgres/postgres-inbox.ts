/**
 * An inbox in the user's PostgreSQL database, for any number of processes: that an entry was processed and what the handler writes are
 * one commit. Puts do not wait for what is being processed.
 */
import { beforeFirstUse } from "../../clients/first-use.ts";
import type { PostgresClient, PostgresPool } from "../../clients/postgres.ts";
import {
  assertOpen,
  inTransaction,
  transactionsMax,
  withConnection,
} from "../../clients/postgres-transactions.ts";
import { quoteTable } from "../../clients/table-name.ts";
import { checkWindow } from "../../dedupe/keys.ts";
import { UnderWay } from "../../under-way.ts";
import { checkEvent, checkLimit, checkPostponement, entryOf } from "../entry.ts";
import type { Inbox } from "../inbox.ts";
import { PutQueue } from "../put-queue.ts";
import { createEntries, PostgresEntries } from "./postgres-entries.ts";

export interface PostgresInboxOptions {
  /** How long an event is remembered after it was processed; 7 days unless told otherwise. */
  readonly windowMs?: number;
  /** `posthorn_receiver_inbox` unless told otherwise; created on first use. */
  readonly table?: string;
}

/**
 * @param pool each `take` holds one of its connections while its work runs; puts share one. Its errors are the user's: without a listener
 *   (`pool.on("error", ...)`) pg ends the process when an idle connection breaks.
 * @throws RangeError for an option out of range
 */
export function postgresInbox(
  pool: PostgresPool,
  { windowMs, table = "posthorn_receiver_inbox" }: PostgresInboxOptions = {},
): Inbox<PostgresClient> {
  const entries = new PostgresEntries({ table: quoteTable(table), windowMs: checkWindow(windowMs) });
  const calls = new UnderWay("inbox");
  const prepare = beforeFirstUse(() => createEntries(pool, quoteTable(table)));
  const query = async <Result>(work: (client: PostgresClient) => Promise<Result>): Promise<Result> => {
    await prepare();
    return withConnection(pool, work);
  };
  const puts = new PutQueue((events) => query((client) => entries.add(client, events)));
  return {
    put: (events) =>
      calls.run(async () => {
        events.forEach(checkEvent);
        return puts.put(events);
      }),
    take: ({ receiver, limit }, work) =>
      calls.run(async () => {
        checkLimit(limit);
        await prepare();
        return inTransaction(pool, "", async (client) => {
          const due = await entries.lockDue(client, receiver, limit);
          if (due.length === 0) return 0;
          await work(client, due.map(entryOf));
          // Only now: a put of the same event would wait for a change of its row, but not for a lock on it.
          await assertOpen(client);
          await entries.finish(
            client,
            due.map(({ seq }) => seq),
          );
          return due.length;
        });
      }),
    takesMax: transactionsMax(pool),
    postpone: (keys, later) =>
      calls.run(async () => {
        checkPostponement(later);
        await query((client) => entries.postpone(client, keys, later));
      }),
    bury: (keys, reason) => calls.run(() => query((client) => entries.bury(client, keys, reason))),
    nextDueInMs: (receiver) => calls.run(() => query((client) => entries.nextDueInMs(client, receiver))),
    waiting: (receiver) => calls.run(() => query((client) => entries.waiting(client, receiver))),
    close: () => calls.close(),
  };
}

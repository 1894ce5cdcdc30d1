/**
 * Marks in the user's PostgreSQL database: the mark and what the handler writes are one commit, for any number of processes.
 *
 * Of two calls with the same key at the same time, the second waits. In the same process it holds no connection while it does; of another
 * process it waits in PostgreSQL for the first one's commit, with a connection, for a few seconds at most: so, however often an event is
 * sent again, it holds one connection of each process. No deadlock: keys are marked in one order, and nothing is waited for after that.
 */
import { beforeFirstUse } from "../../clients/first-use.ts";
import type { PostgresClient, PostgresPool } from "../../clients/postgres.ts";
import { codeOf, inTransaction, transactionsMax } from "../../clients/postgres-transactions.ts";
import { quoteTable } from "../../clients/table-name.ts";
import { UnderWay } from "../../under-way.ts";
import type { DedupeStore, OnceOutcome, OnceWork } from "../dedupe.ts";
import { checkWindow, Keys } from "../keys.ts";
import { RunningKeys } from "../running-keys.ts";
import { createMarks, PostgresMarks } from "./postgres-marks.ts";

export interface PostgresDedupeOptions {
  /** How long an event is remembered; 7 days unless told otherwise. */
  readonly windowMs?: number;
  /** `posthorn_receiver_marks` unless told otherwise; created on first use. */
  readonly table?: string;
  /** How long a call waits for another process that works on one of its keys, before it answers `busy`; 5 s unless told otherwise. */
  readonly waitMs?: number;
}

const WAIT_MS_MAX = 60_000;
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * @param pool each call holds one of its connections while its work runs. Its errors are the user's: without a listener
 *   (`pool.on("error", ...)`) pg ends the process when an idle connection breaks.
 * @throws RangeError for an option out of range
 */
export function postgresDedupe(
  pool: PostgresPool,
  { windowMs, table = "posthorn_receiver_marks", waitMs = 5000 }: PostgresDedupeOptions = {},
): DedupeStore<PostgresClient> {
  if (!Number.isInteger(waitMs) || waitMs < 1 || waitMs > WAIT_MS_MAX) {
    throw new RangeError(`waitMs is ${waitMs}: it must be a whole number from 1 to ${WAIT_MS_MAX}`);
  }
  const marks = new PostgresMarks({ table: quoteTable(table), windowMs: checkWindow(windowMs) });
  const running = new RunningKeys();
  const calls = new UnderWay("dedupe store");
  const prepare = beforeFirstUse(() => createMarks(pool, quoteTable(table)));
  return {
    once: (given, work) =>
      calls.run(async () => {
        const keys = new Keys(given);
        await prepare();
        return running.hold(keys.distinct, () => onceAlone(pool, { marks, waitMs }, keys, work));
      }),
    onceMax: transactionsMax(pool),
    close: () => calls.close(),
  };
}

async function onceAlone(
  pool: PostgresPool,
  { marks, waitMs }: { readonly marks: PostgresMarks; readonly waitMs: number },
  keys: Keys,
  work: OnceWork<PostgresClient>,
): Promise<readonly OnceOutcome[]> {
  let isMarked = false;
  try {
    return await inTransaction(pool, `SET LOCAL lock_timeout = ${waitMs}`, async (client) => {
      // Before the work, so that a handler that rolls back by itself takes the marks with it.
      const fresh = await marks.add(client, keys.distinct);
      isMarked = true;
      await client.query("SET LOCAL lock_timeout TO DEFAULT");
      if (fresh.size > 0) await work(client, keys.indicesOf(fresh));
      return keys.outcomes(fresh);
    });
  } catch (error) {
    if (isMarked || codeOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    return keys.outcomes(new Set(), new Set(keys.distinct));
  }
}

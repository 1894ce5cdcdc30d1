/** What duties share: the time of a transaction, and that one node at a time is at them. */
import type { Run } from "../connections.ts";

export type DutyName = "rescue" | "expire" | "cancel" | "fan_out" | "prune";

/** After so long, nothing that an accept or a claim began before can still be committed: the database ends their statements after 30 s. */
export const LATE_COMMIT_MS = 60_000;

/** The store's time. Read once in each transaction. */
export async function storeNow(run: Run): Promise<number> {
  const [row] = await run<{ nowMs: number }>({ text: `SELECT posthorn.now_ms() AS "nowMs"` });
  return row?.nowMs ?? Number.NaN;
}

/** Has the duty to itself until the transaction ends, and answers the store's time. undefined: another node is at it. */
export async function takeTurn(run: Run, duty: DutyName): Promise<number | undefined> {
  const [row] = await run<{ nowMs: number; mine: boolean }>(
    { text: `SELECT posthorn.now_ms() AS "nowMs", pg_try_advisory_xact_lock(hashtext($1)) AS mine` },
    [`posthorn.${duty}`],
  );
  return row?.mine === true ? row.nowMs : undefined;
}

/** For the rest of the transaction: a queue that fills and empties within minutes has statistics that are never true. */
export async function useIndexes(run: Run): Promise<void> {
  await run({
    text: "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off",
  });
}

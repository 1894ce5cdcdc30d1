/** The audit log: appended to within the transaction that does what an entry tells of. */
import type { NewAuditEntry } from "../../../domain/audit.ts";
import { nextAuditColumns } from "../../audit-columns.ts";
import type { Run } from "../connections.ts";

interface Head {
  readonly number: number;
  readonly hash: string;
  readonly nowMs: number;
}

/** Whoever appends waits here for the one before; the clock is read after that, so that times stand in the order of numbers. */
const LOCK_HEAD = `WITH head AS MATERIALIZED (SELECT number, hash FROM posthorn.audit_head FOR UPDATE)
  SELECT number, hash, posthorn.now_ms() AS "nowMs" FROM head`;
const APPEND = `WITH appended AS (
    INSERT INTO posthorn.audit_log (number, id, at_ms, actor, action, target, app_id, before, after, address, request_id,
      previous_hash, hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
  )
  UPDATE posthorn.audit_head SET number = $1, hash = $13`;

/** The last thing that a transaction does: every other one that appends waits until it ends. */
export async function appendAudit(run: Run, audit: NewAuditEntry): Promise<void> {
  const [head] = await run<Head>({ text: LOCK_HEAD });
  if (head === undefined)
    throw new Error("posthorn.audit_head has no row; restore the database from a backup.");
  const entry = nextAuditColumns(audit, head, head.nowMs);
  await run({ text: APPEND }, [
    entry.number,
    entry.id,
    entry.atMs,
    entry.actor,
    entry.action,
    entry.target,
    entry.appId,
    entry.before,
    entry.after,
    entry.address,
    entry.requestId,
    entry.previousHash,
    entry.hash,
  ]);
}

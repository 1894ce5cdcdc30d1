/** An entry of the audit log as both stores keep it: what has a structure is JSON text. */
import type { AppId, AuditId } from "../base/ids.ts";
import { type AuditEntry, auditHash, FIRST_HASH, type NewAuditEntry } from "../domain/audit.ts";

export interface AuditColumns {
  readonly number: number;
  readonly id: AuditId;
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly appId: AppId | null;
  readonly before: string | null;
  readonly after: string | null;
  readonly address: string | null;
  readonly requestId: string | null;
  readonly previousHash: string;
  readonly hash: string;
}

/** The last entry of the log; undefined: it is empty. */
export type LastAudit = Pick<AuditEntry, "number" | "hash"> | undefined;

/** The next entry of the log. Its hash is made from what will be read back, not from what was given. */
export function nextAuditColumns(entry: NewAuditEntry, last: LastAudit, atMs: number): AuditColumns {
  const { id, actor, action, target, appId, before, after, address, requestId } = entry;
  const columns = {
    number: (last?.number ?? 0) + 1,
    id,
    atMs,
    actor: JSON.stringify(actor),
    // As text, where half of a surrogate pair is none. JSON has it in ASCII.
    action: action.toWellFormed(),
    target: JSON.stringify(target),
    appId,
    before: before === null ? null : JSON.stringify(before),
    after: after === null ? null : JSON.stringify(after),
    address: address?.toWellFormed() ?? null,
    requestId: requestId?.toWellFormed() ?? null,
    previousHash: last?.hash ?? FIRST_HASH,
    hash: "",
  };
  const { hash: _, ...content } = auditEntryOf(columns);
  return { ...columns, hash: auditHash(content) };
}

export function auditEntryOf(columns: AuditColumns): AuditEntry {
  const { actor, target, before, after } = columns;
  return {
    ...columns,
    actor: JSON.parse(actor),
    target: JSON.parse(target),
    before: before === null ? null : JSON.parse(before),
    after: after === null ? null : JSON.parse(after),
  };
}

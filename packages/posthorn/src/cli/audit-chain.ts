/** Verifies the audit log from outside: the chain is computed anew from what the server shows, and nothing of it is believed. */
import { type Actor, type AuditEntry, type AuditFault, auditFault } from "../domain/audit.ts";
import type { Page } from "./client/list.ts";

/** An entry as the API shows it. */
export interface ShownEntry extends Omit<AuditEntry, "atMs" | "actor"> {
  readonly actor: Actor;
  /** ISO 8601 with milliseconds. */
  readonly at: string;
}

export interface Chain {
  readonly entries: number;
  /** null: the log is empty. */
  readonly head: Pick<AuditEntry, "number" | "hash"> | null;
  /** The first entry that is not as it was written; the chain was not followed any further. */
  readonly fault: AuditFault | null;
  /** Whether an entry has the hash that was noted earlier. */
  readonly noted: boolean;
}

/**
 * Follows the chain from its first entry to its last.
 * @param readPage a page of the log, oldest first
 * @param notedHash the head of an earlier time
 */
export async function followChain(
  readPage: (cursor: string | undefined) => Promise<Page<ShownEntry>>,
  notedHash?: string,
): Promise<Chain> {
  let head: Chain["head"] = null;
  let noted = false;
  let cursor: string | undefined;
  for (;;) {
    const { data, nextCursor } = await readPage(cursor);
    for (const shown of data) {
      const fault = auditFault(head, entryOf(shown));
      if (fault !== null) return { entries: head?.number ?? 0, head, fault, noted };
      head = { number: shown.number, hash: shown.hash };
      noted ||= shown.hash === notedHash;
    }
    if (nextCursor === null) return { entries: head?.number ?? 0, head, fault: null, noted };
    cursor = nextCursor;
  }
}

/** The fields that are hashed, and no other: a newer server may show more. */
function entryOf(shown: ShownEntry): AuditEntry {
  const { id, number, at, actor, action, target, appId, before, after, address, requestId } = shown;
  const { previousHash, hash } = shown;
  const atMs = Date.parse(at);
  return {
    id,
    number,
    atMs,
    actor,
    action,
    target,
    appId,
    before,
    after,
    address,
    requestId,
    previousHash,
    hash,
  };
}

/** Appends to the audit log, in the transaction of what it tells about. */
import type { NewAuditEntry } from "../../../domain/audit.ts";
import { type LastAudit, nextAuditColumns } from "../../audit-columns.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";

export class AuditLog {
  #writing: Writing;
  #last: Query<NonNullable<LastAudit>>;
  #insert: Statement;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#last = query(
      db,
      "SELECT number, hash FROM audit_log WHERE number = (SELECT max(number) FROM audit_log)",
    );
    this.#insert = statement(
      db,
      `INSERT INTO audit_log (number, id, at_ms, actor, action, target, app_id, before, after, address, request_id,
        previous_hash, hash)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
  }

  append(entry: NewAuditEntry): void {
    const columns = nextAuditColumns(entry, this.#last.get(), this.#writing.nowMs);
    this.#insert.run(
      columns.number,
      columns.id,
      columns.atMs,
      columns.actor,
      columns.action,
      columns.target,
      columns.appId,
      columns.before,
      columns.after,
      columns.address,
      columns.requestId,
      columns.previousHash,
      columns.hash,
    );
  }
}

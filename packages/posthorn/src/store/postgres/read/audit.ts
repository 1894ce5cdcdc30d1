/** The audit log. Its order is that of the chain: a cursor is the number of the page's last entry. */
import type { AuditEntry } from "../../../domain/audit.ts";
import { type AuditColumns, auditEntryOf } from "../../audit-columns.ts";
import type { ListQuery, Page } from "../../store.ts";
import type { Context } from "../context.ts";
import { pageOf, strangeCursor } from "./page.ts";
import { Values } from "./values.ts";

const COLUMNS = `l.number, l.id, l.at_ms AS "atMs", l.actor, l.action, l.target, l.app_id AS "appId", l.before, l.after, l.address,
  l.request_id AS "requestId", l.previous_hash AS "previousHash", l.hash`;
const AUDIT_BY_ID = {
  name: "read_audit_by_id",
  text: `SELECT ${COLUMNS} FROM posthorn.audit_log l WHERE l.id = $1`,
};

export async function findAudit({ connections }: Context, id: string): Promise<AuditEntry | undefined> {
  const [row] = await connections.runSafely<AuditColumns>("read", AUDIT_BY_ID, [id]);
  return row === undefined ? undefined : auditEntryOf(row);
}

export async function listAudit(
  { connections }: Context,
  { limit, cursor, appId, sinceMs, untilMs, oldestFirst = false }: ListQuery,
): Promise<Page<AuditEntry>> {
  if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) throw strangeCursor(cursor);
  const [beyond, direction] = oldestFirst ? [">", "ASC"] : ["<", "DESC"];
  const values = new Values();
  const conditions: readonly (readonly [left: string, right: unknown])[] = [
    [`l.number ${beyond}`, cursor],
    ["l.app_id =", appId],
    ["l.at_ms >=", sinceMs],
    ["l.at_ms <", untilMs],
  ];
  const given = conditions.filter(([, right]) => right !== undefined);
  const where = ["true", ...given.map(([left, right]) => `${left} ${values.add(right)}`)].join(" AND ");
  const text = `SELECT ${COLUMNS} FROM posthorn.audit_log l WHERE ${where}
    ORDER BY l.number ${direction} LIMIT ${values.add(limit + 1)}`;
  const rows = await connections.runSafely<AuditColumns>("read", { text }, values.list);
  return pageOf(rows, limit, ({ number }) => String(number), auditEntryOf);
}

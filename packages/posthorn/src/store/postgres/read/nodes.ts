/** Nodes: the starts that are alive, and those that ended within the last day. */
import type { IncarnationId } from "../../../base/ids.ts";
import type { Node, NodeRole } from "../../../domain/node.ts";
import type { ListQuery, Page } from "../../store.ts";
import type { Context } from "../context.ts";
import { checkedCursor, pageOf } from "./page.ts";
import { Values } from "./values.ts";

const SHOWN_AFTER_END_MS = 86_400_000;

interface NodeRow {
  readonly id: IncarnationId;
  readonly name: string;
  readonly version: string;
  readonly roles: NodeRole[];
  readonly startedAtMs: number;
  readonly beatAgoMs: number;
  readonly ended: "retired" | "silent" | null;
  readonly leased: number;
  readonly ownedLanes: number;
  readonly lagMs: number | null;
}
const NODE = `SELECT i.id, i.name, i.version, i.roles, i.started_at_ms AS "startedAtMs", i.ended,
    greatest(0, posthorn.now_ms() - i.beat_at_ms) AS "beatAgoMs", held.leased, held."lagMs",
    (SELECT count(*) FROM posthorn.lanes l WHERE l.owner = i.number) AS "ownedLanes"
  FROM posthorn.incarnations i CROSS JOIN LATERAL (
    SELECT count(*) AS leased,
      CASE WHEN count(*) > 0 THEN greatest(0, posthorn.now_ms() - min(d.due_at_ms)) END AS "lagMs"
    FROM posthorn.deliveries d WHERE d.leased_by = i.number
  ) held`;

export async function findNode({ connections, settings }: Context, id: string): Promise<Node | undefined> {
  const [row] = await connections.runSafely<NodeRow>("read", { text: `${NODE} WHERE i.id = $1` }, [id]);
  return row === undefined ? undefined : nodeOf(row, settings.deadAfterMs);
}

export async function listNodes(
  { connections, settings }: Context,
  { limit, cursor, oldestFirst = false }: ListQuery,
): Promise<Page<Node>> {
  const values = new Values();
  const [beyond, direction] = oldestFirst ? [">", "ASC"] : ["<", "DESC"];
  const after = cursor === undefined ? "" : `AND i.id ${beyond} ${values.add(checkedCursor("inc", cursor))}`;
  const text = `${NODE}
    WHERE (i.voided_at_ms IS NULL OR i.voided_at_ms > posthorn.now_ms() - ${SHOWN_AFTER_END_MS}) ${after}
    ORDER BY i.id ${direction} LIMIT ${values.add(limit + 1)}`;
  const rows = await connections.runSafely<NodeRow>("read", { text }, values.list);
  return pageOf(
    rows,
    limit,
    ({ id }) => id,
    (row) => nodeOf(row, settings.deadAfterMs),
  );
}

function nodeOf({ ended, ...row }: NodeRow, deadAfterMs: number): Node {
  return { ...row, state: ended ?? (row.beatAgoMs > deadAfterMs ? "silent" : "alive") };
}

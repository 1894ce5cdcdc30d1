/** Events published inside users' own transactions: those that wait for a node, and those that one has refused. */
import type { StoredPublication } from "../../../domain/publication.ts";
import type { ListQuery, Page } from "../../store.ts";
import type { Context } from "../context.ts";
import { checkedCursor, pageOf } from "./page.ts";
import { PUBLICATION_COLUMNS, type PublicationRow, publicationOf } from "./rows.ts";
import { Values } from "./values.ts";

const DATA_BYTES_MAX = 8 * 1024 * 1024;

/** The first one always, whatever it weighs. */
const WAITING = {
  name: "read_publications",
  text: `SELECT ${PUBLICATION_COLUMNS} FROM (
      SELECT number, sum(length(data)) OVER (ORDER BY number) - length(data) AS bytes_before
      FROM (SELECT number, data FROM posthorn.publications WHERE refused_at_ms IS NULL ORDER BY number LIMIT $1) waiting
    ) w CROSS JOIN LATERAL (
      SELECT * FROM posthorn.publications WHERE number = w.number AND refused_at_ms IS NULL
    ) b WHERE w.bytes_before < ${DATA_BYTES_MAX} ORDER BY w.number`,
};

export async function publications(
  { connections }: Context,
  limit: number,
): Promise<readonly StoredPublication[]> {
  return (await connections.runSafely<PublicationRow>("read", WAITING, [limit])).map(publicationOf);
}

/** Waiting or refused. The waiting ones have no index by id: they are few. */
export async function findPublication(
  { connections }: Context,
  id: string,
): Promise<StoredPublication | undefined> {
  const text = ["IS NULL", "IS NOT NULL"]
    .map(
      (refused) =>
        `SELECT ${PUBLICATION_COLUMNS} FROM posthorn.publications b WHERE b.refused_at_ms ${refused} AND b.id = $1`,
    )
    .join(" UNION ALL ");
  const [row] = await connections.runSafely<PublicationRow>("read", { text }, [id]);
  return row === undefined ? undefined : publicationOf(row);
}

/** The refused ones. */
export async function listPublications(
  { connections }: Context,
  { limit, cursor, appId, oldestFirst = false }: ListQuery,
): Promise<Page<StoredPublication>> {
  const values = new Values();
  const [beyond, direction] = oldestFirst ? [">", "ASC"] : ["<", "DESC"];
  const conditions = [
    "b.refused_at_ms IS NOT NULL",
    ...(cursor === undefined ? [] : [`b.id ${beyond} ${values.add(checkedCursor("pub", cursor))}`]),
    ...(appId === undefined ? [] : [`b.app_id = ${values.add(appId)}`]),
  ];
  const text = `SELECT ${PUBLICATION_COLUMNS} FROM posthorn.publications b WHERE ${conditions.join(" AND ")}
    ORDER BY b.id ${direction} LIMIT ${values.add(limit + 1)}`;
  const rows = await connections.runSafely<PublicationRow>("read", { text }, values.list);
  return pageOf(rows, limit, ({ id }) => id, publicationOf);
}

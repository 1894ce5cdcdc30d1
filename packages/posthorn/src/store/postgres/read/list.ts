/** Pages of everything. What is small in number is read as it stands; events and deliveries have files of their own. */
import { PosthornError, unreachable } from "../../../base/errors.ts";
import { type IdKind, isId } from "../../../base/ids.ts";
import type { ListQuery, Page, ResourceKind, Resources, StoredSession } from "../../store.ts";
import type { Context } from "../context.ts";
import { textArray } from "../literal.ts";
import { listAudit } from "./audit.ts";
import { WHOLE_COLUMNS, type WholeRow, WITH_LANE, wholeOf } from "./endpoints.ts";
import { ATTEMPTS, placeOf } from "./find.ts";
import { listDeliveries } from "./list-deliveries.ts";
import { listEvents } from "./list-events.ts";
import { listNodes } from "./nodes.ts";
import { checkedCursor, EMPTY_PAGE, pageOf, strangeCursor } from "./page.ts";
import { listPublications } from "./publications.ts";
import {
  APP_COLUMNS,
  type AppRow,
  type AttemptRow,
  appOf,
  attemptOf,
  EVENT_TYPE_COLUMNS,
  type EventTypeRow,
  eventTypeOf,
  IS_LIVING_KEY,
  KEY_COLUMNS,
  type KeyRow,
  keyOf,
  REPLAY_COLUMNS,
  type ReplayRow,
  replayOf,
  SESSION_COLUMNS,
} from "./rows.ts";
import { isStorable } from "./text.ts";
import { Values } from "./values.ts";

export async function list<Kind extends ResourceKind>(
  context: Context,
  kind: Kind,
  query: ListQuery,
): Promise<Page<Resources[Kind]>> {
  return (await listAny(context, kind, query)) as Page<Resources[Kind]>;
}

async function listAny(
  context: Context,
  kind: ResourceKind,
  query: ListQuery,
): Promise<Page<Resources[ResourceKind]>> {
  const { appId, endpointId, eventId, deliveryId, states, eventType } = query;
  const asked = [appId, endpointId, eventId, deliveryId, eventType, ...(states ?? [])];
  if (asked.some((text) => text !== undefined && !isStorable(text))) return EMPTY_PAGE;
  switch (kind) {
    case "app":
      return byId<AppRow, Resources["app"]>(context, query, {
        kind: "app",
        column: "a.id",
        text: `SELECT ${APP_COLUMNS} FROM posthorn.apps a WHERE a.removed_at_ms IS NULL`,
        conditions: [],
        map: appOf,
      });
    case "endpoint":
      return byId<WholeRow, Resources["endpoint"]>(context, query, {
        kind: "ep",
        column: "p.id",
        text: `SELECT ${WHOLE_COLUMNS} FROM posthorn.endpoints p ${WITH_LANE} WHERE p.removed_at_ms IS NULL${
          query.unverified === true ? " AND p.unverified_at_ms IS NOT NULL" : ""
        }`,
        conditions: [["p.app_id =", appId]],
        map: wholeOf,
      });
    case "event_type":
      return eventTypes(context, query);
    case "key":
      return byId<KeyRow, Resources["key"]>(context, query, {
        kind: "key",
        column: "k.id",
        text: `SELECT ${KEY_COLUMNS} FROM posthorn.keys k WHERE ${IS_LIVING_KEY}`,
        conditions: [["k.app_id =", appId]],
        map: keyOf,
      });
    case "session":
      return byId<StoredSession, StoredSession>(context, query, {
        kind: "ses",
        column: "s.id",
        text: `SELECT ${SESSION_COLUMNS} FROM posthorn.sessions s WHERE s.expires_at_ms > posthorn.now_ms()`,
        conditions: [],
        map: (session) => session,
      });
    case "audit":
      return listAudit(context, query);
    case "event":
      return listEvents(context, query);
    case "delivery":
      return listDeliveries(context, query);
    case "attempt":
      return attempts(context, query);
    case "replay":
      return byId<ReplayRow, Resources["replay"]>(context, query, {
        kind: "rpl",
        column: "r.id",
        text: `SELECT ${REPLAY_COLUMNS} FROM posthorn.replays r WHERE true`,
        conditions: [
          ["r.app_id =", appId],
          ["r.endpoint_id =", endpointId],
          ["r.state = ANY", states?.length ? textArray(states) : undefined],
        ],
        map: replayOf,
      });
    case "node":
      return listNodes(context, query);
    case "publication":
      return listPublications(context, query);
    default:
      return unreachable(kind, "resource kind");
  }
}

interface ById<Row, Thing> {
  readonly kind: IdKind;
  readonly column: string;
  /** Up to its conditions. */
  readonly text: string;
  /** Left side and operator of each, and the right side; undefined: not asked for. */
  readonly conditions: readonly (readonly [left: string, right: string | undefined])[];
  map(row: Row): Thing;
}

async function byId<Row extends object, Thing>(
  { connections }: Context,
  { limit, cursor, oldestFirst = false }: ListQuery,
  { kind, column, text, conditions, map }: ById<Row, Thing>,
): Promise<Page<Thing>> {
  const values = new Values();
  const [beyond, direction] = oldestFirst ? [">", "ASC"] : ["<", "DESC"];
  const position = cursor === undefined ? undefined : checkedCursor(kind, cursor);
  const given = [...conditions, [`${column} ${beyond}`, position] as const].filter(
    ([, right]) => right !== undefined,
  );
  const where = given.map(([left, right]) => ` AND ${left} (${values.add(right)})`).join("");
  const rows = await connections.runSafely<Row & { readonly pageId: string }>(
    "read",
    {
      text: `${text.replace("SELECT ", `SELECT ${column} AS "pageId", `)}${where}
        ORDER BY ${column} ${direction} LIMIT ${values.add(limit + 1)}`,
    },
    values.list,
  );
  return pageOf(
    rows,
    limit,
    ({ pageId }) => pageId,
    ({ pageId: _, ...row }) => map(row as unknown as Row),
  );
}

const EVENT_TYPES = {
  name: "read_event_types",
  text: `SELECT ${EVENT_TYPE_COLUMNS} FROM posthorn.event_types t WHERE t.name > $1 ORDER BY t.name LIMIT $2`,
};

/** The first first; a cursor is a name. */
async function eventTypes(
  { connections }: Context,
  { cursor = "", limit }: ListQuery,
): Promise<Page<Resources["event_type"]>> {
  if (!isStorable(cursor)) throw strangeCursor(cursor);
  const rows = await connections.runSafely<EventTypeRow>("read", EVENT_TYPES, [cursor, limit + 1]);
  return pageOf(rows, limit, ({ name }) => name, eventTypeOf);
}

/** The first first; a cursor is a number. */
async function attempts(
  context: Context,
  { deliveryId, cursor = "0", limit }: ListQuery,
): Promise<Page<Resources["attempt"]>> {
  if (deliveryId === undefined) {
    throw new PosthornError("missing_field", "Attempts are listed by their delivery.", {
      pointer: "/deliveryId",
    });
  }
  if (!/^\d{1,9}$/.test(cursor)) throw strangeCursor(cursor);
  if (!isId("dlv", deliveryId)) return EMPTY_PAGE;
  const rows = await context.connections.runSafely<AttemptRow>(
    "read",
    { text: `${ATTEMPTS} AND t.number > $4 ORDER BY t.number LIMIT $5` },
    [...placeOf(context, deliveryId), Number(cursor), limit + 1],
  );
  return pageOf(rows, limit, ({ number }) => String(number), attemptOf);
}

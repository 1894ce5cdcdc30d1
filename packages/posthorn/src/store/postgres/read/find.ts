/** One thing, by its reference. What has not the form of an id has not one that could be found. */
import { unreachable } from "../../../base/errors.ts";
import { type AppId, isId, locatorOf } from "../../../base/ids.ts";
import type { Reference, ResourceKind, Resources, StoredEvent, StoredSession } from "../../store.ts";
import type { Context } from "../context.ts";
import { daysOfId } from "../day.ts";
import { plainArray } from "../literal.ts";
import { findAudit } from "./audit.ts";
import { findEndpoint } from "./endpoints.ts";
import { findNode } from "./nodes.ts";
import { findPublication } from "./publications.ts";
import {
  APP_COLUMNS,
  type AppRow,
  ATTEMPT_COLUMNS,
  type AttemptRow,
  appOf,
  attemptOf,
  type DeliveryRow,
  deliveryOf,
  EVENT_COLUMNS,
  EVENT_TYPE_COLUMNS,
  type EventRow,
  type EventTypeRow,
  eventOf,
  eventTypeOf,
  FAN_OUT_PENDING,
  FINAL_COLUMNS,
  IS_LIVING_KEY,
  KEY_COLUMNS,
  type KeyRow,
  keyOf,
  PAYLOAD,
  PENDING_COLUMNS,
  REPLAY_COLUMNS,
  type ReplayRow,
  replayOf,
  SESSION_COLUMNS,
} from "./rows.ts";
import { isStorable } from "./text.ts";

const APP = `SELECT ${APP_COLUMNS} FROM posthorn.apps a WHERE a.removed_at_ms IS NULL`;
const APP_BY_ID = { name: "read_app_by_id", text: `${APP} AND a.id = $1` };
const APP_BY_UID = { name: "read_app_by_uid", text: `${APP} AND a.uid = $1` };
const EVENT_TYPE = {
  name: "read_event_type",
  text: `SELECT ${EVENT_TYPE_COLUMNS} FROM posthorn.event_types t WHERE t.name = $1`,
};
const KEY = `SELECT ${KEY_COLUMNS} FROM posthorn.keys k WHERE ${IS_LIVING_KEY}`;
const KEY_BY_ID = { name: "read_key_by_id", text: `${KEY} AND k.id = $1` };
const KEY_BY_HASH = { name: "read_key_by_hash", text: `${KEY} AND k.hash = $1` };
// One that has ended is not there, pruned or not.
const SESSION = `SELECT ${SESSION_COLUMNS} FROM posthorn.sessions s WHERE s.expires_at_ms > posthorn.now_ms()`;
const SESSION_BY_ID = { name: "read_session_by_id", text: `${SESSION} AND s.id = $1` };
const SESSION_BY_HASH = { name: "read_session_by_hash", text: `${SESSION} AND s.hash = $1` };
const REPLAY = {
  name: "read_replay",
  text: `SELECT ${REPLAY_COLUMNS} FROM posthorn.replays r WHERE r.id = $1`,
};
// Without names: planned with their values, these look at the partitions of a day alone. Its days are a list and no range:
// behind a range, PostgreSQL before 18 walks through all ids of the locator. The app in the statement, and not after it: how
// long a foreign payload takes to read must not tell that it is there.
const EVENT = {
  text: `SELECT ${EVENT_COLUMNS}, ${FAN_OUT_PENDING}, ${PAYLOAD} FROM posthorn.events e
    WHERE e.locator = $1 AND e.day = ANY ($2::date[]) AND e.id = $3 AND e.app_id = coalesce($4, e.app_id)`,
};
/** From either table, in one statement: one that ends meanwhile is seen in one of them. */
const DELIVERY_ROW = (pending: string, final: string): string => `
  SELECT ${pending} FROM posthorn.deliveries d WHERE d.locator = $1 AND d.id = $3
  UNION ALL SELECT ${final} FROM posthorn.delivery_history d WHERE d.locator = $1 AND d.day = ANY ($2::date[]) AND d.id = $3`;
const DELIVERY = {
  text: `SELECT d.*, p.app_id AS "appId" FROM (${DELIVERY_ROW(PENDING_COLUMNS, FINAL_COLUMNS)}) d
    JOIN posthorn.endpoints p ON p.id = d."endpointId"`,
};
const ATTEMPT_OWNER = "d.endpoint_id, d.event_id";
/** $1 to $3 name the delivery. */
export const ATTEMPTS = `SELECT ${ATTEMPT_COLUMNS}, d.endpoint_id AS "endpointId", d.event_id AS "eventId", p.app_id AS "appId"
  FROM (${DELIVERY_ROW(ATTEMPT_OWNER, ATTEMPT_OWNER)}) d JOIN posthorn.endpoints p ON p.id = d.endpoint_id
    CROSS JOIN posthorn.attempts t
  WHERE t.locator = $1 AND t.day = ANY ($2::date[]) AND t.delivery_id = $3`;

/** With `appId`, only what belongs to that app. */
export async function find<Kind extends ResourceKind>(
  context: Context,
  kind: Kind,
  reference: Reference,
): Promise<Resources[Kind] | undefined> {
  const found = await findAny(context, kind, reference);
  const foreign =
    found !== undefined &&
    reference.appId !== undefined &&
    "appId" in found &&
    found.appId !== reference.appId;
  return foreign ? undefined : (found as Resources[Kind] | undefined);
}

async function findAny(
  context: Context,
  kind: ResourceKind,
  { id = "", hash, appId, deliveryId }: Reference,
): Promise<Resources[ResourceKind] | undefined> {
  const { connections } = context;
  if (![id, appId ?? ""].every(isStorable)) return undefined;
  const first = async <Row>(
    statement: { name?: string; text: string },
    values: unknown[],
  ): Promise<Row | undefined> => (await connections.runSafely<Row>("read", statement, values))[0];
  switch (kind) {
    case "app":
      return mapped(await first<AppRow>(isId("app", id) ? APP_BY_ID : APP_BY_UID, [id]), appOf);
    case "endpoint":
      return findEndpoint(context, id, appId);
    case "event_type":
      return mapped(await first<EventTypeRow>(EVENT_TYPE, [id]), eventTypeOf);
    case "key":
      return mapped(
        await (hash === undefined ? first<KeyRow>(KEY_BY_ID, [id]) : first<KeyRow>(KEY_BY_HASH, [hash])),
        keyOf,
      );
    case "session":
      return hash === undefined
        ? first<StoredSession>(SESSION_BY_ID, [id])
        : first<StoredSession>(SESSION_BY_HASH, [hash]);
    case "audit":
      return findAudit(context, id);
    case "event":
      return isId("evt", id) ? findEvent(context, id, appId) : undefined;
    case "delivery":
      if (!isId("dlv", id)) return undefined;
      return mapped(await first<DeliveryRow>(DELIVERY, placeOf(context, id)), deliveryOf);
    case "attempt":
      if (!isId("dlv", deliveryId)) return undefined;
      return mapped(
        await first<AttemptRow>({ text: `${ATTEMPTS} AND t.id = $4` }, [...placeOf(context, deliveryId), id]),
        attemptOf,
      );
    case "replay":
      return mapped(await first<ReplayRow>(REPLAY, [id]), replayOf);
    case "node":
      return findNode(context, id);
    case "publication":
      return findPublication(context, id);
    default:
      return unreachable(kind, "resource kind");
  }
}

async function findEvent(context: Context, id: string, appId?: AppId): Promise<StoredEvent | undefined> {
  const [row] = await context.connections.runSafely<EventRow & { readonly payload: Uint8Array | null }>(
    "read",
    EVENT,
    [...placeOf(context, id), appId ?? null],
  );
  if (row === undefined) return undefined;
  const { payload, ...event } = row;
  return eventOf(event, payload);
}

/** The values that name a row of what lies by locator and day. */
export function placeOf({ connections }: Context, id: string): [locator: number, days: string, id: string] {
  return [locatorOf(id), plainArray(daysOfId(id, connections.advancedMs)), id];
}

function mapped<Row, Thing>(row: Row | undefined, map: (row: Row) => Thing): Thing | undefined {
  return row === undefined ? undefined : map(row);
}

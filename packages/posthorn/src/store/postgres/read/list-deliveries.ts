/** Pages of deliveries, unfinished and finished as one list in the order of their making. */
import { type EventId, isId } from "../../../base/ids.ts";
import type { Delivery } from "../../../domain/delivery.ts";
import type { ListQuery, Page } from "../../store.ts";
import type { Context } from "../context.ts";
import { textArray } from "../literal.ts";
import { type EventPlaces, nextOfApp, nextOfEndpoint, nextOfEvent, type Wanted } from "./delivery-places.ts";
import { placeOf } from "./find.ts";
import { checkedCursor, EMPTY_PAGE } from "./page.ts";
import { type DeliveryRow, deliveryOf, FINAL_COLUMNS, PENDING_COLUMNS } from "./rows.ts";
import { boundsOf, type Days, daysOf, numberOfDay, stretchOf, windowsOf } from "./stretch.ts";
import { type Span, timeline } from "./timeline.ts";
import type { Values } from "./values.ts";
import { type Walk, walk } from "./walk.ts";

/** So many waiting ones are looked through one by one. */
const FEW = 2000;

type Next = Walk<DeliveryRow, Delivery>["next"];

export async function listDeliveries(context: Context, query: ListQuery): Promise<Page<Delivery>> {
  const { appId, endpointId, eventId } = query;
  if (appId !== undefined && !isId("app", appId)) return EMPTY_PAGE;
  if (endpointId !== undefined && !isId("ep", endpointId)) return EMPTY_PAGE;
  if (eventId !== undefined && !isId("evt", eventId)) return EMPTY_PAGE;
  const wanted = wantedOf(query.states);
  if (eventId !== undefined) return ofEvent(context, query, eventId, wanted);
  if (endpointId !== undefined) {
    const few = wanted.pending && (await hasFewWaiting(context, endpointId));
    return walkThrough(context, query, wanted, nextOfEndpoint(query, endpointId, wanted, few));
  }
  if (appId !== undefined) return walkThrough(context, query, wanted, nextOfApp(query, appId, wanted));
  return ofEverybody(context, query, wanted);
}

async function walkThrough(context: Context, query: ListQuery, wanted: Wanted, next: Next) {
  // The queue alone has no partitions, and is walked as a whole.
  const days = wanted.finished ? await daysOf(context, "delivery_history") : EVER;
  if (days === undefined) return EMPTY_PAGE;
  const windows = wanted.finished ? windowsOf(days, query.oldestFirst ?? false) : [days];
  return walkOf(context, query, windows, next);
}

/** Before and after every day on which something can be made. */
const EVER: Days = { first: 0, last: 99_999 };

function walkOf(context: Context, query: ListQuery, windows: Iterable<Days>, next: Next) {
  if (query.cursor !== undefined) checkedCursor("dlv", query.cursor);
  return walk<DeliveryRow, Delivery>(context, query, {
    boundsAt: (cursor) => boundsOf(context, "dlv", query, cursor),
    parts: partsOf(context, windows),
    next,
    fitting: (values) =>
      `SELECT x.*, p.app_id AS "appId" FROM looked x JOIN posthorn.endpoints p ON p.id = x."endpointId" WHERE ${filterOf(query, values)}`,
    map: deliveryOf,
  });
}

function* partsOf(context: Context, windows: Iterable<Days>): Walk<DeliveryRow, Delivery>["parts"] {
  for (const days of windows) yield (bounds) => stretchOf(context, "dlv", days, bounds);
}

function filterOf(
  { appId, endpointId, states, eventType, sinceMs, untilMs }: ListQuery,
  values: Values,
): string {
  const conditions: readonly (readonly [left: string, right: unknown])[] = [
    ["p.app_id =", appId],
    [`x."endpointId" =`, endpointId],
    ["x.state = ANY", states?.length ? textArray(states) : undefined],
    [`x."eventType" =`, eventType],
    [`x."createdAtMs" >=`, sinceMs],
    [`x."createdAtMs" <`, untilMs],
  ];
  const given = conditions.filter(([, right]) => right !== undefined);
  return ["true", ...given.map(([left, right]) => `${left} (${values.add(right)})`)].join(" AND ");
}

function wantedOf(states: readonly string[] | undefined): Wanted {
  if (states === undefined || states.length === 0)
    return { pending: true, finished: true, failedOnly: false };
  const finished = states.some((state) => state !== "pending");
  return {
    pending: states.includes("pending"),
    finished,
    failedOnly: finished && !states.includes("delivered"),
  };
}

async function hasFewWaiting({ connections }: Context, endpointId: string): Promise<boolean> {
  const [row] = await connections.runSafely<{ count: number }>(
    "read",
    {
      name: "read_few_waiting",
      text: `SELECT count(*) AS count FROM (
        SELECT 1 FROM posthorn.deliveries WHERE endpoint_id = $1 AND leased_by IS NULL AND class >= 0
        ORDER BY class, due_at_ms, id LIMIT $2) waiting`,
    },
    [endpointId, FEW + 1],
  );
  return (row?.count ?? 0) <= FEW;
}

async function ofEvent(context: Context, query: ListQuery, eventId: EventId, wanted: Wanted) {
  const [event] = await context.connections.runSafely<Omit<EventPlaces, "id">>(
    "read",
    {
      text: `SELECT day, delivery_first AS first, delivery_last AS last FROM posthorn.events
        WHERE locator = $1 AND day = ANY ($2::date[]) AND id = $3`,
    },
    placeOf(context, eventId),
  );
  if (event === undefined) return EMPTY_PAGE;
  const days = { first: numberOfDay(event.day) - 1, last: EVER.last };
  return walkOf(context, query, [days], nextOfEvent(query, { id: eventId, ...event }, wanted));
}

function ofEverybody(context: Context, query: ListQuery, { pending, finished }: Wanted) {
  const { states, eventType } = query;
  return timeline<DeliveryRow, Delivery>(context, query, {
    kind: "dlv",
    table: "delivery_history",
    at: `"createdAtMs"`,
    atOf: ({ createdAtMs }) => createdAtMs,
    filtered: (states?.length ?? 0) > 0 || eventType !== undefined,
    rows: (values, span) => {
      const tables = [
        ...(pending
          ? [`SELECT ${PENDING_COLUMNS} FROM posthorn.deliveries d WHERE ${during(values, span)}`]
          : []),
        ...(finished
          ? [
              `SELECT ${FINAL_COLUMNS} FROM posthorn.delivery_history d
              WHERE ${during(values, span)} AND d.day BETWEEN ${values.add(span.first)} AND ${values.add(span.last)}`,
            ]
          : []),
      ];
      return `SELECT x.*, p.app_id AS "appId" FROM (${tables.join(" UNION ALL ")}) x
        JOIN posthorn.endpoints p ON p.id = x."endpointId" WHERE ${filterOf(query, values)}`;
    },
    map: deliveryOf,
  });
}

function during(values: Values, { fromMs, toMs }: Span): string {
  return `d.created_at_ms >= ${values.add(fromMs)} AND d.created_at_ms < ${values.add(toMs)}`;
}

/** Pages of events. */
import { isId, locatorOf } from "../../../base/ids.ts";
import type { ListQuery, Page, StoredEvent } from "../../store.ts";
import type { Context } from "../context.ts";
import type { Day } from "../day.ts";
import { plainArray } from "../literal.ts";
import { find } from "./find.ts";
import { checkedCursor, EMPTY_PAGE } from "./page.ts";
import { EVENT_COLUMNS, type EventRow, eventOf, FAN_OUT_PENDING, PAYLOAD } from "./rows.ts";
import { boundsOf, byDayAndId, daysOf, stretchOf, windowsOf } from "./stretch.ts";
import { timeline } from "./timeline.ts";
import type { Values } from "./values.ts";
import { type Walk, walk } from "./walk.ts";

/** Of a page; the first one always, whatever it weighs. */
const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024;

interface Listed extends EventRow {
  readonly day: Day;
}

export async function listEvents(context: Context, query: ListQuery): Promise<Page<StoredEvent>> {
  const { appId, eventId, payloads = false } = query;
  if (appId !== undefined && !isId("app", appId)) return EMPTY_PAGE;
  if (eventId !== undefined) return single(context, query);
  const page = appId === undefined ? await ofEverybody(context, query) : await ofApp(context, query, appId);
  return payloads
    ? withPayloads(context, query, page)
    : { ...page, data: page.data.map((row) => eventOfListed(row, null)) };
}

async function single(context: Context, query: ListQuery): Promise<Page<StoredEvent>> {
  const { appId, eventId = "", eventType, sinceMs = 0, untilMs = Number.POSITIVE_INFINITY, payloads } = query;
  const event = await find(context, "event", { id: eventId, ...(appId === undefined ? {} : { appId }) });
  if (
    event === undefined ||
    (eventType !== undefined && event.eventType !== eventType) ||
    event.acceptedAtMs < sinceMs ||
    event.acceptedAtMs >= untilMs
  )
    return EMPTY_PAGE;
  return { data: [payloads ? event : { ...event, payload: null }], nextCursor: null };
}

async function ofApp(context: Context, query: ListQuery, appId: string): Promise<Page<Listed>> {
  const { cursor: start, oldestFirst = false } = query;
  if (start !== undefined) checkedCursor("evt", start);
  const days = await daysOf(context, "events");
  if (days === undefined) return EMPTY_PAGE;
  const direction = oldestFirst ? "ASC" : "DESC";
  return walk<Listed, Listed>(context, query, {
    boundsAt: (cursor) => boundsOf(context, "evt", query, cursor),
    parts: partsOf(),
    next: (values, stretch, rowsMax) =>
      `SELECT ${EVENT_COLUMNS}, e.day FROM posthorn.events e
      WHERE e.locator = ${values.add(locatorOf(appId))} AND ${byDayAndId("e", values, stretch)}
      ORDER BY e.day ${direction}, e.id ${direction} LIMIT ${rowsMax}`,
    fitting: (values) =>
      `SELECT e.*, ${FAN_OUT_PENDING} FROM looked e
      WHERE ${filterOf(query, values)}`,
    map: (row) => row,
  });

  function* partsOf(): Walk<Listed, Listed>["parts"] {
    for (const window of windowsOf(days as NonNullable<typeof days>, oldestFirst)) {
      yield (bounds) => stretchOf(context, "evt", window, bounds);
    }
  }
}

function ofEverybody(context: Context, query: ListQuery): Promise<Page<Listed>> {
  return timeline<Listed, Listed>(context, query, {
    kind: "evt",
    table: "events",
    at: `"acceptedAtMs"`,
    atOf: ({ acceptedAtMs }) => acceptedAtMs,
    filtered: query.eventType !== undefined,
    rows: (values, { fromMs, toMs, first, last }) =>
      `SELECT ${EVENT_COLUMNS}, e.day, ${FAN_OUT_PENDING} FROM posthorn.events e
      WHERE e.accepted_at_ms >= ${values.add(fromMs)} AND e.accepted_at_ms < ${values.add(toMs)}
        AND e.day BETWEEN ${values.add(first)} AND ${values.add(last)}
        ${query.eventType === undefined ? "" : `AND e.event_type = ${values.add(query.eventType)}`}`,
    map: (row) => row,
  });
}

function filterOf({ appId, eventType, sinceMs, untilMs }: ListQuery, values: Values): string {
  const conditions: readonly (readonly [left: string, right: unknown])[] = [
    [`e."appId" =`, appId],
    [`e."eventType" =`, eventType],
    [`e."acceptedAtMs" >=`, sinceMs],
    [`e."acceptedAtMs" <`, untilMs],
  ];
  const given = conditions.filter(([, right]) => right !== undefined);
  return ["true", ...given.map(([left, right]) => `${left} ${values.add(right)}`)].join(" AND ");
}

const PAYLOADS = {
  text: `SELECT w.id, e.payload FROM unnest($1::integer[], $2::date[], $3::text[]) AS w (locator, day, id)
    CROSS JOIN LATERAL (
      SELECT ${PAYLOAD} FROM posthorn.events e
      WHERE e.locator = w.locator AND e.day = w.day AND e.id = w.id AND e.day BETWEEN $4 AND $5 LIMIT 1
    ) e`,
};

/** As many of the page as weigh no more than that: a payload may have 1 MiB. */
async function withPayloads(
  context: Context,
  { appId }: ListQuery,
  { data, nextCursor }: Page<Listed>,
): Promise<Page<StoredEvent>> {
  let bytes = 0;
  const shown = data.filter(({ expungedAtMs, payloadBytes }) => {
    const fits = bytes < PAYLOAD_BYTES_MAX;
    bytes += expungedAtMs === null ? payloadBytes : 0;
    return fits;
  });
  const last = shown.at(-1);
  if (last === undefined) return { data: [], nextCursor };
  const days = shown.map(({ day }) => day).sort();
  const rows = await context.connections.runSafely<{ id: string; payload: Uint8Array | null }>(
    "read",
    PAYLOADS,
    [
      plainArray(shown.map(({ id }) => locatorOf(id))),
      plainArray(shown.map(({ day }) => day)),
      plainArray(shown.map(({ id }) => id)),
      days[0],
      days.at(-1),
    ],
  );
  const payloads = new Map(rows.map(({ id, payload }) => [id, payload]));
  return {
    // One that was pruned meanwhile is left out.
    data: shown
      .filter(({ id }) => payloads.has(id))
      .map((row) => eventOfListed(row, payloads.get(row.id) ?? null)),
    nextCursor:
      shown.length === data.length
        ? nextCursor
        : appId === undefined
          ? `${last.acceptedAtMs}:${last.id}`
          : last.id,
  };
}

function eventOfListed({ day: _, ...row }: Listed, payload: Uint8Array | null): StoredEvent {
  return eventOf(row, payload);
}

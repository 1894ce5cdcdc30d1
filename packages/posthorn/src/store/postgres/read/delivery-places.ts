/**
 * Where deliveries stand, and which index gives them in the order of their ids. Each function answers how the next rows of
 * a stretch are queried: of each place so many, merged. That spares the hot path an index by app and one by event.
 */
import { type AppId, type EndpointId, type EventId, locatorOf } from "../../../base/ids.ts";
import type { ListQuery } from "../../store.ts";
import type { Day } from "../day.ts";
import { FINAL_COLUMNS, PENDING_COLUMNS } from "./rows.ts";
import { byDayAndId, type Stretch, within } from "./stretch.ts";
import type { Values } from "./values.ts";

export interface Wanted {
  readonly pending: boolean;
  readonly finished: boolean;
  /** No delivered ones: those that failed have an index of their own. */
  readonly failedOnly: boolean;
}

export interface EventPlaces {
  readonly id: EventId;
  readonly day: Day;
  /** The ids of those made with it; null: none were. */
  readonly first: string | null;
  readonly last: string | null;
}

type Next = (values: Values, stretch: Stretch, rowsMax: string) => string;
/** A query of one place, up to its order, and its order when that is not the ids alone. */
type Place = { readonly text: string; readonly byDay?: boolean };

export function nextOfApp({ oldestFirst }: ListQuery, appId: AppId, wanted: Wanted): Next {
  return (values, stretch, rowsMax) => {
    const places: Place[] = [];
    if (wanted.pending) places.push(waitingOfLocator(values, stretch, locatorOf(appId)));
    if (wanted.failedOnly) {
      const of = `p.app_id = ${values.add(appId)}`;
      places.push(finishedOfEndpoints(values, stretch, { of, failedOnly: true, oldestFirst, rowsMax }));
    } else if (wanted.finished) {
      places.push(finishedOfLocator(values, stretch, locatorOf(appId)));
    }
    return merged(places, oldestFirst, rowsMax);
  };
}

/** `few`: not many wait for it, so that they can be sorted; else it has a good part of its app's. */
export function nextOfEndpoint(
  { oldestFirst }: ListQuery,
  endpointId: EndpointId,
  wanted: Wanted,
  few: boolean,
): Next {
  return (values, stretch, rowsMax) => {
    const places: Place[] = [];
    if (wanted.pending && few) {
      for (const leased of ["IS NULL", "IS NOT NULL"]) {
        places.push({
          text: `SELECT ${PENDING_COLUMNS} FROM posthorn.deliveries d
            WHERE d.endpoint_id = ${values.add(endpointId)} AND d.leased_by ${leased} AND d.class >= 0 AND ${within("d", values, stretch)}`,
        });
      }
    } else if (wanted.pending) {
      places.push(waitingOfLocator(values, stretch, locatorOf(endpointId)));
    }
    if (wanted.finished) {
      const { failedOnly } = wanted;
      const of = `p.id = ${values.add(endpointId)}`;
      places.push(finishedOfEndpoints(values, stretch, { of, failedOnly, oldestFirst, rowsMax }));
    }
    return merged(places, oldestFirst, rowsMax);
  };
}

/** Those made with the event have a range of ids; those made later have an index. */
export function nextOfEvent({ oldestFirst }: ListQuery, event: EventPlaces, wanted: Wanted): Next {
  return (values, stretch, rowsMax) => {
    const id = values.add(event.id);
    const tables = [
      ...(wanted.pending ? [`SELECT ${PENDING_COLUMNS} FROM posthorn.deliveries d`] : []),
      ...(wanted.finished ? [`SELECT ${FINAL_COLUMNS} FROM posthorn.delivery_history d`] : []),
    ];
    const places = tables.flatMap((table): Place[] => {
      const later = `${table} WHERE d.event_id = ${id} AND d.later AND ${within("d", values, stretch)}`;
      if (event.first === null || event.last === null) return [{ text: later }];
      const range = `d.id BETWEEN ${values.add(event.first)} AND ${values.add(event.last)}`;
      // Midnight may lie between the ids.
      const day = `${values.add(event.day)}::date`;
      const days = `d.day = ANY (ARRAY[${day} - 1, ${day}, ${day} + 1])`;
      return [
        {
          text: `${table} WHERE d.locator = ${values.add(locatorOf(event.id))} AND ${range} AND ${days}
            AND d.event_id = ${id} AND NOT d.later AND ${within("d", values, stretch)}`,
        },
        { text: later },
      ];
    });
    return merged(places, oldestFirst, rowsMax);
  };
}

function waitingOfLocator(values: Values, stretch: Stretch, locator: number): Place {
  return {
    text: `SELECT ${PENDING_COLUMNS} FROM posthorn.deliveries d
      WHERE d.locator = ${values.add(locator)} AND ${within("d", values, stretch)}`,
  };
}

/** By the primary key, in which the day stands before the id. */
function finishedOfLocator(values: Values, stretch: Stretch, locator: number): Place {
  return {
    text: `SELECT ${FINAL_COLUMNS} FROM posthorn.delivery_history d
      WHERE d.locator = ${values.add(locator)} AND ${byDayAndId("d", values, stretch)}`,
    byDay: true,
  };
}

function finishedOfEndpoints(
  values: Values,
  stretch: Stretch,
  {
    of,
    failedOnly,
    oldestFirst,
    rowsMax,
  }: { of: string; failedOnly: boolean; oldestFirst: boolean | undefined; rowsMax: string },
): Place {
  return {
    text: `SELECT f.* FROM posthorn.endpoints p CROSS JOIN LATERAL (
        SELECT ${FINAL_COLUMNS} FROM posthorn.delivery_history d
        WHERE d.endpoint_id = p.id ${failedOnly ? "AND d.state <> 'delivered'" : ""} AND ${within("d", values, stretch)}
        ORDER BY d.id ${oldestFirst ? "ASC" : "DESC"} LIMIT ${rowsMax}
      ) f WHERE ${of}`,
  };
}

function merged(places: readonly Place[], oldestFirst: boolean | undefined, rowsMax: string): string {
  const direction = oldestFirst ? "ASC" : "DESC";
  const each = places.map(({ text, byDay = false }) => {
    const order = byDay ? `d.day ${direction}, id ${direction}` : `id ${direction}`;
    return `(${text} ORDER BY ${order} LIMIT ${rowsMax})`;
  });
  return `SELECT * FROM (${each.join(" UNION ALL ")}) places ORDER BY id ${direction} LIMIT ${rowsMax}`;
}

/**
 * Pages of deliveries, unfinished and finished as one list in the order of their making. Each place where they may stand
 * (an endpoint's waiting ones, its finished ones, ...) gives its next seqs from an index; merged, they make the page.
 * That spares the hot path an index by app and one by event.
 */
import type { SQLInputValue } from "node:sqlite";
import type { Delivery } from "../../../domain/delivery.ts";
import type { ListQuery, Page } from "../../store.ts";
import { beyond, EVERYTHING, firstSeqAt, type Range, type Reading, Statements } from "./reading.ts";
import { FINAL, type FinalRow, finalOf, PENDING, type PendingRow, pendingOf } from "./rows.ts";

/** So that a read stays short, a page may hold fewer rows than asked for: its cursor goes on from there. */
const LOOKED_AT_MAX = 5000;
/** Rows looked at together when a filter throws many away. */
const CHUNK_MIN = 100;

type Table = "deliveries" | "delivery_history";

interface Place {
  readonly table: Table;
  /** A query of seqs, up to its conditions. */
  readonly from: string;
  readonly values: readonly SQLInputValue[];
}

interface Wanted {
  readonly pending: boolean;
  readonly finished: boolean;
  /** No delivered ones: those that failed have an index of their own. */
  readonly failedOnly: boolean;
}

export class ListDeliveries {
  #statements: Statements;

  constructor({ db }: Reading) {
    this.#statements = new Statements(db);
  }

  run(query: ListQuery): Page<Delivery> {
    const { limit, oldestFirst = false } = query;
    const wanted = wantedOf(query.states);
    const places = this.#places(query, wanted);
    const windows = {
      deliveries: this.#window(query, "deliveries"),
      delivery_history: this.#window(query, "delivery_history"),
    };
    const data: Delivery[] = [];
    let cursor = query.cursor;
    for (let lookedAt = 0; lookedAt < LOOKED_AT_MAX; ) {
      const chunk = Math.max(CHUNK_MIN, limit + 1);
      const seqs = this.#next(places, windows, { cursor, oldestFirst, chunk });
      for (const { seq, table } of seqs) {
        if (data.length === limit) return { data, nextCursor: cursor ?? null };
        cursor = String(seq);
        lookedAt += 1;
        const delivery = this.#get(table, seq);
        if (delivery !== undefined && fits(delivery, query)) data.push(delivery);
      }
      if (seqs.length < chunk) return { data, nextCursor: null };
    }
    return { data, nextCursor: cursor ?? null };
  }

  /** The next `chunk` seqs of all places together. */
  #next(
    places: readonly Place[],
    windows: Record<Table, Range>,
    { cursor, oldestFirst, chunk }: { cursor: string | undefined; oldestFirst: boolean; chunk: number },
  ): { seq: number; table: Table }[] {
    const found: { seq: number; table: Table }[] = [];
    for (const { table, from, values } of places) {
      const { above, below } = beyond(windows[table], cursor, oldestFirst);
      const rows = this.#statements
        .query<{ seq: number }>(
          `${from} AND d.seq > ? AND d.seq < ? ORDER BY d.seq ${oldestFirst ? "ASC" : "DESC"} LIMIT ?`,
        )
        .all(...values, above, below, chunk);
      for (const { seq } of rows) found.push({ seq, table });
    }
    found.sort(oldestFirst ? (a, b) => a.seq - b.seq : (a, b) => b.seq - a.seq);
    return found.slice(0, chunk);
  }

  #places(query: ListQuery, wanted: Wanted): Place[] {
    const { appId, endpointId, eventId } = query;
    if (eventId !== undefined) return eventPlaces(eventId, wanted);
    if (appId === undefined && endpointId === undefined && !(wanted.failedOnly && !wanted.pending))
      return everywhere(wanted);
    const endpoints = this.#endpoints(appId, endpointId);
    const places = endpoints.flatMap((seq) => endpointPlaces(seq, wanted));
    if (!wanted.pending || endpoints.length === 0) return places;
    // Leased ones are few (10,000 a node), and have an index by holder only.
    const leased =
      "SELECT d.seq FROM deliveries d INDEXED BY deliveries_leased WHERE d.leased_by IS NOT NULL";
    if (endpointId !== undefined && endpoints[0] !== undefined) {
      places.push({ table: "deliveries", from: `${leased} AND d.endpoint_seq = ?`, values: [endpoints[0]] });
    } else if (appId !== undefined) {
      const ofApp = `${leased} AND d.app_seq = (SELECT seq FROM apps WHERE id = ?)`;
      places.push({ table: "deliveries", from: ofApp, values: [appId] });
    }
    return places;
  }

  /** Removed ones too: what was sent to them is still on record. */
  #endpoints(appId: string | undefined, endpointId: string | undefined): number[] {
    const conditions = [
      ...(appId === undefined ? [] : ["app_seq = (SELECT seq FROM apps WHERE id = ?)"]),
      ...(endpointId === undefined ? [] : ["id = ?"]),
    ];
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    return this.#statements
      .query<{ seq: number }>(`SELECT seq FROM endpoints ${where}`)
      .all(...[appId, endpointId].filter((value) => value !== undefined))
      .map(({ seq }) => seq);
  }

  #get(table: Table, seq: number): Delivery | undefined {
    if (table === "deliveries") {
      const row = this.#statements.query<PendingRow>(`${PENDING} WHERE d.seq = ?`).get(seq);
      return row === undefined ? undefined : pendingOf(row);
    }
    const row = this.#statements.query<FinalRow>(`${FINAL} WHERE d.seq = ?`).get(seq);
    return row === undefined ? undefined : finalOf(row);
  }

  #window({ sinceMs, untilMs }: ListQuery, table: Table): Range {
    const at = (ms: number): number => firstSeqAt(this.#statements, table, "created_at_ms", ms);
    return {
      above: sinceMs === undefined ? EVERYTHING.above : at(sinceMs) - 1,
      below: untilMs === undefined ? EVERYTHING.below : at(untilMs),
    };
  }
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

function everywhere({ pending, finished }: Wanted): Place[] {
  return [
    ...(pending
      ? [{ table: "deliveries", from: "SELECT d.seq FROM deliveries d WHERE TRUE", values: [] } as const]
      : []),
    ...(finished
      ? [
          {
            table: "delivery_history",
            from: "SELECT d.seq FROM delivery_history d WHERE TRUE",
            values: [],
          } as const,
        ]
      : []),
  ];
}

function endpointPlaces(seq: number, { pending, finished, failedOnly }: Wanted): Place[] {
  const places: Place[] = [];
  if (pending) {
    const from =
      "SELECT d.seq FROM deliveries d INDEXED BY deliveries_waiting WHERE d.leased_by IS NULL AND d.endpoint_seq = ?";
    places.push({ table: "deliveries", from, values: [seq] });
  }
  if (finished) {
    const from = failedOnly
      ? "SELECT d.seq FROM delivery_history d INDEXED BY history_failed WHERE d.state <> 'delivered' AND d.endpoint_seq = ?"
      : "SELECT d.seq FROM delivery_history d INDEXED BY history_endpoint WHERE d.endpoint_seq = ?";
    places.push({ table: "delivery_history", from, values: [seq] });
  }
  return places;
}

/** Those made with the event have a range of seqs; those made later have an index. */
function eventPlaces(eventId: string, { pending, finished }: Wanted): Place[] {
  const tables: Table[] = [
    ...(pending ? (["deliveries"] as const) : []),
    ...(finished ? (["delivery_history"] as const) : []),
  ];
  return tables.flatMap((table): Place[] => [
    {
      table,
      from: `SELECT d.seq FROM events e JOIN ${table} d ON d.seq >= e.delivery_first AND d.seq < e.delivery_first + e.delivery_count
        WHERE e.id = ? AND d.event_seq = e.seq AND d.later = 0`,
      values: [eventId],
    },
    {
      table,
      from: `SELECT d.seq FROM events e JOIN ${table} d ON d.event_seq = e.seq WHERE e.id = ? AND d.later = 1`,
      values: [eventId],
    },
  ]);
}

function fits(delivery: Delivery, { appId, endpointId, states, eventType }: ListQuery): boolean {
  return (
    (appId === undefined || delivery.appId === appId) &&
    (endpointId === undefined || delivery.endpointId === endpointId) &&
    (states === undefined || states.length === 0 || states.includes(delivery.state)) &&
    (eventType === undefined || delivery.eventType === eventType)
  );
}

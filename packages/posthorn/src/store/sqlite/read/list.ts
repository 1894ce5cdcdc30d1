/** Pages of everything. What is small in number is read as it stands; events and deliveries have files of their own. */
import type { SQLInputValue } from "node:sqlite";
import { PosthornError, unreachable } from "../../../base/errors.ts";
import type { ListQuery, Page, ResourceKind, Resources } from "../../store.ts";
import { DAY_MS } from "../day.ts";
import type { Endpoints } from "./endpoints.ts";
import { ListDeliveries } from "./list-deliveries.ts";
import { ListEvents } from "./list-events.ts";
import { beyond, EVERYTHING, firstSeqAt, type Reading, Statements, seqOfCursor } from "./reading.ts";
import {
  APP,
  type AppRow,
  ATTEMPT,
  type AttemptRow,
  AUDIT,
  type AuditRow,
  appOf,
  attemptOf,
  auditOf,
  EVENT_TYPE,
  type EventTypeRow,
  eventTypeOf,
  KEY,
  type KeyRow,
  keyOf,
  NODE,
  type NodeRow,
  nodeOf,
  REPLAY,
  type ReplayRow,
  replayOf,
  SESSION,
  type SessionRow,
  sessionOf,
} from "./rows.ts";

/** A condition of the WHERE clause with its value. */
type Condition = readonly [sql: string, value: SQLInputValue | undefined];

export class List {
  #statements: Statements;
  #endpoints: Endpoints;
  #events: ListEvents;
  #deliveries: ListDeliveries;
  #nowMs: () => number;

  constructor(reading: Reading, endpoints: Endpoints) {
    this.#nowMs = () => reading.nowMs();
    this.#statements = new Statements(reading.db);
    this.#endpoints = endpoints;
    this.#events = new ListEvents(reading);
    this.#deliveries = new ListDeliveries(reading);
  }

  run(kind: ResourceKind, query: ListQuery): Page<Resources[ResourceKind]> {
    const ofApp: Condition = ["app_seq = (SELECT seq FROM apps WHERE id = ?)", query.appId];
    switch (kind) {
      case "app":
        return this.#bySeq<AppRow, Resources["app"]>(
          `${APP} WHERE removed_at_ms IS NULL`,
          "seq",
          [],
          query,
          appOf,
        );
      case "endpoint":
        return this.#endpointPage(query, ofApp);
      case "event_type":
        return this.#eventTypes(query);
      case "key":
        return this.#bySeq<KeyRow, Resources["key"]>(`${KEY} WHERE TRUE`, "seq", [ofApp], query, keyOf);
      case "session":
        return this.#bySeq<SessionRow, Resources["session"]>(
          `${SESSION} WHERE TRUE`,
          "s.seq",
          [["s.expires_at_ms > ?", this.#nowMs()]],
          query,
          sessionOf,
        );
      case "audit":
        return this.#auditLog(query);
      case "event":
        return this.#events.run(query);
      case "delivery":
        return this.#deliveries.run(query);
      case "attempt":
        return this.#attempts(query);
      case "replay":
        return this.#replays(query, ofApp);
      case "node":
        return this.#nodes(query);
      case "publication":
        return { data: [], nextCursor: null };
      default:
        return unreachable(kind, "resource kind");
    }
  }

  /** Newest first; one row more than the page tells whether there is a next one. */
  #bySeq<Row extends { readonly seq: number }, Thing>(
    select: string,
    column: string,
    conditions: readonly Condition[],
    query: ListQuery,
    map: (row: Row) => Thing,
  ): Page<Thing> {
    const { limit, cursor, oldestFirst = false } = query;
    const given = conditions.filter(([, value]) => value !== undefined);
    const { above, below } = beyond(EVERYTHING, cursor, oldestFirst);
    const where = given.map(([sql]) => ` AND ${sql}`).join("");
    const rows = this.#statements
      .query<Row>(
        `${select}${where} AND ${column} > ? AND ${column} < ? ORDER BY ${column} ${oldestFirst ? "ASC" : "DESC"} LIMIT ?`,
      )
      .all(...given.map(([, value]) => value ?? null), above, below, limit + 1);
    return page(rows, limit, ({ seq }) => String(seq), map);
  }

  #endpointPage(query: ListQuery, ofApp: Condition): Page<Resources["endpoint"]> {
    const which = query.unverified === true ? " AND unverified_at_ms IS NOT NULL" : "";
    const select = `SELECT seq FROM endpoints WHERE removed_at_ms IS NULL${which}`;
    const found = this.#bySeq<{ seq: number }, Resources["endpoint"] | undefined>(
      select,
      "seq",
      [ofApp],
      query,
      ({ seq }) => this.#endpoints.bySeq(seq),
    );
    return { ...found, data: found.data.filter((row) => row !== undefined) };
  }

  #eventTypes({ cursor = "", limit }: ListQuery): Page<Resources["event_type"]> {
    const rows = this.#statements
      .query<EventTypeRow>(`${EVENT_TYPE} WHERE name > ? ORDER BY name LIMIT ?`)
      .all(cursor, limit + 1);
    return page(rows, limit, ({ name }) => name, eventTypeOf);
  }

  #attempts({ deliveryId, cursor, limit }: ListQuery): Page<Resources["attempt"]> {
    if (deliveryId === undefined) {
      throw new PosthornError("missing_field", "Attempts are listed by their delivery.", {
        pointer: "/deliveryId",
      });
    }
    const rows = this.#statements
      .query<AttemptRow>(`${ATTEMPT} WHERE t.number > ?2 ORDER BY t.number LIMIT ?3`)
      .all(deliveryId, cursor === undefined ? 0 : seqOfCursor(cursor), limit + 1);
    return page(rows, limit, ({ number }) => String(number), attemptOf);
  }

  /** Numbers grow with time, so that a window is a range of them. */
  #auditLog(query: ListQuery): Page<Resources["audit"]> {
    const { appId, sinceMs, untilMs } = query;
    const numberAt = (atMs: number | undefined): number | undefined =>
      atMs === undefined ? undefined : firstSeqAt(this.#statements, "audit_log", "at_ms", atMs, "number");
    const conditions: Condition[] = [
      ["app_id = ?", appId],
      ["number >= ?", numberAt(sinceMs)],
      ["number < ?", numberAt(untilMs)],
    ];
    return this.#bySeq<AuditRow, Resources["audit"]>(
      `${AUDIT} WHERE TRUE`,
      "number",
      conditions,
      query,
      auditOf,
    );
  }

  /** The one that has the file, and earlier starts of the last day. */
  #nodes(query: ListQuery): Page<Resources["node"]> {
    const nowMs = this.#nowMs();
    const recent: Condition = ["ifnull(i.voided_at_ms, 9e15) > ?", nowMs - DAY_MS];
    return this.#bySeq<NodeRow, Resources["node"]>(`${NODE} WHERE TRUE`, "i.seq", [recent], query, (row) =>
      nodeOf(row, nowMs),
    );
  }

  #replays(query: ListQuery, [, appId]: Condition): Page<Resources["replay"]> {
    const { states, endpointId } = query;
    const conditions: Condition[] = [
      ["a.id = ?", appId],
      ["p.id = ?", endpointId],
      ["r.state IN (SELECT value FROM json_each(?))", states?.length ? JSON.stringify(states) : undefined],
    ];
    // Said once more as a literal, which alone finds the index of running ones: finished ones stay for months.
    const running = states?.length === 1 && states[0] === "running" ? "r.state = 'running'" : "TRUE";
    return this.#bySeq<ReplayRow, Resources["replay"]>(
      `${REPLAY} WHERE ${running}`,
      "r.seq",
      conditions,
      query,
      replayOf,
    );
  }
}

function page<Row, Thing>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => string,
  map: (row: Row) => Thing,
): Page<Thing> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { data: shown.map(map), nextCursor: last === undefined ? null : cursorOf(last) };
}

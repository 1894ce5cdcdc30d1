/** Pages of events. */
import type { ListQuery, Page, StoredEvent } from "../../store.ts";
import { beyond, EVERYTHING, firstSeqAt, type Range, type Reading, Statements } from "./reading.ts";
import { EVENT, EVENT_WITHOUT_PAYLOAD, type EventRow, eventOf } from "./rows.ts";

/** So that a read stays short, a page may hold fewer rows than asked for: its cursor goes on from there. */
const LOOKED_AT_MAX = 20_000;
const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024;

export class ListEvents {
  #statements: Statements;

  constructor({ db }: Reading) {
    this.#statements = new Statements(db);
  }

  run(query: ListQuery): Page<StoredEvent> {
    const { limit, eventType, oldestFirst = false, payloads = false } = query;
    const get = this.#statements.query<EventRow>(
      `${payloads ? EVENT : EVENT_WITHOUT_PAYLOAD} WHERE e.seq = ?`,
    );
    const data: StoredEvent[] = [];
    let lookedAt = 0;
    let bytes = 0;
    let lastSeq: number | null = null;
    for (const row of this.#candidates(query, oldestFirst)) {
      if (data.length === limit || lookedAt === LOOKED_AT_MAX || bytes >= PAYLOAD_BYTES_MAX) {
        return { data, nextCursor: String(lastSeq) };
      }
      lookedAt += 1;
      lastSeq = row.seq;
      if (eventType !== undefined && row.eventType !== eventType) continue;
      const found = get.get(row.seq);
      if (found === undefined) continue;
      data.push(eventOf(found));
      bytes += found.payload?.length ?? 0;
    }
    return { data, nextCursor: null };
  }

  #candidates(query: ListQuery, oldestFirst: boolean): Iterable<{ seq: number; eventType: string }> {
    const { above, below } = beyond(this.#window(query), query.cursor, oldestFirst);
    const { appId, eventId } = query;
    const scope = [
      ...(appId === undefined ? [] : ["app_seq = (SELECT seq FROM apps WHERE id = ?)"]),
      ...(eventId === undefined ? [] : ["id = ?"]),
    ];
    return this.#statements
      .query<{ seq: number; eventType: string }>(
        `SELECT seq, event_type AS eventType FROM events WHERE ${[...scope, "seq > ?", "seq < ?"].join(" AND ")}
        ORDER BY seq ${oldestFirst ? "ASC" : "DESC"}`,
      )
      .iterate(...[appId, eventId].filter((value) => value !== undefined), above, below);
  }

  #window({ sinceMs, untilMs }: ListQuery): Range {
    const at = (ms: number): number => firstSeqAt(this.#statements, "events", "accepted_at_ms", ms);
    return {
      above: sinceMs === undefined ? EVERYTHING.above : at(sinceMs) - 1,
      below: untilMs === undefined ? EVERYTHING.below : at(untilMs),
    };
  }
}

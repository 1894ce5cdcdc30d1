/** Deletes configuration, and zeroes payloads. */
import { unreachable } from "../../../base/errors.ts";
import type { AppId, EventId } from "../../../base/ids.ts";
import type { RemoveTarget } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";
import { EndpointRows } from "./endpoint-rows.ts";
import { Keys } from "./keys.ts";

export class Remove {
  #writing: Writing;
  #endpoints: EndpointRows;
  #keys: Keys;
  #removeApp: Statement;
  #endpointsOfApp: Query<{ seq: number }>;
  #endReplays: Statement;
  #deleteEventType: Statement;
  #zeroPayload: Statement;
  #endFanOut: Statement;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#endpoints = new EndpointRows(writing);
    this.#keys = new Keys(writing);
    this.#removeApp = statement(
      db,
      "UPDATE apps SET removed_at_ms = ? WHERE id = ? AND removed_at_ms IS NULL",
    );
    this.#endpointsOfApp = query(db, "SELECT seq FROM endpoints WHERE app_seq = ? AND removed_at_ms IS NULL");
    this.#endReplays = statement(
      db,
      "UPDATE replays SET state = 'cancelled', finished_at_ms = ? WHERE endpoint_seq = ? AND state = 'running'",
    );
    this.#deleteEventType = statement(db, "DELETE FROM event_types WHERE name = ?");
    this.#zeroPayload = statement(
      db,
      "UPDATE events SET payload = zeroblob(length(payload)), expunged_at_ms = ? WHERE id = ? AND expunged_at_ms IS NULL",
    );
    this.#endFanOut = statement(
      db,
      "DELETE FROM fan_outs WHERE event_seq = (SELECT seq FROM events WHERE id = ?)",
    );
  }

  run(target: RemoveTarget): boolean {
    switch (target.kind) {
      case "app":
        return this.#app(target.id);
      case "endpoint": {
        const endpoint = this.#writing.endpoint(target.id);
        return endpoint?.removed === 0 && this.#endpoint(endpoint.seq);
      }
      case "event_type":
        return this.#deleteEventType.run(target.name).changes === 1;
      case "key":
        return this.#keys.remove(target.id);
      case "session":
        return this.#keys.removeSession(target.id);
      case "payload":
        return this.#payload(target.eventId);
      case "publication":
        return false;
      default:
        return unreachable(target, "what to remove");
    }
  }

  #app(id: AppId): boolean {
    const app = this.#writing.app(id);
    if (app === undefined || this.#removeApp.run(this.#writing.nowMs, id).changes === 0) return false;
    for (const { seq } of this.#endpointsOfApp.all(app.seq)) this.#endpoint(seq);
    this.#keys.removeOfApp(app.seq);
    this.#writing.forget();
    return true;
  }

  #endpoint(seq: number): boolean {
    this.#endpoints.remove(this.#writing.endpointBySeq(seq));
    this.#endReplays.run(this.#writing.nowMs, seq);
    this.#writing.forget();
    return true;
  }

  #payload(eventId: EventId): boolean {
    this.#endFanOut.run(eventId);
    return this.#writing.destroying(() => this.#zeroPayload.run(this.#writing.nowMs, eventId).changes === 1);
  }
}

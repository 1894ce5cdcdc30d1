/** One thing, by its reference. */
import { unreachable } from "../../../base/errors.ts";
import type { Reference, ResourceKind, Resources } from "../../store.ts";
import { type Query, query } from "../statement.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Reading } from "./reading.ts";
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
  EVENT,
  EVENT_TYPE,
  type EventRow,
  type EventTypeRow,
  eventOf,
  eventTypeOf,
  FINAL,
  type FinalRow,
  finalOf,
  KEY,
  type KeyRow,
  keyOf,
  NODE,
  type NodeRow,
  nodeOf,
  PENDING,
  type PendingRow,
  pendingOf,
  REPLAY,
  type ReplayRow,
  replayOf,
  SESSION,
  type SessionRow,
  sessionOf,
} from "./rows.ts";

export class Find {
  #endpoints: Endpoints;
  #app: Query<AppRow>;
  #eventType: Query<EventTypeRow>;
  #keyById: Query<KeyRow>;
  #keyByHash: Query<KeyRow>;
  #sessionById: Query<SessionRow>;
  #sessionByHash: Query<SessionRow>;
  #audit: Query<AuditRow>;
  #event: Query<EventRow>;
  #pending: Query<PendingRow>;
  #final: Query<FinalRow>;
  #attempt: Query<AttemptRow>;
  #replay: Query<ReplayRow>;
  #node: Query<NodeRow>;
  #nowMs: () => number;

  constructor({ db, nowMs }: Reading, endpoints: Endpoints) {
    this.#endpoints = endpoints;
    this.#nowMs = nowMs;
    this.#node = query(db, `${NODE} WHERE i.id = ?`);
    this.#app = query(db, `${APP} WHERE removed_at_ms IS NULL AND (id = ?1 OR uid = ?1)`);
    this.#eventType = query(db, `${EVENT_TYPE} WHERE name = ?`);
    this.#keyById = query(db, `${KEY} WHERE id = ?`);
    this.#keyByHash = query(db, `${KEY} WHERE hash = ?`);
    this.#sessionById = query(db, `${SESSION} WHERE s.expires_at_ms > ?1 AND s.id = ?2`);
    this.#sessionByHash = query(db, `${SESSION} WHERE s.expires_at_ms > ?1 AND s.hash = ?2`);
    this.#audit = query(db, `${AUDIT} WHERE id = ?`);
    // The app in the statement, and not after it: how long a foreign row takes to read must not tell that it is there.
    this.#event = query(db, `${EVENT} WHERE e.id = ?1 AND a.id = ifnull(?2, a.id)`);
    this.#pending = query(db, `${PENDING} WHERE d.id = ?1 AND a.id = ifnull(?2, a.id)`);
    this.#final = query(db, `${FINAL} WHERE d.id = ?1 AND a.id = ifnull(?2, a.id)`);
    this.#attempt = query(db, `${ATTEMPT} WHERE t.id = ?2 AND a.id = ifnull(?3, a.id)`);
    this.#replay = query(db, `${REPLAY} WHERE r.id = ?`);
  }

  /** With `appId`, only what belongs to that app. */
  run(kind: ResourceKind, reference: Reference): Resources[ResourceKind] | undefined {
    const found = this.#find(kind, reference);
    if (found === undefined || reference.appId === undefined || !("appId" in found)) return found;
    return found.appId === reference.appId ? found : undefined;
  }

  #find(kind: ResourceKind, reference: Reference): Resources[ResourceKind] | undefined {
    const { id = "", hash, deliveryId = "", appId = null } = reference;
    switch (kind) {
      case "app":
        return mapped(this.#app.get(id), appOf);
      case "endpoint":
        return this.#endpoints.find(reference);
      case "event_type":
        return mapped(this.#eventType.get(id), eventTypeOf);
      case "key":
        return mapped(hash === undefined ? this.#keyById.get(id) : this.#keyByHash.get(hash), keyOf);
      case "session":
        return mapped(this.#session(id, hash), sessionOf);
      case "audit":
        return mapped(this.#audit.get(id), auditOf);
      case "event":
        return mapped(this.#event.get(id, appId), eventOf);
      case "delivery":
        return mapped(this.#pending.get(id, appId), pendingOf) ?? mapped(this.#final.get(id, appId), finalOf);
      case "attempt":
        return mapped(this.#attempt.get(deliveryId, id, appId), attemptOf);
      case "replay":
        return mapped(this.#replay.get(id), replayOf);
      case "node":
        return mapped(this.#node.get(id), (row) => nodeOf(row, this.#nowMs()));
      case "publication":
        return undefined;
      default:
        return unreachable(kind, "resource kind");
    }
  }

  /** One that has ended is not there, pruned or not. */
  #session(id: string, hash: Uint8Array | undefined): SessionRow | undefined {
    const nowMs = this.#nowMs();
    return hash === undefined ? this.#sessionById.get(nowMs, id) : this.#sessionByHash.get(nowMs, hash);
  }
}

function mapped<Row, Thing>(row: Row | undefined, map: (row: Row) => Thing): Thing | undefined {
  return row === undefined ? undefined : map(row);
}

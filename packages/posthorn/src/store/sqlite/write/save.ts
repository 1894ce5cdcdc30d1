/** Creates and changes configuration. Whatever an app's fan-out depends on bumps its configVersion in the same transaction. */
import { unreachable } from "../../../base/errors.ts";
import type { Change, SaveResult } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { EndpointFacts, Writing } from "../writing.ts";
import { EndpointRows } from "./endpoint-rows.ts";
import { Keys } from "./keys.ts";
import type { Order } from "./order.ts";

type ChangeOf<Kind extends Change["kind"]> = Extract<Change, { kind: Kind }>;

const SAVED: SaveResult = { kind: "saved" };
const MISSING: SaveResult = { kind: "missing" };
const UID_TAKEN: SaveResult = { kind: "uid_taken" };

export class Save {
  #writing: Writing;
  #order: Order;
  #endpoints: EndpointRows;
  #keys: Keys;
  #appWithUid: Query<{ id: string }>;
  #insertApp: Statement;
  #updateApp: Statement;
  #insertEventType: Statement;
  #updateEventType: Statement;
  #setMasterKey: Statement;
  #insertReplay: Statement;
  #cancelReplay: Statement;

  constructor(writing: Writing, order: Order) {
    const { db } = writing;
    this.#writing = writing;
    this.#order = order;
    this.#endpoints = new EndpointRows(writing);
    this.#keys = new Keys(writing);
    this.#appWithUid = query(db, "SELECT id FROM apps WHERE uid = ? AND removed_at_ms IS NULL");
    this.#insertApp = statement(
      db,
      `INSERT INTO apps (id, uid, name, metadata, retention_days, limits, ownership_check, config_version, created_at_ms,
        updated_at_ms)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?8)`,
    );
    this.#updateApp = statement(
      db,
      `UPDATE apps SET uid = ?2, name = ?3, metadata = ?4, retention_days = ?5, limits = ?6,
        ownership_check = ?7, updated_at_ms = ?8, config_version = config_version + 1
      WHERE id = ?1 AND removed_at_ms IS NULL`,
    );
    this.#insertEventType = statement(
      db,
      `INSERT INTO event_types (name, description, schema, example, group_name, deprecated, created_at_ms, updated_at_ms)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT DO NOTHING`,
    );
    this.#updateEventType = statement(
      db,
      `UPDATE event_types SET description = ?2, schema = ?3, example = ?4, group_name = ?5, deprecated = ?6,
        updated_at_ms = ?7
      WHERE name = ?1`,
    );
    this.#setMasterKey = statement(db, "UPDATE store_facts SET master_key_check = ?");
    this.#insertReplay = statement(
      db,
      `INSERT INTO replays (id, app_seq, endpoint_seq, since_ms, until_ms, states, event_types, state, created_at_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?)`,
    );
    this.#cancelReplay = statement(
      db,
      "UPDATE replays SET state = 'cancelled', finished_at_ms = ? WHERE id = ? AND state = 'running'",
    );
  }

  run(change: Change): SaveResult {
    switch (change.kind) {
      case "app":
        return this.#changed(this.#app(change));
      case "endpoint":
        return this.#changed(this.#endpoint(change));
      case "endpoint_status":
        return this.#changed(savedIf(this.#endpoints.setStatus(change)));
      case "event_type":
        return this.#eventType(change);
      case "key":
        return savedIf(this.#keys.insert(change));
      case "key_used":
        return savedIf(this.#keys.used(change.id));
      case "session":
        return savedIf(this.#keys.openSession(change));
      case "master_key":
        return one(this.#setMasterKey.run(change.check));
      case "audit":
        return SAVED;
      case "replay":
        return this.#replay(change);
      case "replay_cancelled":
        return one(this.#cancelReplay.run(this.#writing.nowMs, change.id));
      case "unblock":
        return this.#unblock(this.#writing.endpoint(change.endpointId));
      case "publication_retried":
        return MISSING;
      default:
        return unreachable(change, "change");
    }
  }

  /** What was known of apps and endpoints is old now. */
  #changed(result: SaveResult): SaveResult {
    this.#writing.forget();
    return result;
  }

  #app({ create, app }: ChangeOf<"app">): SaveResult {
    const holder = app.uid === null ? undefined : this.#appWithUid.get(app.uid);
    if (holder !== undefined && holder.id !== app.id) return UID_TAKEN;
    const write = create ? this.#insertApp : this.#updateApp;
    const { id, uid, name, metadata, retentionDays, limits, ownershipCheck } = app;
    return one(
      write.run(
        id,
        uid,
        name,
        JSON.stringify(metadata),
        retentionDays,
        JSON.stringify(limits),
        ownershipCheck,
        this.#writing.nowMs,
      ),
    );
  }

  #endpoint(change: ChangeOf<"endpoint">): SaveResult {
    const { endpoint } = change;
    const app = this.#writing.app(endpoint.appId);
    if (app === undefined || app.removed === 1) return MISSING;
    if (this.#endpoints.uidTaken(app.seq, endpoint)) return UID_TAKEN;
    if (change.create) {
      this.#endpoints.insert(app.seq, change);
      return SAVED;
    }
    const before = this.#writing.endpoint(endpoint.id);
    if (before === undefined || before.removed === 1 || before.appSeq !== app.seq) return MISSING;
    if (!this.#endpoints.update(before, change)) return { kind: "changed" };
    // Nothing may stay blocked under a policy that does not block.
    if (endpoint.ordering === "unordered" || endpoint.onDeadLetter === "continue")
      this.#order.unblock(before.seq);
    return SAVED;
  }

  /** With `create`, a name that exists is `uid_taken`. */
  #eventType({ create, eventType }: ChangeOf<"event_type">): SaveResult {
    const { name, description, schema, example, group, deprecated } = eventType;
    const write = create ? this.#insertEventType : this.#updateEventType;
    const { changes } = write.run(
      name,
      description,
      jsonOrNull(schema),
      jsonOrNull(example),
      group,
      deprecated ? 1 : 0,
      this.#writing.nowMs,
    );
    if (changes === 1) return SAVED;
    return create ? UID_TAKEN : MISSING;
  }

  #replay({ replay }: ChangeOf<"replay">): SaveResult {
    const { id, appId, endpointId, sinceMs, untilMs, states, eventTypes } = replay;
    const app = this.#writing.app(appId);
    const endpoint = this.#writing.endpoint(endpointId);
    if (app === undefined || endpoint === undefined || endpoint.removed === 1 || endpoint.appSeq !== app.seq)
      return MISSING;
    return one(
      this.#insertReplay.run(
        id,
        app.seq,
        endpoint.seq,
        Math.floor(sinceMs),
        Math.floor(untilMs),
        JSON.stringify(states),
        JSON.stringify(eventTypes),
        this.#writing.nowMs,
      ),
    );
  }

  #unblock(endpoint: EndpointFacts | undefined): SaveResult {
    if (endpoint === undefined || endpoint.removed === 1) return MISSING;
    this.#order.unblock(endpoint.seq);
    return SAVED;
  }
}

function one({ changes }: { readonly changes: number | bigint }): SaveResult {
  return savedIf(changes === 1);
}

function savedIf(there: boolean): SaveResult {
  return there ? SAVED : MISSING;
}

function jsonOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

/** A SQLite store's tables in the form in which rows travel: one query each, its columns those of store/carried.ts. */
import type { DatabaseSync } from "node:sqlite";
import { type CarriedRow, type CarriedTable, type Cell, placeOf } from "../carried.ts";

/** A made row of the range has a place among deliveries and history alike. */
const idOfDelivery = (seq: string): string =>
  `ifnull((SELECT id FROM delivery_history WHERE seq = ${seq}), (SELECT id FROM deliveries WHERE seq = ${seq}))`;

/** The first column of those that grow is what they are walked by. */
export const EVENTS = `SELECT e.seq, e.accepted_at_ms, e.deliver_at_ms, e.hops, e.expunged_at_ms, e.data_start, e.data_end, e.delivery_count,
    e.fan_out_count, e.id, a.id, CASE WHEN e.delivery_count > 0 THEN ${idOfDelivery("e.delivery_first")} END,
    CASE WHEN e.delivery_count > 0 THEN ${idOfDelivery("e.delivery_first + e.delivery_count - 1")} END,
    e.uid, e.event_type, e.timestamp, e.channels, e.ordering_key, e.payload
  FROM events e JOIN apps a ON a.seq = e.app_seq`;

export const HISTORY = `SELECT d.seq, d.created_at_ms, d.finished_at_ms, d.attempts, d.later, d.id, a.id, p.id, e.id, e.event_type, d.trigger,
    d.state, d.reason
  FROM delivery_history d JOIN apps a ON a.seq = d.app_seq JOIN endpoints p ON p.seq = d.endpoint_seq
    JOIN events e ON e.seq = d.event_seq`;

export const DELIVERIES = `SELECT d.seq, d.created_at_ms, d.expires_at_ms, d.due_at_ms, CASE WHEN d.order_key IS NOT NULL THEN d.seq END,
    d.leased_by IS NOT NULL, d.failures, d.attempt_count, d.unknowns, length(e.payload), d.class, d.later, d.id, a.id, p.id, e.id,
    e.event_type, d.trigger, d.order_key
  FROM deliveries d JOIN apps a ON a.seq = d.app_seq JOIN endpoints p ON p.seq = d.endpoint_seq
    JOIN events e ON e.seq = d.event_seq`;

/** Of one delivery; the app's id is put in by who asks. */
export const ATTEMPTS = `SELECT started_at_ms, number, duration_ms, status, '', '', id, outcome, facts, url, response_body
  FROM attempts WHERE delivery_seq = ? ORDER BY number`;

/** Keys whose event is gone are keys no more. */
export const IDEMPOTENCY = `SELECT i.seq, a.id, i.key, i.fingerprint, e.id, e.delivery_count + e.fan_out_count, i.created_at_ms
  FROM idempotency i JOIN apps a ON a.seq = i.app_seq JOIN events e ON e.seq = i.event_seq`;

export const FIGURES = `SELECT f.minute_ms, f.endpoint_seq, f.incarnation_seq, f.minute_ms, -f.incarnation_seq, f.created, f.delivered,
    f.dead_lettered, f.cancelled, f.succeeded, f.rejected, f.timed_out, f.unreachable, f.invalid, f.unknown, f.filter_errors, p.id, f.latency
  FROM figures f JOIN endpoints p ON p.seq = f.endpoint_seq`;

export const AUDIT = `SELECT l.number, l.number, l.id, l.at_ms, l.actor, l.action, l.target, l.app_id, l.before, l.after, l.address,
    l.request_id, l.previous_hash, l.hash
  FROM audit_log l`;

export const EXPUNGED = `SELECT e.id, a.id AS app_id, e.expunged_at_ms FROM events e JOIN apps a ON a.seq = e.app_seq
  WHERE e.expunged_at_ms IS NOT NULL ORDER BY e.seq`;

const soonestOf = (deliveryClass: number): string =>
  `SELECT min(due_at_ms) AS due FROM deliveries
    WHERE endpoint_seq = p.seq AND class = ${deliveryClass} AND leased_by IS NULL AND due_at_ms IS NOT NULL`;

/** What fits into memory table by table. */
const SMALL = {
  event_types: `SELECT name, description, schema, example, group_name, deprecated, created_at_ms, updated_at_ms
    FROM event_types ORDER BY name`,
  apps: `SELECT id, uid, name, metadata, retention_days, limits, ownership_check, config_version, created_at_ms, updated_at_ms, removed_at_ms
    FROM apps ORDER BY seq`,
  endpoints: `SELECT p.id, a.id, p.uid, p.url, p.description, p.event_types, p.channels, p.filter, p.rate_limit_per_second, p.in_flight_max,
      p.timeout_ms, p.retry_schedule, p.ordering, p.on_dead_letter, p.scheme, p.status, p.disable_reason, p.access,
      p.unverified_at_ms, p.sealed_headers, p.sealed_credentials, p.seq,
      p.version, p.created_at_ms, p.updated_at_ms, p.removed_at_ms, p.drained
    FROM endpoints p JOIN apps a ON a.seq = p.app_seq ORDER BY p.seq`,
  // No number that was ever given is above the last delivery's. For one node alone: as the shared store has it.
  lanes: `SELECT p.id, a.id, l.runnable, p.removed_at_ms IS NOT NULL, p.ordering <> 'unordered' OR p.in_flight_max < 16
        OR p.rate_limit_per_second IS NOT NULL OR p.access ->> '$.verification.grantedPerMinute' IS NOT NULL,
      (SELECT min(due) FROM (${[0, 1, 2].map(soonestOf).join(" UNION ALL ")})),
      max(ifnull((SELECT max(seq) FROM deliveries), 0), ifnull((SELECT max(seq) FROM delivery_history), 0)),
      l.breaker, l.probe_at_ms, l.probe_every_ms, l.failing_since_ms, l.failures, l.filter_errors, l.filter_error
    FROM lanes l JOIN endpoints p ON p.seq = l.endpoint_seq JOIN apps a ON a.seq = p.app_seq ORDER BY p.seq`,
  // The event may be gone: then no redelivery of it lifts the block.
  lane_blocks: `SELECT p.id, b.order_key, ifnull(e.id, ''), b.created_at_ms
    FROM lane_blocks b JOIN endpoints p ON p.seq = b.endpoint_seq LEFT JOIN events e ON e.seq = b.event_seq ORDER BY p.seq, b.order_key`,
  keys: `SELECT k.id, k.hash, k.role, a.id, k.name, k.limits, k.prefix, k.created_at_ms, k.expires_at_ms, k.last_used_at_ms
    FROM keys k LEFT JOIN apps a ON a.seq = k.app_seq ORDER BY k.seq`,
  replays: `SELECT r.id, a.id, p.id, r.since_ms, r.until_ms, r.states, r.event_types, r.state, r.cursor, r.examined, r.created,
      r.created_at_ms, r.finished_at_ms
    FROM replays r JOIN apps a ON a.seq = r.app_seq JOIN endpoints p ON p.seq = r.endpoint_seq ORDER BY r.seq`,
  source_positions: "SELECT source_id, position, updated_at_ms FROM source_positions ORDER BY source_id",
  fan_outs: `SELECT e.id, a.id, f.endpoints, f.cursor
    FROM fan_outs f JOIN events e ON e.seq = f.event_seq JOIN apps a ON a.seq = e.app_seq ORDER BY f.event_seq`,
} as const satisfies Partial<Record<CarriedTable, string>>;

export type SmallTable = keyof typeof SMALL;

export function smallTable(db: DatabaseSync, table: SmallTable): CarriedRow[] {
  const rows = arraysOf(db, SMALL[table]).all() as unknown as Cell[][];
  if (table === "endpoints") putSecrets(db, rows);
  if (table === "replays") for (const row of rows) translateCursor(db, row);
  return rows;
}

/** A statement whose rows are lists of cells. */
export function arraysOf(db: DatabaseSync, sql: string) {
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  return statement as unknown as {
    all(...values: (string | number)[]): Cell[][];
    iterate(...values: (string | number)[]): IterableIterator<Cell[]>;
  };
}

const SECRETS_AT = placeOf("endpoints", "secrets");

/** As the shared store writes them. What stands there is the endpoint's number. */
function putSecrets(db: DatabaseSync, rows: readonly Cell[][]): void {
  const secrets = db.prepare(
    "SELECT sealed, expires_at_ms AS expiresAtMs, public_key AS publicKey FROM endpoint_secrets WHERE endpoint_seq = ? ORDER BY position",
  );
  for (const row of rows) {
    const found = secrets.all(row[SECRETS_AT] as number);
    row[SECRETS_AT] = JSON.stringify(
      found.map(({ sealed, expiresAtMs, publicKey }) => ({
        sealed: base64Of(sealed as Uint8Array),
        expiresAtMs,
        publicKey: publicKey === null ? null : base64Of(publicKey as Uint8Array),
      })),
    );
  }
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** Rows whose order of commit and order of ids may differ lie no further apart than this. */
const NEAR = 1000;
const ID_AT = placeOf("replays", "id");
const STATES_AT = placeOf("replays", "states");
const CURSOR_AT = placeOf("replays", "cursor");

/**
 * Here a cursor is the number of the row that was looked at last; there it is an id, and everything after it is looked at. So
 * it becomes the last id that is below those of all rows which are still to come.
 */
function translateCursor(db: DatabaseSync, row: Cell[]): void {
  const cursor = row[CURSOR_AT];
  if (cursor === null) return;
  const ofEvents = row[STATES_AT] === "[]";
  const owner = ofEvents ? "app_seq" : "endpoint_seq";
  const rows = ofEvents
    ? "SELECT seq, id, app_seq FROM events"
    : "SELECT seq, id, endpoint_seq FROM deliveries UNION ALL SELECT seq, id, endpoint_seq FROM delivery_history";
  const found = db
    .prepare(
      `SELECT max(id) AS id FROM (
        SELECT id FROM (${rows}) WHERE ${owner} = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT ${NEAR}
      ) WHERE id < ifnull((SELECT min(id) FROM (
        SELECT id FROM (${rows}) WHERE ${owner} = ?1 AND seq > ?2 ORDER BY seq LIMIT ${NEAR})), '~')`,
    )
    .get(ownerOf(db, row[ID_AT] as string, owner), Number(cursor));
  row[CURSOR_AT] = (found?.id ?? null) as Cell;
}

function ownerOf(db: DatabaseSync, id: string, column: string): number {
  return Number(db.prepare(`SELECT ${column} AS seq FROM replays WHERE id = ?`).get(id)?.seq);
}

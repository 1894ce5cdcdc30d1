/** Rows as SQLite gives them, and the nouns of the domain that they stand for. */
import type {
  AppId,
  AttemptId,
  DeliveryId,
  EndpointId,
  EventId,
  IncarnationId,
  KeyId,
  ReplayId,
} from "../../../base/ids.ts";
import type { App } from "../../../domain/app.ts";
import type { Attempt, OutcomeKind } from "../../../domain/attempt.ts";
import type { AuditEntry } from "../../../domain/audit.ts";
import type { Delivery, DeliveryTrigger, FinalState } from "../../../domain/delivery.ts";
import type {
  DeadLetterPolicy,
  DisableReason,
  Endpoint,
  EndpointStatus,
  Ordering,
} from "../../../domain/endpoint.ts";
import type { EventType } from "../../../domain/event-type.ts";
import type { KeyRole } from "../../../domain/key.ts";
import type { Node } from "../../../domain/node.ts";
import type { OwnershipPolicy } from "../../../domain/ownership.ts";
import type { ReplayState } from "../../../domain/replay.ts";
import type { Scheme } from "../../../domain/scheme.ts";
import { accessOf } from "../../access.ts";
import { type AuditColumns, auditEntryOf } from "../../audit-columns.ts";
import { outcomeOf } from "../../outcome.ts";
import type { StoredEvent, StoredKey, StoredReplay, StoredSession } from "../../store.ts";

type Flag = 0 | 1;

export interface AppRow {
  readonly seq: number;
  readonly id: AppId;
  readonly uid: string | null;
  readonly name: string;
  readonly metadata: string;
  readonly retentionDays: number;
  readonly limits: string;
  readonly ownershipCheck: OwnershipPolicy | null;
  readonly configVersion: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}
export const APP = `SELECT seq, id, uid, name, metadata, retention_days AS retentionDays, limits,
  ownership_check AS ownershipCheck, config_version AS configVersion, created_at_ms AS createdAtMs, updated_at_ms AS updatedAtMs FROM apps`;

export function appOf({ seq: _, metadata, limits, ...row }: AppRow): App {
  return { ...row, metadata: JSON.parse(metadata), limits: JSON.parse(limits) };
}

export interface EndpointColumns {
  readonly seq: number;
  readonly id: EndpointId;
  readonly appId: AppId;
  readonly uid: string | null;
  readonly url: string;
  readonly description: string;
  readonly eventTypes: string;
  readonly channels: string;
  readonly filter: string | null;
  readonly rateLimitPerSecond: number | null;
  readonly inFlightMax: number;
  readonly timeoutMs: number;
  readonly retrySchedule: string;
  readonly ordering: Ordering;
  readonly onDeadLetter: DeadLetterPolicy;
  readonly scheme: Scheme;
  readonly access: string;
  readonly status: EndpointStatus;
  readonly disableReason: DisableReason | null;
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}
export const ENDPOINT_COLUMNS = `p.seq, p.id, a.id AS appId, p.uid, p.url, p.description, p.event_types AS eventTypes, p.channels,
  p.filter, p.rate_limit_per_second AS rateLimitPerSecond, p.in_flight_max AS inFlightMax, p.timeout_ms AS timeoutMs,
  p.retry_schedule AS retrySchedule, p.ordering, p.on_dead_letter AS onDeadLetter, p.scheme, p.access, p.status,
  p.disable_reason AS disableReason, p.version, p.created_at_ms AS createdAtMs, p.updated_at_ms AS updatedAtMs`;

export function endpointOf(row: EndpointColumns): Endpoint {
  return {
    id: row.id,
    appId: row.appId,
    uid: row.uid,
    url: row.url,
    description: row.description,
    eventTypes: JSON.parse(row.eventTypes),
    channels: JSON.parse(row.channels),
    filter: row.filter,
    rateLimitPerSecond: row.rateLimitPerSecond,
    inFlightMax: row.inFlightMax,
    timeoutMs: row.timeoutMs,
    retrySchedule: JSON.parse(row.retrySchedule),
    ordering: row.ordering,
    onDeadLetter: row.onDeadLetter,
    scheme: row.scheme,
    ...accessOf(row.access),
    status: row.status,
    disableReason: row.disableReason,
    version: row.version,
    createdAtMs: row.createdAtMs,
    updatedAtMs: row.updatedAtMs,
  };
}

export interface EventTypeRow {
  readonly name: string;
  readonly description: string;
  readonly schema: string | null;
  readonly example: string | null;
  readonly group: string | null;
  readonly deprecated: Flag;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}
export const EVENT_TYPE = `SELECT name, description, schema, example, group_name AS "group", deprecated,
  created_at_ms AS createdAtMs, updated_at_ms AS updatedAtMs FROM event_types`;

export function eventTypeOf(row: EventTypeRow): EventType {
  return {
    ...row,
    schema: jsonOf(row.schema),
    example: jsonOf(row.example),
    deprecated: row.deprecated === 1,
  };
}

export interface KeyRow {
  readonly seq: number;
  readonly id: KeyId;
  readonly hash: Uint8Array;
  readonly role: KeyRole;
  readonly appId: AppId | null;
  readonly name: string;
  readonly limits: string;
  readonly prefix: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}
export const KEY = `SELECT seq, id, hash, role, (SELECT a.id FROM apps a WHERE a.seq = app_seq) AS appId, name, limits, prefix,
  created_at_ms AS createdAtMs, expires_at_ms AS expiresAtMs, last_used_at_ms AS lastUsedAtMs FROM keys`;

export function keyOf({ seq: _, limits, ...row }: KeyRow): StoredKey {
  return { ...row, limits: JSON.parse(limits) };
}

export interface SessionRow extends StoredSession {
  readonly seq: number;
}
export const SESSION = `SELECT s.seq, s.id, s.hash, k.id AS keyId, s.created_at_ms AS createdAtMs, s.expires_at_ms AS expiresAtMs
  FROM sessions s JOIN keys k ON k.seq = s.key_seq`;

export function sessionOf({ seq: _, ...row }: SessionRow): StoredSession {
  return row;
}

export interface AuditRow extends AuditColumns {
  readonly seq: number;
}
export const AUDIT = `SELECT number AS seq, number, id, at_ms AS atMs, actor, action, target, app_id AS appId, before, after, address,
  request_id AS requestId, previous_hash AS previousHash, hash FROM audit_log`;

export function auditOf({ seq: _, ...columns }: AuditRow): AuditEntry {
  return auditEntryOf(columns);
}

export interface EventRow {
  readonly seq: number;
  readonly id: EventId;
  readonly appId: AppId;
  readonly uid: string | null;
  readonly eventType: string;
  readonly timestamp: string;
  readonly channels: string | null;
  readonly orderingKey: string | null;
  readonly deliverAtMs: number | null;
  readonly hops: number;
  readonly payloadBytes: number;
  readonly dataStart: number;
  readonly dataEnd: number;
  readonly acceptedAtMs: number;
  readonly expungedAtMs: number | null;
  readonly fanOutPending: Flag;
  readonly payload: Uint8Array | null;
}
const EVENT_COLUMNS = (
  payload: string,
): string => `SELECT e.seq, e.id, a.id AS appId, e.uid, e.event_type AS eventType, e.timestamp,
  e.channels, e.ordering_key AS orderingKey, e.deliver_at_ms AS deliverAtMs, e.hops, length(e.payload) AS payloadBytes,
  e.data_start AS dataStart, e.data_end AS dataEnd, e.accepted_at_ms AS acceptedAtMs, e.expunged_at_ms AS expungedAtMs,
  EXISTS (SELECT 1 FROM fan_outs f WHERE f.event_seq = e.seq) AS fanOutPending, ${payload} AS payload
  FROM events e JOIN apps a ON a.seq = e.app_seq`;
export const EVENT = EVENT_COLUMNS("CASE WHEN e.expunged_at_ms IS NULL THEN e.payload END");
export const EVENT_WITHOUT_PAYLOAD = EVENT_COLUMNS("NULL");

export function eventOf({ seq: _, fanOutPending, channels, ...row }: EventRow): StoredEvent {
  return {
    ...row,
    channels: channels === null ? [] : JSON.parse(channels),
    fanOut: fanOutPending === 1 ? "pending" : "done",
  };
}

export interface DeliveryRow {
  readonly seq: number;
  readonly id: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  readonly eventType: string;
  readonly trigger: DeliveryTrigger;
  readonly createdAtMs: number;
  readonly attempts: number;
}
export interface PendingRow extends DeliveryRow {
  readonly dueAtMs: number | null;
  readonly expiresAtMs: number;
  readonly leased: Flag;
}
export interface FinalRow extends DeliveryRow {
  readonly state: FinalState;
  readonly reason: Delivery["reason"];
  readonly finishedAtMs: number;
}
const DELIVERY_COLUMNS = `d.seq, d.id, a.id AS appId, p.id AS endpointId, e.id AS eventId, e.event_type AS eventType, d.trigger,
  d.created_at_ms AS createdAtMs`;
const DELIVERY_JOINS = `JOIN apps a ON a.seq = d.app_seq JOIN endpoints p ON p.seq = d.endpoint_seq JOIN events e ON e.seq = d.event_seq`;
export const PENDING = `SELECT ${DELIVERY_COLUMNS}, d.failures AS attempts, d.due_at_ms AS dueAtMs, d.expires_at_ms AS expiresAtMs,
  d.leased_by IS NOT NULL AS leased FROM deliveries d ${DELIVERY_JOINS}`;
export const FINAL = `SELECT ${DELIVERY_COLUMNS}, d.attempts, d.state, d.reason, d.finished_at_ms AS finishedAtMs
  FROM delivery_history d ${DELIVERY_JOINS}`;

export function pendingOf({ seq: _, leased, ...row }: PendingRow): Delivery {
  return {
    ...row,
    state: "pending",
    reason: null,
    hold: row.dueAtMs === null ? "order" : null,
    leased: leased === 1,
    finishedAtMs: null,
  };
}

export function finalOf({ seq: _, ...row }: FinalRow): Delivery {
  return { ...row, hold: null, dueAtMs: null, expiresAtMs: null, leased: false };
}

export interface AttemptRow {
  readonly id: AttemptId;
  readonly deliveryId: DeliveryId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  readonly appId: AppId;
  readonly number: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly outcome: OutcomeKind;
  readonly status: number | null;
  readonly facts: string | null;
  readonly responseBody: Uint8Array | null;
  readonly url: string;
}
/** Of one delivery row, from either table. */
export const ATTEMPT = `
  WITH d AS (
    SELECT seq, id, app_seq, endpoint_seq, event_seq FROM deliveries WHERE id = ?1
    UNION ALL SELECT seq, id, app_seq, endpoint_seq, event_seq FROM delivery_history WHERE id = ?1
  )
  SELECT t.id, d.id AS deliveryId, p.id AS endpointId, e.id AS eventId, a.id AS appId, t.number, t.started_at_ms AS startedAtMs,
    t.duration_ms AS durationMs, t.outcome, t.status, t.facts, t.response_body AS responseBody, t.url
  FROM d JOIN attempts t ON t.delivery_seq = d.seq ${DELIVERY_JOINS}`;

export function attemptOf({ outcome, status, facts, ...row }: AttemptRow): Attempt {
  return { ...row, outcome: outcomeOf(outcome, status, facts) };
}

export interface ReplayRow {
  readonly seq: number;
  readonly id: ReplayId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly states: string;
  readonly eventTypes: string;
  readonly state: ReplayState;
  readonly cursor: string | null;
  readonly examined: number;
  readonly created: number;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
}
export const REPLAY = `SELECT r.seq, r.id, a.id AS appId, p.id AS endpointId, r.since_ms AS sinceMs, r.until_ms AS untilMs, r.states,
  r.event_types AS eventTypes, r.state, r.cursor, r.examined, r.created, r.created_at_ms AS createdAtMs,
  r.finished_at_ms AS finishedAtMs
  FROM replays r JOIN apps a ON a.seq = r.app_seq JOIN endpoints p ON p.seq = r.endpoint_seq`;

export function replayOf({ seq: _, ...row }: ReplayRow): StoredReplay {
  return { ...row, states: JSON.parse(row.states), eventTypes: JSON.parse(row.eventTypes) };
}

export interface NodeRow {
  readonly seq: number;
  readonly id: IncarnationId;
  readonly name: string;
  readonly version: string;
  readonly roles: string;
  readonly startedAtMs: number;
  readonly beatAtMs: number;
  readonly voided: Flag;
  readonly retired: Flag;
  readonly leased: number;
  readonly dueAtMs: number | null;
}
export const NODE = `SELECT i.seq, i.id, i.name, i.version, i.roles, i.started_at_ms AS startedAtMs, i.beat_at_ms AS beatAtMs,
  i.voided_at_ms IS NOT NULL AS voided, i.retired,
  (SELECT count(*) FROM deliveries d WHERE d.leased_by = i.seq) AS leased,
  (SELECT min(d.due_at_ms) FROM deliveries d WHERE d.leased_by = i.seq) AS dueAtMs
  FROM incarnations i`;

export function nodeOf(
  { seq: _, roles, beatAtMs, voided, retired, dueAtMs, ...row }: NodeRow,
  nowMs: number,
): Node {
  const ended = retired === 1 ? "retired" : "silent";
  return {
    ...row,
    roles: JSON.parse(roles),
    state: voided === 1 ? ended : "alive",
    beatAgoMs: Math.max(0, nowMs - beatAtMs),
    // A store for one node shares no lane, so none is owned.
    ownedLanes: 0,
    lagMs: dueAtMs === null ? null : Math.max(0, nowMs - dueAtMs),
  };
}

function jsonOf(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}

/** Rows as PostgreSQL gives them, and the nouns of the domain that they stand for. Lists of columns name their table's alias. */
import type {
  AppId,
  AttemptId,
  DeliveryId,
  EndpointId,
  EventId,
  KeyId,
  PublicationId,
  ReplayId,
} from "../../../base/ids.ts";
import type { App } from "../../../domain/app.ts";
import type { Attempt, OutcomeKind } from "../../../domain/attempt.ts";
import type { Delivery } from "../../../domain/delivery.ts";
import type { EventType } from "../../../domain/event-type.ts";
import type { KeyRole } from "../../../domain/key.ts";
import type { OwnershipPolicy } from "../../../domain/ownership.ts";
import type { StoredPublication } from "../../../domain/publication.ts";
import type { ReplayState } from "../../../domain/replay.ts";
import { outcomeOf } from "../../outcome.ts";
import type { StoredEvent, StoredKey, StoredReplay } from "../../store.ts";

export interface AppRow {
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
/** `a`. What an event is matched against changes with the catalogue too, so both versions count. */
export const APP_COLUMNS = `a.id, a.uid, a.name, a.metadata, a.retention_days AS "retentionDays", a.limits,
  a.ownership_check AS "ownershipCheck",
  a.config_version + (SELECT catalogue_version FROM posthorn.facts) AS "configVersion",
  a.created_at_ms AS "createdAtMs", a.updated_at_ms AS "updatedAtMs"`;

export function appOf({ metadata, limits, ...row }: AppRow): App {
  return { ...row, metadata: JSON.parse(metadata), limits: JSON.parse(limits) };
}

export interface EventTypeRow {
  readonly name: string;
  readonly description: string;
  readonly schema: string | null;
  readonly example: string | null;
  readonly group: string | null;
  readonly deprecated: boolean;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}
/** `t` */
export const EVENT_TYPE_COLUMNS = `t.name, t.description, t.schema, t.example, t.group_name AS "group", t.deprecated,
  t.created_at_ms AS "createdAtMs", t.updated_at_ms AS "updatedAtMs"`;

export function eventTypeOf({ schema, example, ...row }: EventTypeRow): EventType {
  return { ...row, schema: jsonOf(schema), example: jsonOf(example) };
}

export interface KeyRow {
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
/** `k` */
export const KEY_COLUMNS = `k.id, k.hash, k.role, k.app_id AS "appId", k.name, k.limits, k.prefix, k.created_at_ms AS "createdAtMs",
  k.expires_at_ms AS "expiresAtMs", k.last_used_at_ms AS "lastUsedAtMs"`;

/** `k`. A key ends with its app: a node of before keys had one removes the app and leaves the key. */
export const IS_LIVING_KEY = `(k.app_id IS NULL
  OR EXISTS (SELECT 1 FROM posthorn.apps a WHERE a.id = k.app_id AND a.removed_at_ms IS NULL))`;

export function keyOf({ limits, ...row }: KeyRow): StoredKey {
  return { ...row, limits: JSON.parse(limits) };
}

/** `s` */
export const SESSION_COLUMNS = `s.id, s.hash, s.key_id AS "keyId", s.created_at_ms AS "createdAtMs", s.expires_at_ms AS "expiresAtMs"`;

export interface EventRow {
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
  readonly fanOutPending: boolean;
}
/** `e`. The length of a payload is known without reading it. */
export const EVENT_COLUMNS = `e.id, e.app_id AS "appId", e.uid, e.event_type AS "eventType", e.timestamp, e.channels,
  e.ordering_key AS "orderingKey", e.deliver_at_ms AS "deliverAtMs", e.hops, length(e.payload) AS "payloadBytes",
  e.data_start AS "dataStart", e.data_end AS "dataEnd", e.accepted_at_ms AS "acceptedAtMs", e.expunged_at_ms AS "expungedAtMs"`;
/** `e` */
export const FAN_OUT_PENDING = `EXISTS (SELECT 1 FROM posthorn.fan_outs f WHERE f.event_id = e.id) AS "fanOutPending"`;
/** `e`. NULL once expunged. */
export const PAYLOAD = `CASE WHEN e.expunged_at_ms IS NULL THEN e.payload END AS payload`;

export function eventOf(
  { fanOutPending, channels, ...row }: EventRow,
  payload: Uint8Array | null,
): StoredEvent {
  return {
    ...row,
    payload,
    channels: channels === null ? [] : JSON.parse(channels),
    fanOut: fanOutPending ? "pending" : "done",
  };
}

export interface DeliveryRow extends Omit<Delivery, "hold"> {}
/** `d` */
const DELIVERY_COLUMNS = `d.id, d.endpoint_id AS "endpointId", d.event_id AS "eventId", d.event_type AS "eventType", d.trigger,
  d.created_at_ms AS "createdAtMs"`;
/** `d`, of deliveries. */
export const PENDING_COLUMNS = `${DELIVERY_COLUMNS}, d.failures AS attempts, d.due_at_ms AS "dueAtMs", d.expires_at_ms AS "expiresAtMs",
  d.leased_by IS NOT NULL AS leased, 'pending'::text AS state, NULL::text AS reason, NULL::bigint AS "finishedAtMs"`;
/** `d`, of delivery_history. */
export const FINAL_COLUMNS = `${DELIVERY_COLUMNS}, d.attempts, NULL::bigint AS "dueAtMs", NULL::bigint AS "expiresAtMs",
  false AS leased, d.state, d.reason, d.finished_at_ms AS "finishedAtMs"`;

export function deliveryOf(row: DeliveryRow): Delivery {
  return { ...row, hold: row.state === "pending" && row.dueAtMs === null ? "order" : null };
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
/** `t` */
export const ATTEMPT_COLUMNS = `t.id, t.delivery_id AS "deliveryId", t.number, t.started_at_ms AS "startedAtMs",
  t.duration_ms AS "durationMs", t.outcome, t.status, t.facts, t.response_body AS "responseBody", t.url`;

export function attemptOf({ outcome, status, facts, ...row }: AttemptRow): Attempt {
  return { ...row, outcome: outcomeOf(outcome, status, facts) };
}

export interface ReplayRow {
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
/** `r` */
export const REPLAY_COLUMNS = `r.id, r.app_id AS "appId", r.endpoint_id AS "endpointId", r.since_ms AS "sinceMs", r.until_ms AS "untilMs",
  r.states, r.event_types AS "eventTypes", r.state, r.cursor, r.examined, r.created, r.created_at_ms AS "createdAtMs",
  r.finished_at_ms AS "finishedAtMs"`;

export function replayOf({ states, eventTypes, ...row }: ReplayRow): StoredReplay {
  return { ...row, states: JSON.parse(states), eventTypes: JSON.parse(eventTypes) };
}

export interface PublicationRow {
  readonly id: PublicationId;
  readonly appId: AppId;
  readonly envelope: string;
  readonly data: Uint8Array;
  readonly idempotencyKey: string | null;
  readonly createdAtMs: number;
  readonly problem: string | null;
  readonly refusedAtMs: number | null;
}
/** `b` */
export const PUBLICATION_COLUMNS = `b.id, b.app_id AS "appId", b.envelope, b.data, b.idempotency_key AS "idempotencyKey",
  b.created_at_ms AS "createdAtMs", b.problem, b.refused_at_ms AS "refusedAtMs"`;

export function publicationOf({ envelope, problem, ...row }: PublicationRow): StoredPublication {
  return {
    ...row,
    envelope: JSON.parse(envelope),
    problem: problem === null ? null : JSON.parse(problem),
  };
}

function jsonOf(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}

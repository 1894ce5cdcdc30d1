/** Endpoints with their secrets and lanes: for fanning out, for the dispatcher, for operators. */
import { type AppId, type EndpointId, type IncarnationId, isId } from "../../../base/ids.ts";
import type { BreakerState } from "../../../domain/breaker.ts";
import type {
  DeadLetterPolicy,
  DisableReason,
  Endpoint,
  EndpointStatus,
  Ordering,
} from "../../../domain/endpoint.ts";
import type { Scheme } from "../../../domain/scheme.ts";
import { accessOf } from "../../access.ts";
import type {
  AppConfig,
  EndpointConfig,
  EndpointRow,
  KnownEndpoint,
  LaneRecord,
  SealedSecret,
} from "../../store.ts";
import type { Context } from "../context.ts";
import { plainArray } from "../literal.ts";
import { APP_COLUMNS, type AppRow, appOf } from "./rows.ts";
import { isStorable } from "./text.ts";

export interface LaneColumns {
  readonly epoch: number;
  readonly owner: IncarnationId | null;
  readonly exclusive: boolean;
  readonly breaker: BreakerState;
  readonly backlog: boolean;
  readonly failingForMs: number | null;
}
/**
 * Something unleased of a class with that due time. Asked for the first of an index range: for any row at all the planner may
 * choose to read the table until it meets one.
 */
const waits = (due: string): string => `EXISTS (
    SELECT 1 FROM unnest('{0,1,2}'::smallint[]) AS each (class) CROSS JOIN LATERAL (
      SELECT 1 FROM posthorn.deliveries d
      WHERE d.endpoint_id = l.endpoint_id AND d.leased_by IS NULL AND d.class >= 0 AND d.class = each.class AND d.due_at_ms ${due}
      ORDER BY d.due_at_ms, d.id LIMIT 1
    ) first)`;
/**
 * `l`, with its owner `i`, who lives. The backlog is looked for from the lane's hint on: before it stand the dead rows of
 * what was claimed, and they are many while a long transaction keeps them from being cleared away. What an order holds has
 * no due time.
 */
export const LANE_COLUMNS = `l.epoch, i.id AS owner, l.exclusive, l.breaker,
  CASE WHEN l.failing_since_ms IS NOT NULL THEN greatest(0, posthorn.now_ms() - l.failing_since_ms) END AS "failingForMs",
  l.next_due_at_ms IS NOT NULL AND ${waits(">= l.next_due_at_ms")}
    OR l.sequence > 0 AND ${waits("IS NULL")} AS backlog`;
export const LIVING_OWNER =
  "LEFT JOIN posthorn.incarnations i ON i.number = l.owner AND i.voided_at_ms IS NULL";

export function laneOf(endpointId: EndpointId, appId: AppId, row: LaneColumns): LaneRecord {
  const { epoch, owner, exclusive, breaker, backlog, failingForMs } = row;
  return { endpointId, appId, epoch, owner, exclusive, breaker, backlog, failingForMs };
}

export interface WholeRow extends LaneColumns {
  readonly endpointId: EndpointId;
  readonly ofApp: AppId;
  readonly endpointUid: string | null;
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
  readonly status: EndpointStatus;
  readonly disableReason: DisableReason | null;
  readonly version: number;
  readonly madeAtMs: number;
  readonly changedAtMs: number;
  /** JSON: store/access.ts. */
  readonly access: string;
  readonly sealedHeaders: Uint8Array | null;
  readonly sealedCredentials: Uint8Array | null;
  readonly secrets: string;
  readonly filterErrors: number;
  readonly filterError: string | null;
}
/** `p`, with its lane. The names differ from those of an app, so that both can stand in one row. */
export const WHOLE_COLUMNS = `p.id AS "endpointId", p.app_id AS "ofApp", p.uid AS "endpointUid", p.url, p.description,
  p.event_types AS "eventTypes", p.channels, p.filter, p.rate_limit_per_second AS "rateLimitPerSecond",
  p.in_flight_max AS "inFlightMax", p.timeout_ms AS "timeoutMs", p.retry_schedule AS "retrySchedule", p.ordering,
  p.on_dead_letter AS "onDeadLetter", p.scheme, p.status, p.disable_reason AS "disableReason", p.version,
  p.created_at_ms AS "madeAtMs", p.updated_at_ms AS "changedAtMs", p.access, p.sealed_headers AS "sealedHeaders",
  p.sealed_credentials AS "sealedCredentials", p.secrets,
  l.filter_errors AS "filterErrors", l.filter_error AS "filterError", ${LANE_COLUMNS}`;
export const WITH_LANE = `JOIN posthorn.lanes l ON l.endpoint_id = p.id ${LIVING_OWNER}`;

interface ConfigRow extends AppRow, Omit<WholeRow, "endpointId"> {
  /** null: the app has none. */
  readonly endpointId: EndpointId | null;
}
const APP_ONCE = APP_COLUMNS.replace(
  "a.metadata",
  `CASE WHEN row_number() OVER (ORDER BY w."endpointId") = 1 THEN a.metadata END AS metadata`,
);
/**
 * The metadata, up to 16 KiB, come with the first row alone. Without a name, so that it is planned with its value: of the
 * endpoints an app may have three or nearly all.
 */
const CONFIG = {
  text: `SELECT ${APP_ONCE}, w.* FROM posthorn.apps a LEFT JOIN LATERAL (
      SELECT ${WHOLE_COLUMNS} FROM posthorn.endpoints p ${WITH_LANE} WHERE p.app_id = $1 AND p.removed_at_ms IS NULL
    ) w ON true
    WHERE a.id = $1 AND a.removed_at_ms IS NULL ORDER BY w."endpointId"`,
};
const APP_ID = {
  name: "read_app_id",
  text: "SELECT id FROM posthorn.apps WHERE uid = $1 AND removed_at_ms IS NULL",
};

const REFRESH = {
  name: "read_refresh",
  text: `SELECT k.id AS known, w.* FROM unnest($1::text[], $2::integer[], $3::integer[]) WITH ORDINALITY AS k (id, version, epoch, n)
    LEFT JOIN LATERAL (
      SELECT ${WHOLE_COLUMNS} FROM posthorn.endpoints p ${WITH_LANE} WHERE p.id = k.id AND p.removed_at_ms IS NULL
    ) w ON true
    WHERE w."endpointId" IS NULL OR w.version <> k.version OR w.epoch <> k.epoch ORDER BY k.n`,
};

const BY_ID = {
  name: "read_endpoint_by_id",
  text: `SELECT ${WHOLE_COLUMNS} FROM posthorn.endpoints p ${WITH_LANE} WHERE p.id = $1 AND p.removed_at_ms IS NULL`,
};
const BY_UID = {
  name: "read_endpoint_by_uid",
  text: `SELECT ${WHOLE_COLUMNS} FROM posthorn.endpoints p ${WITH_LANE}
    WHERE p.app_id = $2 AND p.uid = $1 AND p.removed_at_ms IS NULL`,
};

/** One round trip; one more by a uid. */
export async function config({ connections }: Context, reference: string): Promise<AppConfig | undefined> {
  if (!isStorable(reference)) return undefined;
  const [named] = isId("app", reference)
    ? [{ id: reference }]
    : await connections.runSafely<{ id: AppId }>("read", APP_ID, [reference]);
  if (named === undefined) return undefined;
  const rows = await connections.runSafely<ConfigRow>("read", CONFIG, [named.id]);
  const [first] = rows;
  if (first === undefined) return undefined;
  const { id, uid, name, metadata, retentionDays, limits, ownershipCheck, configVersion } = first;
  const { createdAtMs, updatedAtMs } = first;
  const facts = { id, uid, name, retentionDays, ownershipCheck, configVersion, createdAtMs, updatedAtMs };
  return {
    app: appOf({ ...facts, metadata, limits }),
    endpoints: rows.filter(hasEndpoint).map(configOf),
  };
}

function hasEndpoint(row: ConfigRow): row is ConfigRow & WholeRow {
  return row.endpointId !== null;
}

export async function refresh(
  { connections }: Context,
  known: readonly KnownEndpoint[],
): Promise<{ changed: EndpointConfig[]; gone: EndpointId[] }> {
  const changed: EndpointConfig[] = [];
  const gone: EndpointId[] = [];
  if (known.length === 0) return { changed, gone };
  const rows = await connections.runSafely<
    ({ readonly endpointId: null } | WholeRow) & { readonly known: EndpointId }
  >("read", REFRESH, [
    plainArray(known.map(({ endpointId }) => endpointId)),
    plainArray(known.map(({ version }) => version)),
    plainArray(known.map(({ epoch = null }) => epoch)),
  ]);
  for (const row of rows) {
    if (row.endpointId === null) gone.push(row.known);
    else changed.push(configOf(row));
  }
  return { changed, gone };
}

/** By its id, or by its uid within an app. */
export async function findEndpoint(
  { connections }: Context,
  id: string,
  appId: string | undefined,
): Promise<EndpointRow | undefined> {
  const [row] = isId("ep", id)
    ? await connections.runSafely<WholeRow>("read", BY_ID, [id])
    : appId === undefined
      ? []
      : await connections.runSafely<WholeRow>("read", BY_UID, [id, appId]);
  return row === undefined || (appId !== undefined && row.ofApp !== appId) ? undefined : wholeOf(row);
}

export function wholeOf(row: WholeRow): EndpointRow {
  return { ...configOf(row), filterErrors: row.filterErrors, filterError: row.filterError };
}

function configOf(row: WholeRow): EndpointConfig {
  return {
    endpoint: endpointOf(row),
    secrets: secretsOf(row.secrets),
    sealedHeaders: row.sealedHeaders,
    sealedCredentials: row.sealedCredentials,
    lane: laneOf(row.endpointId, row.ofApp, row),
  };
}

/** A node of the version before leaves the public key out: it has none. */
interface SecretText {
  readonly sealed: string;
  readonly expiresAtMs: number | null;
  readonly publicKey?: string | null;
}

export function secretsOf(json: string): SealedSecret[] {
  const secrets: SecretText[] = JSON.parse(json);
  return secrets.map(({ sealed, expiresAtMs, publicKey = null }) => ({
    sealed: Buffer.from(sealed, "base64"),
    expiresAtMs,
    publicKey: publicKey === null ? null : Buffer.from(publicKey, "base64"),
  }));
}

function endpointOf(row: WholeRow): Endpoint {
  return {
    id: row.endpointId,
    appId: row.ofApp,
    uid: row.endpointUid,
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
    createdAtMs: row.madeAtMs,
    updatedAtMs: row.changedAtMs,
  };
}

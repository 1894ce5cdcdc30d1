/** An endpoint in its tables: the row itself with its secrets, and its lane. The caller has its app locked. */
import type { AppId, EndpointId } from "../../../base/ids.ts";
import { type Endpoint, type EndpointStatus, effectiveRatePerSecond } from "../../../domain/endpoint.ts";
import { accessText } from "../../access.ts";
import type { Change, SealedSecret } from "../../store.ts";
import type { Run } from "../connections.ts";

type EndpointChange = Extract<Change, { kind: "endpoint" }>;
type StatusChange = Extract<Change, { kind: "endpoint_status" }>;

/** What a change is compared with. */
export interface EndpointBefore {
  readonly appId: AppId;
  readonly status: EndpointStatus;
  readonly exclusive: boolean;
}

const SETTINGS = [
  "uid",
  "url",
  "description",
  "event_types",
  "channels",
  "filter",
  "rate_limit_per_second",
  "in_flight_max",
  "timeout_ms",
  "retry_schedule",
  "ordering",
  "on_dead_letter",
  "scheme",
  "status",
  "disable_reason",
  "access",
  "sealed_headers",
  "sealed_credentials",
  "secrets",
] as const;

function settingsOf({ endpoint, sealedHeaders, sealedCredentials, secrets }: EndpointChange): unknown[] {
  return [
    endpoint.uid,
    endpoint.url,
    endpoint.description,
    JSON.stringify(endpoint.eventTypes),
    JSON.stringify(endpoint.channels),
    endpoint.filter,
    endpoint.rateLimitPerSecond,
    endpoint.inFlightMax,
    endpoint.timeoutMs,
    JSON.stringify(endpoint.retrySchedule),
    endpoint.ordering,
    endpoint.onDeadLetter,
    endpoint.scheme,
    endpoint.status,
    endpoint.disableReason,
    accessText(endpoint),
    sealedHeaders,
    sealedCredentials,
    secretsText(secrets),
  ];
}

function secretsText(secrets: readonly SealedSecret[]): string {
  const stored = secrets.map(({ sealed, expiresAtMs, publicKey }) => ({
    sealed: Buffer.from(sealed).toString("base64"),
    expiresAtMs: expiresAtMs === null ? null : Math.floor(expiresAtMs),
    publicKey: publicKey === null ? null : Buffer.from(publicKey).toString("base64"),
  }));
  return JSON.stringify(stored);
}

/** A cap below this is not divided: each node has at least 1, and so many nodes may there be. */
const DIVIDED_CAP_MIN = 16;

/** Sent by one node at a time, whatever its breaker does. */
function isExclusive(endpoint: Endpoint | EndpointChange["endpoint"]): boolean {
  const { ordering, inFlightMax } = endpoint;
  return (
    ordering !== "unordered" || effectiveRatePerSecond(endpoint) !== null || inFlightMax < DIVIDED_CAP_MIN
  );
}

/** How an update names the status that is entered. */
const STATUS = `$${SETTINGS.indexOf("status") + 4}`;

/** Since when it has been unverified without a break: $1 is the time, and the status entered the value so named. */
const unverifiedSince = (status: string): string =>
  `CASE WHEN ${status} = 'unverified' THEN CASE WHEN status = 'unverified' THEN unverified_at_ms ELSE $1::bigint END END`;

/** The app of an endpoint that is there. */
export async function appOf(run: Run, id: EndpointId): Promise<AppId | undefined> {
  const [row] = await run<{ appId: AppId }>(
    { text: `SELECT app_id AS "appId" FROM posthorn.endpoints WHERE id = $1 AND removed_at_ms IS NULL` },
    [id],
  );
  return row?.appId;
}

export async function endpointBefore(run: Run, id: EndpointId): Promise<EndpointBefore | undefined> {
  const [row] = await run<EndpointBefore>(
    {
      text: `SELECT e.app_id AS "appId", e.status, l.exclusive
        FROM posthorn.endpoints e JOIN posthorn.lanes l ON l.endpoint_id = e.id
        WHERE e.id = $1 AND e.removed_at_ms IS NULL`,
    },
    [id],
  );
  return row;
}

export async function insertEndpoint(run: Run, nowMs: number, change: EndpointChange): Promise<void> {
  const { id, appId, status } = change.endpoint;
  await run(
    {
      text: `INSERT INTO posthorn.endpoints (id, app_id, version, created_at_ms, updated_at_ms, unverified_at_ms, ${SETTINGS.join(", ")})
        VALUES ($1, $2, 1, $3, $3, $4, ${SETTINGS.map((_, index) => `$${index + 5}`).join(", ")})`,
    },
    [id, appId, nowMs, status === "unverified" ? nowMs : null, ...settingsOf(change)],
  );
  await run(
    {
      text: "INSERT INTO posthorn.lanes (endpoint_id, app_id, runnable, exclusive) VALUES ($1, $2, $3, $4)",
    },
    [id, appId, status === "enabled", isExclusive(change.endpoint)],
  );
}

/** False: another version than the one that was read. */
export async function updateEndpoint(
  run: Run,
  nowMs: number,
  change: EndpointChange,
  before: EndpointBefore,
): Promise<boolean> {
  const { endpoint } = change;
  const rows = await run(
    {
      text: `UPDATE posthorn.endpoints SET version = version + 1, updated_at_ms = $1,
        unverified_at_ms = ${unverifiedSince(STATUS)}, ${SETTINGS.map((name, index) => `${name} = $${index + 4}`).join(", ")}
        WHERE id = $2 AND version = $3 RETURNING id`,
    },
    [nowMs, endpoint.id, endpoint.version, ...settingsOf(change)],
  );
  if (rows.length === 0) return false;
  await enterStatus(run, endpoint.id, before, endpoint.status, isExclusive(endpoint));
  return true;
}

export async function setStatus(
  run: Run,
  nowMs: number,
  { endpointId, status, disableReason }: StatusChange,
  before: EndpointBefore,
): Promise<void> {
  await run(
    {
      text: `UPDATE posthorn.endpoints SET status = $3, disable_reason = $4, version = version + 1, updated_at_ms = $1,
          unverified_at_ms = ${unverifiedSince("$3")}
        WHERE id = $2`,
    },
    [nowMs, endpointId, status, disableReason],
  );
  await enterStatus(run, endpointId, before, status, before.exclusive);
}

// $4: it starts anew. Whoever owned the lane loses it when it becomes one for one node, and when it is shared from now on.
const SET_LANE = `UPDATE posthorn.lanes l SET runnable = $2, exclusive = $3,
    breaker = CASE WHEN $4 THEN 'closed' ELSE l.breaker END,
    probe_at_ms = CASE WHEN NOT $4 THEN l.probe_at_ms END,
    probe_every_ms = CASE WHEN NOT $4 THEN l.probe_every_ms END,
    failing_since_ms = CASE WHEN NOT $4 THEN l.failing_since_ms END,
    failures = CASE WHEN NOT $4 THEN l.failures ELSE 0 END,
    owner = CASE WHEN NOT before.loses_owner THEN l.owner END,
    epoch = l.epoch + CASE WHEN $4 OR before.loses_owner THEN 1 ELSE 0 END
  FROM (
    SELECT endpoint_id,
      ($3 AND NOT exclusive) OR (NOT $3 AND ($4 OR (exclusive AND breaker = 'closed'))) AS loses_owner
    FROM posthorn.lanes WHERE endpoint_id = $1 FOR NO KEY UPDATE
  ) AS before
  WHERE l.endpoint_id = before.endpoint_id`;

/** The lane follows the status. Enabling what was disabled, or has proved itself, starts anew: old failures are no reason to disable it again. */
async function enterStatus(
  run: Run,
  id: EndpointId,
  before: EndpointBefore,
  status: EndpointStatus,
  exclusive: boolean,
): Promise<void> {
  const rested = before.status === "disabled" || before.status === "unverified";
  const startsAnew = rested && status === "enabled";
  await run({ text: SET_LANE }, [id, status === "enabled", exclusive, startsAnew]);
}

/** Opens the ordered keys that stand still. True: something became due by it. */
export async function liftBlocks(run: Run, id: EndpointId, nowMs: number): Promise<boolean> {
  await run({ text: "SELECT FROM posthorn.lanes WHERE endpoint_id = $1 FOR NO KEY UPDATE" }, [id]);
  const keys = await run<{ orderKey: string }>(
    { text: `DELETE FROM posthorn.lane_blocks WHERE endpoint_id = $1 RETURNING order_key AS "orderKey"` },
    [id],
  );
  if (keys.length === 0) return false;
  const heads = await run<{ released: boolean }>(
    { text: "SELECT posthorn.release_head($1, key, $3) AS released FROM unnest($2::text[]) AS key" },
    [id, keys.map(({ orderKey }) => orderKey), nowMs],
  );
  return heads.some(({ released }) => released);
}

/** Stops the lanes for good, destroys what was secret, and leaves rows for what is still known of them. */
export async function removeEndpoints(run: Run, ids: readonly EndpointId[], nowMs: number): Promise<void> {
  await run(
    {
      text: `UPDATE posthorn.endpoints SET removed_at_ms = $2, unverified_at_ms = NULL, sealed_headers = NULL, sealed_credentials = NULL,
          secrets = '[]'
        WHERE id = ANY ($1::text[])`,
    },
    [ids, nowMs],
  );
  // Before the lanes: a step of a replay has its replay's row first, too.
  await run(
    {
      text: `UPDATE posthorn.replays SET state = 'cancelled', finished_at_ms = $2
        WHERE endpoint_id = ANY ($1::text[]) AND state = 'running'`,
    },
    [ids, nowMs],
  );
  await run(
    {
      text: `UPDATE posthorn.lanes l SET removed = true, runnable = false, owner = NULL, epoch = l.epoch + 1
        FROM (SELECT endpoint_id FROM posthorn.lanes WHERE endpoint_id = ANY ($1::text[])
          ORDER BY endpoint_id FOR NO KEY UPDATE) AS locked
        WHERE l.endpoint_id = locked.endpoint_id`,
    },
    [ids],
  );
}

/** Deliveries made after their event was accepted: chunked fan-out, redelivery, replay. All stored unleased. */
import { type AppId, type DeliveryId, type EndpointId, type EventId, locatorOf } from "../../../base/ids.ts";
import type { DeliveryClass, DeliveryTrigger } from "../../../domain/delivery.ts";
import type { Ordering } from "../../../domain/endpoint.ts";
import type { RedeliverResult, Redelivery } from "../../store.ts";
import type { Run } from "../connections.ts";
import type { Context } from "../context.ts";
import { type Day, dayOfId, daysOfId } from "../day.ts";
import { plainArray, textArray } from "../literal.ts";
import { storeNow } from "./duty.ts";

/** What a later delivery takes from its event. */
export interface EventFacts {
  readonly id: EventId;
  readonly day: Day;
  readonly retentionDays: number;
  readonly eventType: string;
  readonly payloadBytes: number;
}

export interface LaterDelivery {
  readonly id: DeliveryId;
  readonly event: EventFacts;
  readonly endpointId: EndpointId;
  readonly trigger: DeliveryTrigger;
  readonly class: DeliveryClass;
  readonly orderKey: string | null;
  readonly dueAtMs: number;
  readonly expiresAtMs: number;
}

interface FoundEvent extends EventFacts {
  readonly appId: AppId;
  readonly expunged: boolean;
}

export interface LockedLane {
  readonly endpointId: EndpointId;
  readonly appId: AppId;
  readonly ordering: Ordering;
}

export async function redeliver(
  context: Context,
  redeliveries: readonly Redelivery[],
): Promise<RedeliverResult[]> {
  const results = await context.connections.transaction("work", (run) =>
    redeliverIn(context, run, redeliveries),
  );
  if (results.some(({ kind }) => kind === "created")) context.wake({ kind: "due" });
  return results;
}

/** Outside the order, due at once. Within a transaction that has locked no lane yet. */
export async function redeliverIn(
  { connections }: Context,
  run: Run,
  redeliveries: readonly Redelivery[],
): Promise<RedeliverResult[]> {
  if (redeliveries.length === 0) return [];
  const events = await findEvents(run, redeliveries, connections.advancedMs);
  const lanes = await lockLivingLanes(
    run,
    redeliveries.map(({ endpointId }) => endpointId),
  );
  // With the lanes in hand: nothing becomes due at a time that a claim has passed already.
  const nowMs = await storeNow(run);
  const made: LaterDelivery[] = [];
  const results = redeliveries.map((redelivery): RedeliverResult => {
    const event = events.get(redelivery.eventId);
    if (event === undefined) return { kind: "no_event" };
    if (event.expunged) return { kind: "expunged" };
    if (lanes.get(redelivery.endpointId)?.appId !== event.appId) return { kind: "no_endpoint" };
    const expiresAtMs = nowMs + Math.round(redelivery.expiresInMs);
    made.push({ ...redelivery, event, orderKey: null, dueAtMs: nowMs, expiresAtMs });
    return { kind: "created" };
  });
  await insertLater(run, made, nowMs, connections.advancedMs);
  return results;
}

/** One statement, planned with the days, so that it looks at their partitions alone. */
async function findEvents(
  run: Run,
  redeliveries: readonly Redelivery[],
  advancedMs: number,
): Promise<Map<EventId, FoundEvent>> {
  const ids = [...new Set(redeliveries.map(({ eventId }) => eventId))];
  const locators = new Set(ids.map(locatorOf));
  const days = new Set(ids.flatMap((id) => daysOfId(id, advancedMs)));
  const rows = await run<FoundEvent>(
    {
      text: `SELECT id, app_id AS "appId", day, retention_days AS "retentionDays", event_type AS "eventType",
          length(payload) AS "payloadBytes", expunged_at_ms IS NOT NULL AS expunged
        FROM posthorn.events
        WHERE locator = ANY ($1::integer[]) AND day = ANY ($2::date[]) AND id = ANY ($3::text[])`,
    },
    [plainArray([...locators]), plainArray([...days]), plainArray(ids)],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** The lanes of those endpoints that are still there. They stay as they are until the transaction ends. */
export async function lockLivingLanes(
  run: Run,
  endpointIds: readonly EndpointId[],
): Promise<Map<EndpointId, LockedLane>> {
  const rows = await run<LockedLane>(
    {
      text: `SELECT l.endpoint_id AS "endpointId", l.app_id AS "appId", p.ordering
        FROM posthorn.lanes l JOIN posthorn.endpoints p ON p.id = l.endpoint_id
        WHERE l.endpoint_id = ANY ($1::text[]) AND NOT l.removed
        ORDER BY l.endpoint_id FOR NO KEY UPDATE OF l`,
    },
    [plainArray([...new Set(endpointIds)])],
  );
  return new Map(rows.map((row) => [row.endpointId, row]));
}

// An ordered one takes the next number of its lane, and waits if anything of its key is unfinished or its key is blocked.
const INSERT = `WITH given AS (
    SELECT * FROM unnest($1::text[], $2::integer[], $3::date[], $4::text[], $5::text[], $6::date[], $7::smallint[],
      $8::text[], $9::integer[], $10::text[], $11::smallint[], $12::text[], $13::bigint[], $14::bigint[])
    AS given (id, locator, day, endpoint_id, event_id, event_day, retention_days, event_type, payload_bytes, trigger, class,
      order_key, due_at_ms, expires_at_ms)
  ), numbered AS (
    UPDATE posthorn.lanes l SET sequence = l.sequence + 1
    FROM given WHERE given.endpoint_id = l.endpoint_id AND given.order_key IS NOT NULL
    RETURNING l.endpoint_id, l.sequence
  )
  INSERT INTO posthorn.deliveries (id, locator, day, endpoint_id, event_id, event_day, retention_days, event_type,
    payload_bytes, trigger, class, order_key, sequence, due_at_ms, expires_at_ms, created_at_ms, later)
  SELECT id, locator, day, given.endpoint_id, event_id, event_day, retention_days, event_type,
    payload_bytes, trigger, class, order_key, numbered.sequence,
    CASE WHEN NOT (order_key IS NOT NULL AND (
      EXISTS (SELECT FROM posthorn.deliveries other
        WHERE other.endpoint_id = given.endpoint_id AND other.order_key = given.order_key)
      OR EXISTS (SELECT FROM posthorn.lane_blocks block
        WHERE block.endpoint_id = given.endpoint_id AND block.order_key = given.order_key)
    )) THEN due_at_ms END,
    expires_at_ms, $15::bigint, true
  FROM given LEFT JOIN numbered ON numbered.endpoint_id = given.endpoint_id AND given.order_key IS NOT NULL
  RETURNING endpoint_id AS "endpointId", due_at_ms AS "dueAtMs"`;

/** Their lanes are locked. At most one ordered delivery of a lane. */
export async function insertLater(
  run: Run,
  deliveries: readonly LaterDelivery[],
  nowMs: number,
  advancedMs: number,
): Promise<void> {
  if (deliveries.length === 0) return;
  const rows = await run<{ endpointId: EndpointId; dueAtMs: number | null }>({ text: INSERT }, [
    plainArray(deliveries.map(({ id }) => id)),
    plainArray(deliveries.map(({ id }) => locatorOf(id))),
    plainArray(deliveries.map(({ id }) => dayOfId(id, advancedMs))),
    plainArray(deliveries.map(({ endpointId }) => endpointId)),
    plainArray(deliveries.map(({ event }) => event.id)),
    plainArray(deliveries.map(({ event }) => event.day)),
    plainArray(deliveries.map(({ event }) => event.retentionDays)),
    textArray(deliveries.map(({ event }) => event.eventType)),
    plainArray(deliveries.map(({ event }) => event.payloadBytes)),
    plainArray(deliveries.map(({ trigger }) => trigger)),
    plainArray(deliveries.map((each) => each.class)),
    textArray(deliveries.map(({ orderKey }) => orderKey)),
    plainArray(deliveries.map(({ dueAtMs }) => dueAtMs)),
    plainArray(deliveries.map(({ expiresAtMs }) => expiresAtMs)),
    nowMs,
  ]);
  const due = rows.filter(({ dueAtMs }) => dueAtMs !== null);
  await noteDue(
    run,
    due.map(({ endpointId }) => endpointId),
    due.map(({ dueAtMs }) => dueAtMs ?? 0),
  );
}

/** Something of these lanes is stored unleased and due then. */
export async function noteDue(
  run: Run,
  endpointIds: readonly EndpointId[],
  dueAtMs: readonly number[],
): Promise<void> {
  if (endpointIds.length === 0) return;
  await run({ text: "SELECT posthorn.note_due($1, $2)" }, [plainArray(endpointIds), plainArray(dueAtMs)]);
}

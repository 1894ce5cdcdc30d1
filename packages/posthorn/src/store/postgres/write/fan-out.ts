/** Continues events for more endpoints than are reached at once, oldest event first. */
import { type EndpointId, type EventId, locatorOf, newId } from "../../../base/ids.ts";
import type { DutyResult } from "../../store.ts";
import type { Run } from "../connections.ts";
import type { Context } from "../context.ts";
import type { Day } from "../day.ts";
import { storeNow, takeTurn } from "./duty.ts";
import {
  type EventFacts,
  insertLater,
  type LaterDelivery,
  type LockedLane,
  lockLivingLanes,
} from "./later.ts";

interface FanOutRow {
  readonly eventId: EventId;
  readonly eventDay: Day;
  readonly retentionDays: number;
  readonly cursor: number;
  readonly total: number;
  /** The next ones, frozen at accept. */
  readonly endpoints: EndpointId[];
}

interface FannedOut extends EventFacts {
  readonly orderingKey: string | null;
  readonly deliverAtMs: number | null;
}

interface Step extends DutyResult {
  readonly made: number;
}

const NOTHING: Step = { done: 0, more: false, made: 0 };

/** Each event's part is a transaction of its own, so that its lanes are locked in one order. */
export async function extendFanOut(context: Context, deliveriesMax: number): Promise<DutyResult> {
  let done = 0;
  let made = 0;
  let more = true;
  while (more && done < deliveriesMax) {
    const step = await context.connections.transaction("work", (run) =>
      extendFirst(context, run, deliveriesMax - done),
    );
    done += step.done;
    made += step.made;
    more = step.more;
  }
  if (made > 0) context.wake({ kind: "due" });
  return { done, more };
}

async function extendFirst(context: Context, run: Run, deliveriesMax: number): Promise<Step> {
  if ((await takeTurn(run, "fan_out")) === undefined) return NOTHING;
  const row = await firstOf(run, deliveriesMax);
  if (row === undefined) return NOTHING;
  const event = await findEvent(run, row);
  const made = event === undefined ? 0 : await deliver(context, run, event, row.endpoints);
  await move(run, row);
  const [left] = await run<{ more: boolean }>({
    text: "SELECT EXISTS (SELECT FROM posthorn.fan_outs) AS more",
  });
  return { done: row.endpoints.length, more: left?.more ?? false, made };
}

async function firstOf(run: Run, deliveriesMax: number): Promise<FanOutRow | undefined> {
  const [row] = await run<FanOutRow>(
    {
      text: `SELECT f.event_id AS "eventId", f.event_day AS "eventDay", f.retention_days AS "retentionDays", f.cursor,
          json_array_length(f.endpoints::json) AS total,
          ARRAY(SELECT each.id FROM json_array_elements_text(f.endpoints::json) WITH ORDINALITY AS each (id, place)
            WHERE each.place > f.cursor ORDER BY each.place LIMIT $1) AS endpoints
        FROM posthorn.fan_outs f ORDER BY f.event_id LIMIT 1 FOR UPDATE`,
    },
    [deliveriesMax],
  );
  return row;
}

async function findEvent(run: Run, row: FanOutRow): Promise<FannedOut | undefined> {
  const [event] = await run<FannedOut>(
    {
      text: `SELECT id, day, retention_days AS "retentionDays", event_type AS "eventType", length(payload) AS "payloadBytes",
          ordering_key AS "orderingKey", deliver_at_ms AS "deliverAtMs"
        FROM posthorn.events WHERE retention_days = $1 AND locator = $2 AND day = $3 AND id = $4`,
    },
    [row.retentionDays, locatorOf(row.eventId), row.eventDay, row.eventId],
  );
  return event;
}

/** Endpoints removed since are passed over: their deliveries would be cancelled. Answers how many were made. */
async function deliver(
  { connections, settings }: Context,
  run: Run,
  event: FannedOut,
  endpointIds: readonly EndpointId[],
): Promise<number> {
  const lanes = await lockLivingLanes(run, endpointIds);
  // With the lanes in hand: nothing becomes due at a time that a claim has passed already.
  const nowMs = await storeNow(run);
  const dueAtMs = Math.max(nowMs, event.deliverAtMs ?? 0);
  const deliveries = [...lanes.values()].map(
    (lane): LaterDelivery => ({
      id: newId("dlv", locatorOf(lane.appId)),
      event,
      endpointId: lane.endpointId,
      trigger: "publish",
      class: 1,
      orderKey: orderKeyOf(lane, event.orderingKey),
      dueAtMs,
      expiresAtMs: dueAtMs + settings.waitMsMax,
    }),
  );
  await insertLater(run, deliveries, nowMs, connections.advancedMs);
  return deliveries.length;
}

function orderKeyOf({ ordering }: LockedLane, orderingKey: string | null): string | null {
  switch (ordering) {
    case "unordered":
      return null;
    case "fifo":
      return "";
    case "keyed":
      return orderingKey;
  }
}

async function move(run: Run, { eventId, cursor, endpoints, total }: FanOutRow): Promise<void> {
  const reached = cursor + endpoints.length;
  if (reached >= total) await run({ text: "DELETE FROM posthorn.fan_outs WHERE event_id = $1" }, [eventId]);
  else
    await run({ text: "UPDATE posthorn.fan_outs SET cursor = $2 WHERE event_id = $1" }, [eventId, reached]);
}

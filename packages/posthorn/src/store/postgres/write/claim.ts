/** Claim: the due deliveries of all named lanes in one statement (migrations/0008.sql). */
import type { AppId, DeliveryId, EndpointId, EventId } from "../../../base/ids.ts";
import { locatorOf } from "../../../base/ids.ts";
import type { DeliveryClass, DeliveryTrigger } from "../../../domain/delivery.ts";
import type { Claim, ClaimedDelivery, ClaimedLane, LaneRoom } from "../../store.ts";
import { type Context, numberOf } from "../context.ts";
import { plainArray } from "../literal.ts";

/** A lane's own row has no id; a delivery's row has no epoch. */
interface Row {
  readonly lane: number;
  readonly epoch: number | null;
  readonly elsewhere: boolean | null;
  readonly more: boolean | null;
  readonly next_due_at_ms: number | null;
  readonly id: DeliveryId | null;
  readonly app_id: AppId;
  readonly event_id: EventId;
  readonly event_type: string;
  readonly trigger: DeliveryTrigger;
  readonly class: DeliveryClass;
  readonly order_key: string | null;
  readonly failures: number;
  readonly attempts: number;
  readonly expunged: boolean;
  readonly hops: number;
  readonly payload: Buffer;
}

interface LaneInHand extends ClaimedLane {
  readonly deliveries: ClaimedDelivery[];
}

const CLAIM = {
  name: "claim",
  text: "SELECT * FROM posthorn.claim_deliveries($1, $2, $3, $4, $5, $6, $7, $8)",
};

export async function claim(
  context: Context,
  { incarnation, lanes, bytesMax }: Claim,
): Promise<ClaimedLane[]> {
  const rows = await context.connections.run<Row>("claim", CLAIM, [
    plainArray(lanes.map(({ endpointId }) => endpointId)),
    plainArray(lanes.map(({ room }) => room[0])),
    plainArray(lanes.map(({ room }) => room[1])),
    plainArray(lanes.map(({ room }) => room[2])),
    plainArray(lanes.map(({ totalMax }) => totalMax)),
    plainArray(lanes.map(({ endpointId }) => context.claimedUntilMs.get(endpointId) ?? 0)),
    numberOf(context, incarnation),
    Math.floor(bytesMax),
  ]);
  const claimed = lanes.map(({ endpointId }): LaneInHand => nothing(endpointId));
  const expunged: DeliveryId[] = [];
  for (const row of rows) {
    const lane = claimed[row.lane - 1];
    if (lane === undefined) throw new Error(`a claim answered for lane ${row.lane} of ${lanes.length}`);
    if (row.id === null) {
      const { epoch, elsewhere, more } = row;
      remember(context, lane.endpointId, more === true ? row.next_due_at_ms : null);
      claimed[row.lane - 1] = {
        ...lane,
        epoch: epoch ?? 0,
        elsewhere: elsewhere === true,
        more: more === true,
      };
    } else if (row.expunged) expunged.push(row.id);
    else lane.deliveries.push(deliveryOf(lane, row, row.id));
  }
  if (expunged.length > 0) await cancelExpunged(context, expunged);
  return claimed;
}

/**
 * Where the next claim of the lane begins. Who stores something at an earlier time, because he read the clock before he
 * waited for the lane, lowers the hint in its row: he is found when the lane runs dry.
 */
function remember({ claimedUntilMs }: Context, endpointId: EndpointId, nextDueAtMs: number | null): void {
  if (nextDueAtMs === null) claimedUntilMs.delete(endpointId);
  else claimedUntilMs.set(endpointId, nextDueAtMs);
}

function nothing(endpointId: LaneRoom["endpointId"]): LaneInHand {
  return { endpointId, epoch: 0, elsewhere: false, deliveries: [], more: false };
}

function deliveryOf({ endpointId }: LaneInHand, row: Row, id: DeliveryId): ClaimedDelivery {
  return {
    id,
    appId: row.app_id,
    endpointId,
    eventId: row.event_id,
    eventType: row.event_type,
    trigger: row.trigger,
    class: row.class,
    orderKey: row.order_key,
    failures: row.failures,
    attempts: row.attempts,
    hops: row.hops,
    payload: row.payload,
  };
}

/** Expunging ends what is pending; these a crash left behind. Their bytes are zeros and must not be sent. */
async function cancelExpunged(context: Context, ids: readonly DeliveryId[]): Promise<void> {
  await context.connections.run(
    "claim",
    {
      text: `SELECT 1 FROM posthorn.finish($1, $2, array_fill('cancelled'::text, ARRAY[$3::integer]), array_fill('expunged'::text, ARRAY[$3::integer]),
        array_fill(0, ARRAY[$3::integer]), posthorn.now_ms())`,
    },
    [plainArray(ids.map(locatorOf)), plainArray(ids), ids.length],
  );
}

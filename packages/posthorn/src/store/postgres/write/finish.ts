/** Ends of deliveries that do not come from their attempts, and the order in which everybody locks lanes and deliveries. */
import { type DeliveryId, type EndpointId, locatorOf } from "../../../base/ids.ts";
import type { CancelReason, DeadLetterReason, FinalState } from "../../../domain/delivery.ts";
import type { EndedDelivery } from "../../store.ts";
import type { Run } from "../connections.ts";
import { plainArray } from "../literal.ts";

export interface End {
  readonly id: DeliveryId;
  readonly state: FinalState;
  readonly reason: DeadLetterReason | CancelReason | null;
  /** 1: an attempt that counts goes with it. */
  readonly attempts: 0 | 1;
}

export interface Finished {
  readonly ended: readonly EndedDelivery[];
  /** The next of an order is due now. */
  readonly released: boolean;
}

interface FinishedRow {
  readonly id: DeliveryId;
  readonly app_id: EndedDelivery["appId"];
  readonly endpoint_id: EndpointId;
  readonly event_id: EndedDelivery["eventId"];
  readonly event_type: string;
  readonly state: FinalState;
  readonly reason: End["reason"];
  readonly released: boolean;
}

/** Ends deliveries, whoever holds them. The lanes of ordered ones are locked. Those that are not unfinished are passed over. */
export async function finish(run: Run, ends: readonly End[], nowMs: number): Promise<Finished> {
  if (ends.length === 0) return { ended: [], released: false };
  const rows = await run<FinishedRow>({ text: "SELECT * FROM posthorn.finish($1, $2, $3, $4, $5, $6)" }, [
    plainArray(ends.map(({ id }) => locatorOf(id))),
    plainArray(ends.map(({ id }) => id)),
    plainArray(ends.map(({ state }) => state)),
    plainArray(ends.map(({ reason }) => reason)),
    plainArray(ends.map(({ attempts }) => attempts)),
    nowMs,
  ]);
  return { ended: rows.map(endedOf), released: rows.some(({ released }) => released) };
}

function endedOf(row: FinishedRow): EndedDelivery {
  const { id, app_id, endpoint_id, event_id, event_type, state, reason } = row;
  return {
    id,
    appId: app_id,
    endpointId: endpoint_id,
    eventId: event_id,
    eventType: event_type,
    state,
    reason,
  };
}

/** Before their deliveries. All that a transaction needs are locked at once, so that two wait for one another in one order. */
export async function lockLanes(run: Run, endpointIds: readonly EndpointId[]): Promise<void> {
  if (endpointIds.length === 0) return;
  await run(
    {
      text: `SELECT FROM posthorn.lanes WHERE endpoint_id = ANY ($1::text[]) ORDER BY endpoint_id FOR NO KEY UPDATE`,
    },
    [plainArray([...new Set(endpointIds)])],
  );
}

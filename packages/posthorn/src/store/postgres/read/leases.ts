import type { DeliveryId, IncarnationId } from "../../../base/ids.ts";
import type { Lease } from "../../store.ts";
import type { Context } from "../context.ts";

/** A node holds at most 10,000, so sorting them is a small thing. */
const LEASES = {
  name: "read_leases",
  text: `SELECT d.id AS "deliveryId", p.app_id AS "appId", d.endpoint_id AS "endpointId", d.event_id AS "eventId"
    FROM posthorn.deliveries d JOIN posthorn.endpoints p ON p.id = d.endpoint_id
    WHERE d.leased_by = (SELECT number FROM posthorn.incarnations WHERE id = $1) AND d.id > $2 ORDER BY d.id LIMIT $3`,
};

export function leases(
  { connections }: Context,
  incarnation: IncarnationId,
  { limit, after = "" as DeliveryId }: { readonly limit: number; readonly after?: DeliveryId },
): Promise<readonly Lease[]> {
  return connections.runSafely<Lease>("read", LEASES, [incarnation, after, limit]);
}

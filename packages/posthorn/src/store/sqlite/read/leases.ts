/** What is leased to a node. */
import type { DeliveryId, IncarnationId } from "../../../base/ids.ts";
import type { Lease } from "../../store.ts";
import { type Query, query } from "../statement.ts";
import type { Reading } from "./reading.ts";

export class Leases {
  #page: Query<Lease>;

  constructor({ db }: Reading) {
    this.#page = query(
      db,
      `SELECT d.id AS deliveryId, a.id AS appId, p.id AS endpointId, e.id AS eventId
      FROM deliveries d JOIN apps a ON a.seq = d.app_seq JOIN endpoints p ON p.seq = d.endpoint_seq
        JOIN events e ON e.seq = d.event_seq
      WHERE d.leased_by = (SELECT seq FROM incarnations WHERE id = ?1) AND d.id > ?2 ORDER BY d.id LIMIT ?3`,
    );
  }

  run(incarnation: IncarnationId, page: { readonly limit: number; readonly after?: DeliveryId }): Lease[] {
    return this.#page.all(incarnation, page.after ?? "", page.limit);
  }
}

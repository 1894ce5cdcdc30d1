/**
 * Leases that this node has in the store but does not hold: the answer to their accept or claim was lost with its
 * connection. Found in two looks in a row, so that what is on its way is left alone, they are given back.
 */
import type { DeliveryId, IncarnationId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Lease, StoreReader } from "../store/store.ts";
import { releaseOf } from "./attempted.ts";
import type { LaneTable } from "./lane-table.ts";
import type { Settler } from "./settler.ts";

export interface UnheldLeasesNeeds {
  readonly read: Pick<StoreReader, "leases">;
  readonly lanes: LaneTable;
  readonly settler: Settler;
  readonly logger: Logger;
}

const PAGE = 1000;
/** An accept that is answered later than so many others were given back is answered never. */
const GIVEN_BACK_MAX = 10_000;

export class UnheldLeases {
  #needs: UnheldLeasesNeeds;
  #suspects = new Set<DeliveryId>();
  #incarnation: IncarnationId | null = null;

  constructor(needs: UnheldLeasesNeeds) {
    this.#needs = needs;
  }

  /** One look at everything that is leased to this node. */
  async runOnce(): Promise<void> {
    const { lanes, logger } = this.#needs;
    const { incarnation } = lanes;
    if (incarnation === null) return;
    const known = this.#incarnation === incarnation ? this.#suspects : new Set<DeliveryId>();
    const suspects = new Set<DeliveryId>();
    const unheld: Lease[] = [];
    let after: DeliveryId | undefined;
    do {
      const page: readonly Lease[] = await this.#page(incarnation, after);
      if (lanes.incarnation !== incarnation) return;
      for (const lease of this.#notHeld(page)) {
        if (known.has(lease.deliveryId)) unheld.push(lease);
        else suspects.add(lease.deliveryId);
      }
      after = page.length < PAGE ? undefined : page.at(-1)?.deliveryId;
    } while (after !== undefined);
    this.#suspects = suspects;
    this.#incarnation = incarnation;
    if (unheld.length === 0) return;
    logger.warn({ deliveries: unheld.length }, "leases.unheld");
    for (const lease of unheld) this.#giveBack(lease, incarnation);
  }

  #page(incarnation: IncarnationId, after: DeliveryId | undefined): Promise<readonly Lease[]> {
    return this.#needs.read.leases(incarnation, { limit: PAGE, ...(after === undefined ? {} : { after }) });
  }

  /** Looked at when the page is there: what was leased since it was read is not on it. */
  #notHeld(page: readonly Lease[]): Lease[] {
    const { lanes, settler } = this.#needs;
    const settling = new Set(settler.settling());
    const held = new Set<DeliveryId>();
    for (const lane of lanes.all()) for (const id of lane.held()) held.add(id);
    return page.filter(({ deliveryId, endpointId }) => {
      if (held.has(deliveryId) || settling.has(deliveryId)) return false;
      // The answer of a claim may be on its way.
      return lanes.get(endpointId)?.claiming !== true;
    });
  }

  #giveBack({ deliveryId, ...lease }: Lease, incarnation: IncarnationId): void {
    const { lanes, settler, logger } = this.#needs;
    if (lanes.givenBack.size >= GIVEN_BACK_MAX) lanes.givenBack.clear();
    lanes.givenBack.add(deliveryId);
    settler
      .settle(releaseOf({ id: deliveryId, ...lease }, incarnation))
      .catch((error: unknown) => logger.error({ deliveryId, error: String(error) }, "release.lost"));
  }
}

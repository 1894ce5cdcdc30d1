/**
 * Where the store and this node differ over what is leased to it. A lease that the node does not hold: the answer to its
 * accept or claim was lost with its connection; it is given back. A delivery that waits here without a lease: another node
 * ended it, and the word of that was lost; it is not sent. Either must be found in two looks in a row, so that what is on
 * its way is left alone.
 */
import type { DeliveryId, IncarnationId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Lease, StoreReader } from "../store/store.ts";
import { releaseOf } from "./attempted.ts";
import type { Ready } from "./lane.ts";
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
  /** Each the very one that waited at the last look: it may have been claimed anew since, and waits as another then. */
  #unleased = new Set<Ready>();
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
    const leased = new Set<DeliveryId>();
    const unheld: Lease[] = [];
    let after: DeliveryId | undefined;
    do {
      const page: readonly Lease[] = await this.#page(incarnation, after);
      if (lanes.incarnation !== incarnation) return;
      for (const lease of this.#notHeld(page)) {
        if (known.has(lease.deliveryId)) unheld.push(lease);
        else suspects.add(lease.deliveryId);
      }
      for (const { deliveryId } of page) leased.add(deliveryId);
      after = page.length < PAGE ? undefined : page.at(-1)?.deliveryId;
    } while (after !== undefined);
    this.#suspects = suspects;
    this.#incarnation = incarnation;
    this.#dropUnleased(leased);
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

  #dropUnleased(leased: ReadonlySet<DeliveryId>): void {
    const { lanes, logger } = this.#needs;
    const unleased = new Set<Ready>();
    let dropped = 0;
    for (const lane of lanes.all()) {
      const ended = new Set<DeliveryId>();
      for (const ready of lane.unstarted()) {
        if (leased.has(ready.id)) continue;
        if (this.#unleased.has(ready)) ended.add(ready.id);
        else unleased.add(ready);
      }
      if (ended.size > 0) lanes.forget(lane.id, ended);
      dropped += ended.size;
    }
    this.#unleased = unleased;
    if (dropped > 0) logger.info({ deliveries: dropped }, "leases.ended");
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

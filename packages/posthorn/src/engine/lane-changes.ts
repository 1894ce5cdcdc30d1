/** What a change of configuration, made by this node, means for the lanes that it has in memory. */
import type { Endpoint } from "../domain/endpoint.ts";
import type { Vault } from "../security/vault.ts";
import type { Store } from "../store/store.ts";
import type { Claimer } from "./claimer.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import type { Lane } from "./lane.ts";
import type { LaneTable } from "./lane-table.ts";

export interface LaneChangesNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly lanes: LaneTable;
  readonly dispatcher: Dispatcher;
  readonly claimer: Claimer;
}

export class LaneChanges {
  #needs: LaneChangesNeeds;

  constructor(needs: LaneChangesNeeds) {
    this.#needs = needs;
  }

  /** An endpoint changed in the store: its lane takes over the new row. */
  async follow(endpoint: Pick<Endpoint, "id">): Promise<void> {
    const { store, vault, lanes, dispatcher, claimer } = this.#needs;
    const lane = lanes.get(endpoint.id);
    if (lane === undefined) {
      claimer.dueIn(0);
      return;
    }
    const { changed } = await store.read.refresh([{ endpointId: endpoint.id, version: 0 }]);
    for (const config of changed) {
      lane.change(new EndpointRuntime(config, vault));
      lane.follow(config.lane);
    }
    dispatcher.laneChanged(lane);
  }

  /** Lanes are closed before the commit, so that from it on nothing is sent; and open again if it fails. */
  async removing(concerns: (lane: Lane) => boolean, remove: () => Promise<unknown>): Promise<void> {
    const { lanes, dispatcher } = this.#needs;
    const concerned = (): Lane[] => [...lanes.all()].filter(concerns);
    const close = (lane: Lane, closed: boolean): void => {
      lane.closed = closed;
      dispatcher.laneChanged(lane);
    };
    for (const lane of concerned()) close(lane, true);
    try {
      await remove();
    } catch (error) {
      for (const lane of concerned()) close(lane, false);
      throw error;
    }
    // Those too that a publication opened meanwhile.
    for (const lane of concerned()) {
      close(lane, true);
      lanes.remove(lane.id);
    }
  }
}

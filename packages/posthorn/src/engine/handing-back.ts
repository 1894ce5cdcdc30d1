/** Gives leases back unsent: to whoever claims them next, on this node or another. */
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { releaseOf } from "./attempted.ts";
import type { Lane, Ready } from "./lane.ts";
import type { LaneTable } from "./lane-table.ts";
import type { Settler } from "./settler.ts";

export interface HandingBackNeeds {
  readonly settler: Settler;
  readonly lanes: LaneTable;
  readonly logger: Logger;
  /** One is written: the settler may take more. */
  done(): void;
}

export class HandingBack {
  #needs: HandingBackNeeds;

  constructor(needs: HandingBackNeeds) {
    this.#needs = needs;
  }

  /** Deliveries taken out of a lane. */
  release(lane: Lane, readies: readonly Ready[]): void {
    if (readies.length === 0) return;
    lane.backlog = true;
    for (const ready of readies) {
      this.#needs.lanes.drop(ready.payload.length);
      this.#giveBack(lane, ready, false);
    }
  }

  /** One whose outcome the store refused: it holds no place any more. */
  again(lane: Lane, ready: Ready): void {
    this.#giveBack(lane, ready, true);
  }

  #giveBack(lane: Lane, ready: Ready, isRepeat: boolean): void {
    const { settler, logger, done } = this.#needs;
    if (lane.incarnation === null) return;
    const deliveryId = ready.id;
    settler.settle(releaseOf(ready, lane.incarnation)).then(
      (result) => {
        if (result.kind === "failed") {
          logger.error({ deliveryId, error: result.message, isRepeat }, "release.refused");
          if (!isRepeat) this.#giveBack(lane, ready, true);
        }
        done();
      },
      (error: unknown) => logger.error({ deliveryId, error: messageOf(error) }, "release.lost"),
    );
  }
}

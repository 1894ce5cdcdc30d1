/**
 * This node among those that share the store: joining, the heartbeat, joining again after others gave it up, leaving.
 * Its lease on everything it holds lives with the heartbeat; beyond `validUntilMs` no attempt starts.
 */
import { monotonicMs } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { IncarnationId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Beat, NewNode, Store } from "../store/store.ts";
import type { Claimer } from "./claimer.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { LaneTable } from "./lane-table.ts";

export interface MembershipNeeds {
  readonly store: Store;
  readonly node: NewNode;
  readonly lanes: LaneTable;
  readonly dispatcher: Dispatcher;
  readonly claimer: Claimer;
  readonly logger: Logger;
}

export class Membership {
  #needs: MembershipNeeds;
  /** Living nodes that take events. */
  publishers = 1;
  #voided = false;

  constructor(needs: MembershipNeeds) {
    this.#needs = needs;
  }

  /** @throws Error when the store cannot be reached */
  async join(): Promise<void> {
    const { store, node, lanes } = this.#needs;
    const incarnation = await store.write.enlist(node);
    const beat = await store.write.beat(incarnation);
    // Whatever lane was made since this node was given up belongs to no incarnation.
    lanes.clear();
    lanes.incarnation = incarnation;
    this.#follow(beat);
  }

  /** The heartbeat. A node that was given up joins again; on a store for one node another process has taken over for good. */
  async beat(): Promise<void> {
    const { store, lanes, dispatcher, logger } = this.#needs;
    const { incarnation } = lanes;
    if (incarnation !== null) {
      const beat = await store.write.beat(incarnation);
      if (beat.alive) {
        this.#follow(beat);
        return;
      }
      this.#voided = true;
      logger.error({ incarnation }, "node.voided");
      if (store.shared) this.#drop();
      else await dispatcher.stop();
    }
    if (lanes.incarnation === null && !dispatcher.stopping) await this.#rejoin();
  }

  /** The node ends in good order. What it may still hold is rescued by others at once. */
  async leave(): Promise<void> {
    const { store, lanes, logger } = this.#needs;
    if (lanes.incarnation === null) return;
    try {
      await store.write.retire(lanes.incarnation);
    } catch (error) {
      logger.warn({ error: messageOf(error) }, "node.retire_failed");
    }
  }

  problems(): string[] {
    const { store, lanes } = this.#needs;
    if (this.#voided) {
      return store.shared
        ? ["The other nodes have given this one up; it joins them again."]
        : ["Another node has taken over; this one must be restarted."];
    }
    if (lanes.incarnation === null) return ["This node is not enlisted."];
    if (monotonicMs() < lanes.validUntilMs) return [];
    return ["The store has not heard of this node for too long: no attempt starts until it does."];
  }

  #follow({ validUntilMs, dispatchers, publishers }: Beat): void {
    const { lanes, dispatcher } = this.#needs;
    lanes.validUntilMs = validUntilMs;
    lanes.dispatchers = Math.max(1, dispatchers);
    this.publishers = Math.max(1, publishers);
    dispatcher.lookAgain();
  }

  /** Others rescue what was leased to this node. Attempts under way end, and are settled for what that is worth. */
  #drop(): void {
    const { lanes, claimer } = this.#needs;
    lanes.incarnation = null;
    lanes.clear();
    claimer.forget();
  }

  async #rejoin(): Promise<void> {
    const { lanes, claimer, logger } = this.#needs;
    await this.join();
    this.#voided = false;
    logger.warn({ incarnation: lanes.incarnation as IncarnationId }, "node.rejoined");
    claimer.dueIn(0);
  }
}

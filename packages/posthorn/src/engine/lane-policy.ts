/** Policy over settled attempts: early warning, disabling what has failed for days, and telling when it recovered. */
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { isFailure } from "../domain/attempt.ts";
import { AUTO_DISABLE } from "../domain/defaults.ts";
import type { DisableReason, Endpoint, EndpointStatus } from "../domain/endpoint.ts";
import type { SettleResult } from "../store/store.ts";
import type { Attempted } from "./attempted.ts";
import type { Lane } from "./lane.ts";
import type { OperationalEvents } from "./operational-events.ts";
import type { EngineOptions } from "./options.ts";

export interface LanePolicyNeeds {
  readonly options: EngineOptions;
  readonly news: OperationalEvents;
  readonly logger: Logger;
  setStatus(endpoint: Endpoint, status: EndpointStatus, reason: DisableReason): Promise<void>;
}

export class LanePolicy {
  #needs: LanePolicyNeeds;
  /** Being disabled now, so that a hundred 410s disable once. */
  #disabling = new Set<Lane>();

  constructor(needs: LanePolicyNeeds) {
    this.#needs = needs;
  }

  settled({ lane, ready, receipt, next, recovers }: Attempted, result: SettleResult): void {
    const { news, options } = this.#needs;
    if (result.kind !== "settled") return;
    if (next.kind === "dead_lettered") news.deadLettered({ ...ready, reason: next.reason });
    if (recovers && lane.warned) {
      lane.warned = false;
      news.endpointRecovered(ready.appId, ready.endpointId);
    }
    if (!isFailure(receipt.outcome)) return;
    const failures = ready.failures + 1;
    if (failures >= AUTO_DISABLE.warnAfterAttempts && !lane.warned) {
      lane.warned = true;
      news.endpointFailing(ready.appId, ready.endpointId, failures);
    }
    const failing = result.lane;
    if (failing === null || !lane.runnable) return;
    if (
      failing.failingForMs >= options.disableAfterFailingMs &&
      failing.failures >= options.disableAttemptsMin
    ) {
      this.disable(lane, "failing");
    }
  }

  disable(lane: Lane, reason: DisableReason): void {
    if (this.#disabling.has(lane)) return;
    this.#disabling.add(lane);
    const { endpoint } = lane.runtime;
    this.#needs
      .setStatus(endpoint, "disabled", reason)
      .catch((error: unknown) =>
        this.#needs.logger.error(
          { endpointId: endpoint.id, error: messageOf(error) },
          "endpoint.disable_failed",
        ),
      )
      .finally(() => this.#disabling.delete(lane));
  }
}

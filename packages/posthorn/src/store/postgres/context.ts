/** What every verb of the store is given. A verb is a function of a file of its own; postgres.ts makes the contract of them. */
import type { DeliveryId, EndpointId, IncarnationId } from "../../base/ids.ts";
import type { Logger } from "../../base/logger.ts";
import type { Wake } from "../store.ts";
import type { Connections } from "./connections.ts";
import type { PostgresSettings } from "./postgres-options.ts";

export interface Context {
  readonly connections: Connections;
  readonly settings: PostgresSettings;
  readonly logger: Logger;
  /** The numbers of the incarnations that enlisted through this store, as leases refer to them. */
  readonly numbers: Map<IncarnationId, number>;
  /** What was settled by a call whose answer was lost. */
  readonly doubtful: Set<DeliveryId>;
  /** The low-water mark of each lane that has more due: where its next claim begins. */
  readonly claimedUntilMs: Map<EndpointId, number>;
  /** Tells other nodes, soon and together with whatever else there is to tell. Never inside a transaction, never waited for. */
  wake(wake: Wake): void;
}

/** 0 for a stranger: no lease is ever held by it. */
export function numberOf({ numbers }: Context, incarnation: IncarnationId | null): number {
  return incarnation === null ? 0 : (numbers.get(incarnation) ?? 0);
}

/** A node: one start of a server or of the library, on a store that it may share with others. */
import type { IncarnationId } from "../base/ids.ts";

/** `api` answers requests, `dispatch` sends and does the background duties, `sources` runs sources. */
export const NODE_ROLES = ["api", "dispatch", "sources"] as const;
export type NodeRole = (typeof NODE_ROLES)[number];

/**
 * `alive`: it has been heard of lately. `silent`: it has not, and others will give it up soon, or have. `retired`: it
 * stopped in good order.
 */
export type NodeState = "alive" | "silent" | "retired";

export interface Node {
  readonly id: IncarnationId;
  readonly name: string;
  readonly version: string;
  readonly roles: readonly NodeRole[];
  readonly state: NodeState;
  readonly startedAtMs: number;
  /** How long ago it was last heard of. */
  readonly beatAgoMs: number;
  /** Deliveries leased to it, and lanes that it alone sends for. */
  readonly leased: number;
  readonly ownedLanes: number;
  /** For how long the one of its leased deliveries has been due that has been so for longest; null: it holds none. */
  readonly lagMs: number | null;
}

/** What the engine is made of, and what can be set. Every duration is an option: tests shorten them. */
import type { Logger } from "../base/logger.ts";
import { AUTO_DISABLE, DEFAULTS, LIMITS } from "../domain/defaults.ts";
import { NODE_ROLES, type NodeRole } from "../domain/node.ts";
import type { OwnershipPolicy } from "../domain/ownership.ts";
import type { Vault } from "../security/vault.ts";
import type { Store } from "../store/store.ts";
import type { Transport } from "../transports/transport.ts";

export interface EngineParts {
  readonly store: Store;
  /** By transport name; `webhook` is the one that every endpoint has by default. */
  readonly transports: { readonly webhook: Transport };
  readonly vault: Vault;
  readonly logger: Logger;
  readonly nodeName: string;
  readonly version: string;
}

export interface EngineOptions {
  /** Refuse event types that are not in the catalogue. */
  readonly strictTypes: boolean;
  readonly payloadBytesMax: number;
  /** Through how many webhooks an event may have come. */
  readonly hopsMax: number;
  /** Attempts under way on this node. */
  readonly inFlightMax: number;
  /** Deliveries of one lane in memory. */
  readonly laneWindowMax: number;
  /** Deliveries of all lanes in memory, and their payload bytes. */
  readonly windowMax: number;
  readonly windowBytesMax: number;
  /** Publications waiting for the store; beyond it publishing answers 503. */
  readonly acceptQueueMax: number;
  readonly acceptQueueBytesMax: number;
  /** Finished outcomes waiting for the store; beyond it no new attempt starts. */
  readonly settleQueueMax: number;
  /** Least delay after a 429 or a timeout. */
  readonly overloadDelayMs: number;
  readonly breakerProbeEveryMs: number;
  readonly disableAfterFailingMs: number;
  readonly disableAttemptsMin: number;
  /** How often due lanes are looked for when nothing wakes the dispatcher. */
  readonly pollMs: number;
  readonly heartbeatMs: number;
  readonly figuresEveryMs: number;
  readonly pruneEveryMs: number;
  readonly expireEveryMs: number;
  readonly fanOutAtOnceMax: number;
  /** On stop: how long attempts under way may take to end beyond the longest timeout. */
  readonly stopGraceMs: number;
  /** How endpoints prove that they want their events, unless their app has it otherwise. */
  readonly ownershipCheck: OwnershipPolicy;
  /** Where this server is reached from outside, without the path; empty: not known. */
  readonly publicUrl: string;
  /** What it calls itself in the handshake of CloudEvents: a DNS name; empty: the host of publicUrl. */
  readonly originName: string;
  /** Requests per minute that the handshake asks for; 0: it asks for none in particular. */
  readonly requestRatePerMinute: number;
  /** How often unverified endpoints are looked for. */
  readonly ownershipEveryMs: number;
  /** The least time between two checks of one endpoint that somebody asks for. */
  readonly ownershipApartMs: number;
  /** How long a browser stays signed in, whatever is done meanwhile. */
  readonly sessionMs: number;
  /** How often a node of a shared store looks for leases that it does not hold. */
  readonly leasesEveryMs: number;
  /** What this node does. Without `dispatch` it sends nothing, and leaves the background duties to others. */
  readonly roles: readonly NodeRole[];
}

export const ENGINE_DEFAULTS: EngineOptions = {
  strictTypes: false,
  payloadBytesMax: LIMITS.payloadBytesMax,
  hopsMax: LIMITS.hopsMax,
  inFlightMax: 2048,
  laneWindowMax: 256,
  windowMax: 10_000,
  windowBytesMax: 64 * 1024 * 1024,
  acceptQueueMax: 20_000,
  acceptQueueBytesMax: 64 * 1024 * 1024,
  settleQueueMax: 20_000,
  overloadDelayMs: DEFAULTS.overloadDelayMs,
  breakerProbeEveryMs: 30_000,
  disableAfterFailingMs: AUTO_DISABLE.failingMs,
  disableAttemptsMin: AUTO_DISABLE.attemptsMin,
  pollMs: 1000,
  heartbeatMs: 2000,
  figuresEveryMs: 1000,
  pruneEveryMs: 60_000,
  expireEveryMs: 10_000,
  fanOutAtOnceMax: LIMITS.fanOutAtOnceMax,
  stopGraceMs: 5000,
  ownershipCheck: "off",
  publicUrl: "",
  originName: "",
  requestRatePerMinute: 0,
  ownershipEveryMs: 60_000,
  ownershipApartMs: 5000,
  sessionMs: 12 * 3600 * 1000,
  leasesEveryMs: 5000,
  roles: NODE_ROLES,
};

// Lanes and leased deliveries out of nothing, for tests of what schedules them.
import { newAppId, newId } from "../src/base/ids.ts";
import type { BreakerState } from "../src/domain/breaker.ts";
import { DEFAULTS } from "../src/domain/defaults.ts";
import type { DeliveryClass } from "../src/domain/delivery.ts";
import { type Endpoint, NO_ACCESS } from "../src/domain/endpoint.ts";
import { EndpointRuntime } from "../src/engine/endpoint-runtime.ts";
import { Lane, type LaneHost, type Ready } from "../src/engine/lane.ts";
import { createVault } from "../src/security/vault.ts";
import type { LaneRecord } from "../src/store/store.ts";

const vault = createVault(Buffer.alloc(32, 1));
const appId = newAppId();

export function runtimeOf(
  changes: Partial<Endpoint> = {},
  breaker: BreakerState = "closed",
): EndpointRuntime {
  const id = changes.id ?? newId("ep");
  const endpoint: Endpoint = {
    id,
    appId,
    uid: null,
    url: "https://example.com/hook",
    description: "",
    eventTypes: [],
    channels: [],
    filter: null,
    rateLimitPerSecond: null,
    inFlightMax: DEFAULTS.inFlightMax,
    timeoutMs: DEFAULTS.timeoutMs,
    retrySchedule: DEFAULTS.retrySchedule,
    ordering: "unordered",
    onDeadLetter: "continue",
    scheme: "standard",
    ...NO_ACCESS,
    status: "enabled",
    disableReason: null,
    version: 1,
    createdAtMs: 0,
    updatedAtMs: 0,
    ...changes,
  };
  const lane = {
    endpointId: id,
    appId,
    epoch: 1,
    owner: null,
    exclusive: false,
    breaker,
    backlog: false,
    failingForMs: null,
  };
  return new EndpointRuntime(
    { endpoint, secrets: [], sealedHeaders: null, sealedCredentials: null, lane },
    vault,
  );
}

export const HOST: LaneHost = { incarnation: newId("inc"), dispatchers: 1 };

export function laneOf(
  changes: Partial<Endpoint> = {},
  breaker: BreakerState = "closed",
  record: Partial<LaneRecord> = {},
  host: LaneHost = HOST,
): Lane {
  const runtime = runtimeOf(changes, breaker);
  return new Lane(runtime, { ...runtime.config.lane, ...record }, host);
}

export function readyOf(lane: Lane, deliveryClass: DeliveryClass = 0): Ready {
  return {
    id: newId("dlv"),
    appId,
    endpointId: lane.id,
    eventId: newId("evt"),
    eventType: "order.created",
    trigger: "publish",
    class: deliveryClass,
    orderKey: null,
    failures: 0,
    attempts: 0,
    hops: 0,
    payload: Buffer.from("{}"),
  };
}

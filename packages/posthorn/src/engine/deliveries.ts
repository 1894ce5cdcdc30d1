import { notFound, PosthornError } from "../base/errors.ts";
import {
  type AppId,
  type DeliveryId,
  type EndpointId,
  type EventId,
  isId,
  locatorOf,
  newId,
} from "../base/ids.ts";
import { DELIVERY_STATES, type Delivery, type DeliveryState } from "../domain/delivery.ts";
import type { EndedDelivery, ListQuery, Store } from "../store/store.ts";
import { auditEntry } from "./acting.ts";
import type { Deliveries, DeliveryQuery } from "./engine.ts";
import { expiresInMs } from "./publisher.ts";
import { pageOf, referenceTo, windowOf } from "./window.ts";

const ATTEMPTS_SHOWN_MAX = 250;

export interface DeliveriesNeeds {
  readonly store: Store;
  /** @throws PosthornError `not_found` */
  appId(reference: string): Promise<AppId>;
  endpointId(app: string, reference: string): Promise<EndpointId>;
  ended(ended: readonly EndedDelivery[]): void;
  /** Something is due in the store. */
  due(): void;
  created(appId: AppId, endpointId: EndpointId): void;
}

export function createDeliveries({
  store,
  appId,
  endpointId,
  ended,
  due,
  created,
}: DeliveriesNeeds): Deliveries {
  async function find(id: string, within: AppId | undefined): Promise<Delivery> {
    const found = isId("dlv", id) ? await store.read.find("delivery", referenceTo(id, within)) : undefined;
    if (found === undefined) throw notFound("delivery", id);
    return found;
  }

  async function endpointOf({ app, endpoint }: DeliveryQuery): Promise<EndpointId | undefined> {
    if (endpoint === undefined) return undefined;
    if (isId("ep", endpoint)) return endpoint;
    if (app !== undefined) return endpointId(app, endpoint);
    throw new PosthornError(
      "invalid_field",
      `endpoint "${endpoint}" is not an endpoint id; a uid works only together with app.`,
      {
        pointer: "/endpoint",
        value: endpoint,
      },
    );
  }

  async function toFilter(query: DeliveryQuery): Promise<ListQuery> {
    const endpoint = await endpointOf(query);
    return {
      ...pageOf(query),
      ...windowOf(query),
      ...(query.app === undefined ? {} : { appId: await appId(query.app) }),
      ...(endpoint === undefined ? {} : { endpointId: endpoint }),
      ...(query.event === undefined ? {} : { eventId: query.event as EventId }),
      ...(query.state === undefined ? {} : { states: [stateOf(query.state)] }),
      ...(query.eventType === undefined ? {} : { eventType: query.eventType }),
    };
  }

  /** These are no changes of the configuration: the entry is written by itself, after what it tells of. */
  async function note(
    action: string,
    { id, appId }: Delivery,
    after: Record<string, unknown>,
  ): Promise<void> {
    const entry = auditEntry({ action, target: { kind: "delivery", id }, appId, after });
    await store.write.save({ kind: "audit" }, entry);
  }

  return {
    async get(id, within) {
      const delivery = await find(id, within);
      const attempts = await store.read.list("attempt", {
        deliveryId: delivery.id,
        limit: ATTEMPTS_SHOWN_MAX,
      });
      return { delivery, attempts: attempts.data };
    },
    list: async (query: DeliveryQuery = {}) => store.read.list("delivery", await toFilter(query)),
    async redeliver(id, within) {
      const before = await find(id, within);
      const endpoint = await store.read.find("endpoint", { id: before.endpointId, appId: before.appId });
      if (endpoint === undefined) throw notFound("endpoint", before.endpointId);
      const delivery: DeliveryId = newId("dlv", locatorOf(before.appId));
      const [result] = await store.write.redeliver([
        {
          id: delivery,
          eventId: before.eventId,
          endpointId: before.endpointId,
          trigger: "redeliver",
          class: 0,
          expiresInMs: expiresInMs(endpoint.endpoint.retrySchedule),
        },
      ]);
      switch (result?.kind) {
        case "created":
          created(before.appId, before.endpointId);
          due();
          await note("delivery.redeliver", before, { madeId: delivery });
          return delivery;
        case "no_endpoint":
          throw notFound("endpoint", before.endpointId);
        case "expunged":
          throw new PosthornError(
            "state_conflict",
            `The payload of event ${before.eventId} was expunged; it cannot be sent again.`,
          );
        default:
          throw notFound("event", before.eventId);
      }
    },
    async cancel(id, within) {
      const delivery = await find(id, within);
      if (delivery.state !== "pending") {
        throw new PosthornError(
          "state_conflict",
          `Delivery ${delivery.id} is ${delivery.state}; only a pending one can be cancelled.`,
        );
      }
      const result = await store.write.cancel({ kind: "delivery", id: delivery.id, reason: "by_hand" }, 1);
      ended(result.ended);
      const after = await find(id, within);
      if (result.ended.length > 0) await note("delivery.cancel", delivery, { state: after.state });
      return after;
    },
  };
}

function stateOf(text: string): DeliveryState {
  const state = DELIVERY_STATES.find((known) => known === text);
  if (state !== undefined) return state;
  throw new PosthornError(
    "invalid_field",
    `state must be one of ${DELIVERY_STATES.join(", ")} (got "${text.slice(0, 100)}").`,
    {
      pointer: "/state",
      value: text,
    },
  );
}

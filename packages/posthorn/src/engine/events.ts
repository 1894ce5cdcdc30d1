import { notFound } from "../base/errors.ts";
import { type AppId, type EventId, isId } from "../base/ids.ts";
import type { EndedDelivery, ListQuery, Store, StoredEvent } from "../store/store.ts";
import { auditEntry } from "./acting.ts";
import type { EventQuery, Events } from "./engine.ts";
import { pageOf, referenceTo, windowOf } from "./window.ts";

const SLICE = 500;

export interface EventsNeeds {
  readonly store: Store;
  /** @throws PosthornError `not_found` */
  appId(reference: string): Promise<AppId>;
  ended(ended: readonly EndedDelivery[]): void;
}

export function createEvents({ store, appId, ended }: EventsNeeds): Events {
  async function find(id: string, within: AppId | undefined): Promise<StoredEvent> {
    const found = isId("evt", id) ? await store.read.find("event", referenceTo(id, within)) : undefined;
    if (found === undefined) throw notFound("event", id);
    return found;
  }

  return {
    async get(id, within) {
      const { payload, ...event } = await find(id, within);
      return { event, data: payload?.subarray(event.dataStart, event.dataEnd) ?? null };
    },
    async list(query: EventQuery = {}) {
      const filter: ListQuery = {
        ...pageOf(query),
        ...windowOf(query),
        ...(query.app === undefined ? {} : { appId: await appId(query.app) }),
        ...(query.type === undefined ? {} : { eventType: query.type }),
      };
      const page = await store.read.list("event", filter);
      return { data: page.data.map(({ payload: _payload, ...event }) => event), nextCursor: page.nextCursor };
    },
    async expunge(id, within) {
      const { id: eventId, appId, eventType } = await find(id, within);
      const target = { kind: "event", id: eventId };
      const entry = auditEntry({ action: "event.expunge", target, appId, before: { eventType } });
      await store.write.remove({ kind: "payload", eventId }, entry);
      await cancelAll(eventId);
    },
  };

  async function cancelAll(id: EventId): Promise<void> {
    for (let more = true; more; ) {
      const result = await store.write.cancel({ kind: "event", id, reason: "expunged" }, SLICE);
      ended(result.ended);
      more = result.more;
    }
  }
}

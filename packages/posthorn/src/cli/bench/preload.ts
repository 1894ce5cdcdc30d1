/** Fills a store before the server starts, through the store's own batches: the only way to 10^6 rows in seconds. */
import {
  type AppId,
  type DeliveryId,
  type EndpointId,
  type EventId,
  type IncarnationId,
  locatorOf,
  newId,
} from "../../base/ids.ts";
import { DEFAULTS, LIMITS } from "../../domain/defaults.ts";
import { buildPayload } from "../../domain/payload.ts";
import { scheduleMsMax } from "../../domain/retry-schedule.ts";
import { openSqliteStore } from "../../store/sqlite/sqlite.ts";
import type { Acceptance, Settlement, Store } from "../../store/store.ts";

export interface PreloadOptions {
  /** Endpoints to fill, in turn. */
  readonly endpoints: readonly { readonly app: string; readonly endpointId: string }[];
  readonly events: number;
  /** Bytes of `data`. */
  readonly dataBytes: number;
  /** Delivered, as history; or still waiting. */
  readonly state: "delivered" | "waiting";
}

const BATCH = 1000;
/** Batches handed over at once, so that the writer never waits. */
const AHEAD = 4;
const EXPIRES_IN_MS = scheduleMsMax(DEFAULTS.retrySchedule) + LIMITS.waitMsMax;

export async function preload(place: StorePlace, options: PreloadOptions): Promise<void> {
  const store = await openStore(place);
  try {
    const node = await store.write.enlist({ name: "preload", version: "0", roles: ["dispatch"] });
    await fill(store, node, options);
    await store.write.retire(node);
  } finally {
    await store.close();
  }
}

/** Where the data of a rig is: a database, or else a data directory. */
export interface StorePlace {
  readonly dataDir: string;
  readonly storeUrl: string | null;
}

async function openStore({ dataDir, storeUrl }: StorePlace): Promise<Store> {
  if (storeUrl === null) return openSqliteStore({ dataDir });
  const { openPostgresStore } = await import("../../store/postgres/postgres.ts");
  return openPostgresStore({ url: storeUrl });
}

/** @param node what is delivered was leased to it */
export async function fill(store: Store, node: IncarnationId, options: PreloadOptions): Promise<void> {
  const fillSome = await filler(store, node, options);
  let next = 0;
  await Promise.all(
    Array.from({ length: AHEAD }, async () => {
      while (next < options.events) {
        const from = next;
        next += BATCH;
        await fillSome(from, Math.min(BATCH, options.events - from));
      }
    }),
  );
}

async function filler(
  store: Store,
  incarnation: IncarnationId,
  { endpoints, dataBytes, state }: PreloadOptions,
): Promise<(from: number, count: number) => Promise<void>> {
  const lease = state === "delivered" ? incarnation : null;
  const places: { appId: AppId; configVersion: number; endpointId: EndpointId }[] = [];
  for (const { app, endpointId } of endpoints) {
    const config = await store.read.config(app);
    if (config === undefined) throw new Error(`There is no app ${app}.`);
    const { id, configVersion } = config.app;
    places.push({ appId: id, configVersion, endpointId: endpointId as EndpointId });
  }
  const text = "x".repeat(Math.max(0, dataBytes - 30));

  return async (from, count) => {
    const acceptances: Acceptance[] = [];
    const settlements: Settlement[] = [];
    for (let i = from; i < from + count; i++) {
      const { appId, configVersion, endpointId } = places[i % places.length]!;
      const eventId: EventId = newId("evt", locatorOf(appId));
      const deliveryId: DeliveryId = newId("dlv", locatorOf(appId));
      const timestamp = new Date().toISOString();
      const payload = buildPayload(
        "bench.preloaded",
        timestamp,
        Buffer.from(`{"number":${i},"text":"${text}"}`),
      );
      acceptances.push({
        event: {
          id: eventId,
          appId,
          uid: null,
          eventType: "bench.preloaded",
          timestamp,
          channels: [],
          orderingKey: null,
          deliverAtMs: null,
          hops: 0,
          payload: payload.bytes,
          dataStart: payload.dataStart,
          dataEnd: payload.dataEnd,
        },
        configVersion,
        deliveries: [
          {
            id: deliveryId,
            endpointId,
            trigger: "publish",
            class: 0,
            orderKey: null,
            lease,
            expiresInMs: EXPIRES_IN_MS,
          },
        ],
        fanOut: [],
        idempotency: [],
        source: null,
      });
      if (lease === null) continue;
      settlements.push({
        incarnation,
        deliveryId,
        appId,
        endpointId,
        eventId,
        attempt: {
          id: newId("att", locatorOf(appId)),
          number: 1,
          startedAgoMs: 2,
          durationMs: 1,
          outcome: { kind: "succeeded", status: 200, control: null },
          responseBody: Buffer.from("ok"),
          url: "http://127.0.0.1/preloaded",
        },
        next: { kind: "delivered" },
        recovers: false,
      });
    }
    const results = await store.write.accept(acceptances);
    const refused = results.find(({ kind }) => kind !== "accepted");
    if (refused !== undefined) throw new Error(`The store did not take a batch: ${JSON.stringify(refused)}`);
    if (lease !== null) await store.write.settle(settlements, []);
  };
}

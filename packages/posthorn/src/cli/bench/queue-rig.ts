/** Claim and settle through the store alone: no server, no receiver. The store's connections are those that a node has. */
import { setTimeout as wait } from "node:timers/promises";
import {
  type AppId,
  type EndpointId,
  type IncarnationId,
  locatorOf,
  newAppId,
  newId,
} from "../../base/ids.ts";
import { NO_ACCESS } from "../../domain/endpoint.ts";
import { NO_APP_LIMITS } from "../../domain/limits.ts";
import type { ClaimedDelivery, Settlement, Store } from "../../store/store.ts";
import type { Workspace } from "../proof/workspace.ts";
import { type Costs, costsOfEach, readCosts } from "./costs.ts";
import { BenchDatabase } from "./database.ts";
import { fill } from "./preload.ts";

const LANES = 32;
/** As the engine asks for them. */
const CLAIMED_AT_ONCE = 512;
const SETTLED_AT_ONCE = 256;
/** Claimed and not yet settled at most; a node has up to 10,000 in memory. */
const HELD_MAX = 2048;
const BYTES_MAX = 64 * 1024 * 1024;

export interface Drained {
  /** Deliveries that were both claimed and settled. */
  readonly perSecond: number;
  /** Of each. */
  readonly costs: Costs;
}

interface Place {
  readonly app: AppId;
  readonly endpointId: EndpointId;
}

export class QueueRig {
  readonly database: BenchDatabase;
  #store: Store;
  #node: IncarnationId;
  #places: readonly Place[];
  #closing: Promise<void> | undefined;

  private constructor(database: BenchDatabase, store: Store, node: IncarnationId, places: readonly Place[]) {
    this.database = database;
    this.#store = store;
    this.#node = node;
    this.#places = places;
  }

  static async build(workspace: Workspace, name: string, url: string): Promise<QueueRig> {
    const { openPostgresStore } = await import("../../store/postgres/postgres.ts");
    const database = await BenchDatabase.make(workspace, url, name);
    const store = await openPostgresStore({ url: database.url });
    try {
      const node = await store.write.enlist({ name, version: "0", roles: ["dispatch"] });
      const places: Place[] = [];
      for (let i = 0; i < LANES; i++) places.push(await makePlace(store));
      const rig = new QueueRig(database, store, node, places);
      workspace.atEnd(() => rig.close());
      return rig;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** Stores deliveries that wait, in all lanes alike. */
  async fill(deliveries: number, dataBytes: number): Promise<void> {
    await fill(this.#store, this.#node, {
      endpoints: this.#places,
      events: deliveries,
      dataBytes,
      state: "waiting",
    });
  }

  /** Claims and settles everything that waits, both at the same time. */
  async drain(deliveries: number): Promise<Drained> {
    const before = await this.#costs();
    const fromMs = performance.now();
    const held: ClaimedDelivery[] = [];
    await Promise.all([this.#claimAll(deliveries, held), this.#settleAll(deliveries, held)]);
    const seconds = (performance.now() - fromMs) / 1000;
    return {
      perSecond: deliveries / seconds,
      costs: costsOfEach(before, await this.#costs(), deliveries),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#store.close();
    return this.#closing;
  }

  #costs(): Promise<Costs> {
    const { user, system } = process.cpuUsage();
    return readCosts(this.database, user + system);
  }

  async #claimAll(deliveries: number, held: ClaimedDelivery[]): Promise<void> {
    const each = CLAIMED_AT_ONCE / LANES;
    const lanes = this.#places.map(({ endpointId }) => ({
      endpointId,
      room: [each, each, each] as const,
      totalMax: each,
    }));
    for (let claimed = 0; claimed < deliveries; ) {
      if (held.length > HELD_MAX - CLAIMED_AT_ONCE) {
        await wait(0);
        continue;
      }
      const claim = { incarnation: this.#node, lanes, bytesMax: BYTES_MAX };
      const before = claimed;
      for (const lane of await this.#store.write.claim(claim)) {
        claimed += lane.deliveries.length;
        held.push(...lane.deliveries);
      }
      if (claimed === before) throw new Error(`${deliveries - claimed} deliveries cannot be claimed.`);
    }
  }

  async #settleAll(deliveries: number, held: ClaimedDelivery[]): Promise<void> {
    for (let settled = 0; settled < deliveries; ) {
      const batch = held.splice(0, SETTLED_AT_ONCE);
      if (batch.length === 0) {
        await wait(0);
        continue;
      }
      const settlements = batch.map((delivery) => delivered(delivery, this.#node));
      const results = await this.#store.write.settle(settlements, []);
      const refused = results.find(({ kind }) => kind !== "settled");
      if (refused !== undefined)
        throw new Error(`The store did not settle a delivery: ${JSON.stringify(refused)}`);
      settled += batch.length;
    }
  }
}

async function makePlace(store: Store): Promise<Place> {
  const app = newAppId();
  const endpointId = newId("ep", locatorOf(app));
  await store.write.save({
    kind: "app",
    create: true,
    app: {
      id: app,
      uid: null,
      name: "bench",
      metadata: {},
      retentionDays: 30,
      limits: NO_APP_LIMITS,
      ownershipCheck: null,
    },
  });
  await store.write.save({
    kind: "endpoint",
    create: true,
    endpoint: {
      id: endpointId,
      appId: app,
      uid: null,
      url: "http://127.0.0.1/bench",
      description: "",
      eventTypes: [],
      channels: [],
      filter: null,
      rateLimitPerSecond: null,
      inFlightMax: 16,
      timeoutMs: 15_000,
      retrySchedule: [5],
      ordering: "unordered",
      onDeadLetter: "continue",
      scheme: "standard",
      ...NO_ACCESS,
      status: "enabled",
      disableReason: null,
      version: 1,
    },
    secrets: [],
    sealedHeaders: null,
    sealedCredentials: null,
  });
  return { app, endpointId };
}

function delivered({ id, appId, endpointId, eventId }: ClaimedDelivery, node: IncarnationId): Settlement {
  return {
    incarnation: node,
    deliveryId: id,
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
      url: "http://127.0.0.1/bench",
    },
    next: { kind: "delivered" },
    recovers: false,
  };
}

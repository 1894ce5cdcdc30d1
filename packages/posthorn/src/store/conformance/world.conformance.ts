/** What the stories of the suite are told with: a store, a node that lives, apps and endpoints by the handful. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  type AppId,
  type DeliveryId,
  type EndpointId,
  type EventId,
  type IncarnationId,
  locatorOf,
  newAppId,
  newId,
} from "../../base/ids.ts";
import type { App } from "../../domain/app.ts";
import type { AttemptOutcome } from "../../domain/attempt.ts";
import type { Delivery, DeliveryClass, DeliveryTrigger } from "../../domain/delivery.ts";
import { type Endpoint, NO_ACCESS } from "../../domain/endpoint.ts";
import type { Key } from "../../domain/key.ts";
import { NO_APP_LIMITS, NO_KEY_LIMITS } from "../../domain/limits.ts";
import type {
  Acceptance,
  AcceptResult,
  Change,
  ClaimedDelivery,
  ClaimedLane,
  NewDelivery,
  NewNode,
  NextStep,
  Settlement,
  SettleResult,
  Store,
} from "../store.ts";

export interface StoreHarness {
  /** A store without anything in it. */
  open(): Promise<Store>;
  /** Closes the store and opens it again on the same data. */
  reopen(): Promise<Store>;
  destroy(): Promise<void>;
}

export interface TestApp {
  readonly id: AppId;
  readonly locator: number;
}

export type NewApp = Extract<Change, { kind: "app" }>["app"];
export type NewKey = Extract<Change, { kind: "key" }>["key"];
export type EndpointChange = Extract<Change, { kind: "endpoint" }>;
export type NewEndpoint = EndpointChange["endpoint"];

/** A delivery as the tests know it: enough to settle it. */
export interface Sent {
  readonly id: DeliveryId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
}

export const SECOND = 1000;
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

const TEST_NODE: NewNode = { name: "test", version: "0", roles: ["api", "dispatch", "sources"] };

export const OK: AttemptOutcome = { kind: "succeeded", status: 200, control: null };
export const REFUSED: AttemptOutcome = { kind: "rejected", status: 500, retryAfterMs: null, control: null };
export const DELIVERED: NextStep = { kind: "delivered" };
export const DEAD: NextStep = { kind: "dead_lettered", reason: "attempts_exhausted" };
export const retryIn = (inMs: number): NextStep => ({ kind: "retry", inMs, expiresInMs: inMs + 7 * DAY });

export class World {
  readonly harness: StoreHarness;
  store: Store;
  /** The node that lives now. */
  node: IncarnationId;

  constructor(harness: StoreHarness, store: Store, node: IncarnationId) {
    this.harness = harness;
    this.store = store;
    this.node = node;
  }

  static async open(harness: StoreHarness): Promise<World> {
    const store = await harness.open();
    return new World(harness, store, await store.write.enlist(TEST_NODE));
  }

  /** The process ends and another one starts: what was leased is nobody's. */
  async restart(): Promise<void> {
    this.store = await this.harness.reopen();
    await this.takeOver();
  }

  async takeOver(): Promise<void> {
    await this.store.write.retire(this.node);
    this.node = await this.store.write.enlist(TEST_NODE);
  }

  appOf(facts: Partial<App> = {}): NewApp {
    return {
      id: newAppId(),
      uid: null,
      name: "Shop",
      metadata: {},
      retentionDays: 30,
      limits: NO_APP_LIMITS,
      ownershipCheck: null,
      ...facts,
    };
  }

  async app(facts: Partial<App> = {}): Promise<TestApp> {
    const app = this.appOf(facts);
    assert.deepEqual(await this.store.write.save({ kind: "app", create: true, app }), { kind: "saved" });
    return { id: app.id, locator: locatorOf(app.id) };
  }

  endpointOf(app: TestApp, facts: Partial<Endpoint> = {}): NewEndpoint {
    return {
      id: newId("ep", app.locator),
      appId: app.id,
      uid: null,
      url: "https://shop.example/hooks",
      description: "",
      eventTypes: [],
      channels: [],
      filter: null,
      rateLimitPerSecond: null,
      inFlightMax: 16,
      timeoutMs: 15_000,
      retrySchedule: [5, 60],
      ordering: "unordered",
      onDeadLetter: "continue",
      scheme: "standard",
      ...NO_ACCESS,
      status: "enabled",
      disableReason: null,
      version: 1,
      ...facts,
    };
  }

  /** A change of an endpoint without anything secret. */
  endpointChange(endpoint: NewEndpoint): EndpointChange {
    return {
      kind: "endpoint",
      create: false,
      endpoint,
      secrets: [],
      sealedHeaders: null,
      sealedCredentials: null,
    };
  }

  async endpoint(app: TestApp, facts: Partial<Endpoint> = {}): Promise<EndpointId> {
    const endpoint = this.endpointOf(app, facts);
    const secrets = [{ sealed: Buffer.from(`secret of ${endpoint.id}`), expiresAtMs: null, publicKey: null }];
    const result = await this.store.write.save({ ...this.endpointChange(endpoint), create: true, secrets });
    assert.deepEqual(result, { kind: "saved" });
    return endpoint.id;
  }

  async status(endpointId: EndpointId, status: Endpoint["status"]): Promise<void> {
    const change = { kind: "endpoint_status", endpointId, status, disableReason: null } as const;
    assert.deepEqual(await this.store.write.save(change), { kind: "saved" });
  }

  /** A key, and what it was made with. */
  async key(facts: Partial<Key> = {}): Promise<NewKey> {
    const id = newId("key");
    const key: NewKey = {
      id,
      role: "admin",
      appId: null,
      name: "ops",
      limits: NO_KEY_LIMITS,
      prefix: "phk_abc",
      expiresAtMs: null,
      ...facts,
    };
    const result = await this.store.write.save({ kind: "key", key, hash: fingerprint(id) });
    assert.deepEqual(result, { kind: "saved" });
    return key;
  }

  /** An app with one endpoint. */
  async pair(facts: Partial<Endpoint> = {}): Promise<{ app: TestApp; endpoint: EndpointId }> {
    const app = await this.app();
    return { app, endpoint: await this.endpoint(app, facts) };
  }

  async version(app: TestApp): Promise<number> {
    const config = await this.store.read.config(app.id);
    return config?.app.configVersion ?? 0;
  }

  newDelivery(app: TestApp, endpointId: EndpointId, facts: Partial<NewDelivery> = {}): NewDelivery {
    return {
      id: newId("dlv", app.locator),
      endpointId,
      trigger: "publish",
      class: 0,
      orderKey: null,
      lease: null,
      expiresInMs: 10 * DAY,
      ...facts,
    };
  }

  async acceptance(
    app: TestApp,
    deliveries: readonly NewDelivery[],
    facts: Partial<Omit<Acceptance, "event">> & { event?: Partial<Acceptance["event"]> } = {},
  ): Promise<Acceptance> {
    const payload = Buffer.from(`{"type":"order.created","data":{"n":${Math.random()}}}`);
    return {
      configVersion: facts.configVersion ?? (await this.version(app)),
      deliveries,
      fanOut: [],
      idempotency: [],
      source: null,
      ...facts,
      event: {
        id: newId("evt", app.locator),
        appId: app.id,
        uid: null,
        eventType: "order.created",
        timestamp: "2026-01-02T03:04:05Z",
        channels: [],
        orderingKey: null,
        deliverAtMs: null,
        hops: 0,
        payload,
        dataStart: 31,
        dataEnd: payload.length - 1,
        ...facts.event,
      },
    };
  }

  /** Accepts one event for one endpoint. */
  async publish(app: TestApp, endpointId: EndpointId, facts: Partial<NewDelivery> = {}): Promise<Sent> {
    const delivery = this.newDelivery(app, endpointId, facts);
    const acceptance = await this.acceptance(app, [delivery]);
    assert.equal((await this.accept(acceptance)).kind, "accepted");
    return { id: delivery.id, appId: app.id, endpointId, eventId: acceptance.event.id };
  }

  /** The same, leased to the living node. */
  send(app: TestApp, endpointId: EndpointId, facts: Partial<NewDelivery> = {}): Promise<Sent> {
    return this.publish(app, endpointId, { lease: this.node, ...facts });
  }

  async accept(acceptance: Acceptance): Promise<AcceptResult> {
    const [result] = await this.store.write.accept([acceptance]);
    assert(result);
    return result;
  }

  async claimLane(endpointId: EndpointId, totalMax = 100): Promise<ClaimedLane> {
    const lanes = [{ endpointId, room: [totalMax, totalMax, totalMax] as const, totalMax }];
    const [lane] = await this.store.write.claim({ incarnation: this.node, lanes, bytesMax: 2 ** 30 });
    assert(lane);
    return lane;
  }

  async claim(endpointId: EndpointId, totalMax = 100): Promise<readonly ClaimedDelivery[]> {
    return (await this.claimLane(endpointId, totalMax)).deliveries;
  }

  settlement(
    sent: Sent,
    next: NextStep,
    facts: { outcome?: AttemptOutcome; number?: number; recovers?: boolean } = {},
  ): Settlement {
    const { outcome = next.kind === "delivered" ? OK : REFUSED, number = 1, recovers = false } = facts;
    const attempt =
      next.kind === "release"
        ? null
        : {
            id: newId("att", locatorOf(sent.appId)),
            number,
            startedAgoMs: 12,
            durationMs: 10,
            outcome,
            responseBody: Buffer.from("thanks"),
            url: "https://shop.example/hooks",
          };
    const { id: deliveryId, appId, endpointId, eventId } = sent;
    return {
      incarnation: this.node,
      deliveryId,
      appId,
      endpointId,
      eventId,
      attempt,
      next,
      recovers,
    };
  }

  async settle(...settlement: Parameters<World["settlement"]>): Promise<SettleResult> {
    const [result] = await this.store.write.settle([this.settlement(...settlement)], []);
    assert(result);
    return result;
  }

  async delivery(id: DeliveryId): Promise<Delivery> {
    const found = await this.store.read.find("delivery", { id });
    assert(found, `delivery ${id}`);
    return found;
  }

  async attempts(deliveryId: DeliveryId) {
    return (await this.store.read.list("attempt", { deliveryId, limit: 100 })).data;
  }

  /** Whether the lane is among those worth a claim now. */
  async isDue(endpointId: EndpointId): Promise<boolean> {
    let after: string | undefined;
    for (;;) {
      const page = await this.store.read.dueLanes({
        lanesMax: 100,
        ...(after === undefined ? {} : { after }),
      });
      if (page.lanes.some((lane) => lane.endpointId === endpointId)) return true;
      if (page.cursor === null) return false;
      after = page.cursor;
    }
  }

  async redeliver(
    sent: Sent,
    trigger: DeliveryTrigger = "redeliver",
    each: DeliveryClass = 1,
    endpointId = sent.endpointId,
  ): Promise<Sent> {
    const id = newId("dlv", locatorOf(sent.appId));
    const { eventId } = sent;
    const results = await this.store.write.redeliver([
      { id, eventId, endpointId, trigger, class: each, expiresInMs: 7 * DAY },
    ]);
    assert.deepEqual(results, [{ kind: "created" }]);
    return { ...sent, id, endpointId };
  }

  /** Repeats a duty until it finds nothing more. */
  async exhaust<Result extends { readonly more: boolean }>(duty: () => Promise<Result>): Promise<Result[]> {
    const results: Result[] = [];
    do results.push(await duty());
    while (results.at(-1)?.more);
    return results;
  }
}

export function fingerprint(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

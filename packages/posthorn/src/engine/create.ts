/** Builds the engine from its parts and connects them. */
import { messageOf, notFound } from "../base/errors.ts";
import { type AppId, type DeliveryId, type EndpointId, type IncarnationId, newAppId } from "../base/ids.ts";
import { DEFAULTS, OPERATOR_UID } from "../domain/defaults.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import type { EndedDelivery } from "../store/store.ts";
import { AppRuntimes } from "./app-runtime.ts";
import { createApps } from "./apps.ts";
import { Catalogue } from "./catalogue.ts";
import { Claimer } from "./claimer.ts";
import { createDeliveries } from "./deliveries.ts";
import { Dispatcher } from "./dispatcher.ts";
import { createDuties } from "./duties.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import { EndpointResources } from "./endpoints.ts";
import type { Engine, EngineCounters, EngineHealth } from "./engine.ts";
import { createEventTypes } from "./event-types.ts";
import { createEvents } from "./events.ts";
import { Feed } from "./feed.ts";
import { FiguresCounter } from "./figures.ts";
import { createKeys } from "./keys.ts";
import type { Lane } from "./lane.ts";
import { LanePolicy } from "./lane-policy.ts";
import { LaneTable } from "./lane-table.ts";
import { OperationalEvents } from "./operational-events.ts";
import { ENGINE_DEFAULTS, type EngineOptions, type EngineParts } from "./options.ts";
import { Publisher } from "./publisher.ts";
import { ReplayRunner } from "./replays.ts";
import { Settler } from "./settler.ts";
import { readStats } from "./stats.ts";
import { testEndpoint } from "./test-event.ts";

export function createEngine(parts: EngineParts, overrides: Partial<EngineOptions> = {}): Engine {
  const options: EngineOptions = { ...ENGINE_DEFAULTS, ...overrides };
  const { store, vault, logger, transports } = parts;
  const transport = transports.webhook;
  const figures = new FiguresCounter();
  const feed = new Feed();
  const apps = new AppRuntimes(store.read, vault);
  const catalogue = new Catalogue(store.read, options.strictTypes);
  const lanes = new LaneTable(options);
  const settler = new Settler(store.write, logger, options.settleQueueMax);
  const dispatcher = new Dispatcher({ transport, settler, lanes, figures, feed, logger, options });
  const claimer = new Claimer({ store, vault, lanes, dispatcher, logger, pollMs: options.pollMs });
  const replays = new ReplayRunner({
    store,
    vault,
    figures,
    due: () => claimer.dueIn(0),
    started: () => duties.replay.wake(),
  });
  const publisher = new Publisher({
    write: store.write,
    apps,
    catalogue,
    dispatcher,
    figures,
    logger,
    options,
    fanOutPending: () => duties.fanOut.wake(),
  });
  const news = new OperationalEvents({
    apps,
    logger,
    publish: (publication) => publisher.publish(publication),
  });
  const endpoints = new EndpointResources({
    store,
    vault,
    transport,
    changed: laneFollows,
    removed: removeEndpoint,
    disabled: async (endpoint, reason) => news.endpointDisabled(endpoint.appId, endpoint.id, reason),
  });
  const policy = new LanePolicy({
    options,
    news,
    logger,
    setStatus: (endpoint, status, reason) => endpoints.setStatus(endpoint, status, reason),
  });
  const duties = createDuties({
    store,
    vault,
    options,
    logger,
    lanes,
    dispatcher,
    claimer,
    figures,
    replays,
    ended,
    incarnation,
  });
  dispatcher.events = {
    hungry: (lane) => claimer.hungry(lane),
    dueIn: (ms) => claimer.dueIn(ms),
    settled: (attempted, result) => policy.settled(attempted, result),
    disable: (lane, reason) => policy.disable(lane, reason),
  };
  let stopping: Promise<void> | undefined;
  /** Whoever asks again waits for the same end. */
  const stop = (): Promise<void> => (stopping ??= stopOnce());

  function incarnation(): IncarnationId {
    if (lanes.incarnation === null) throw new Error("the engine has not been started");
    return lanes.incarnation;
  }

  async function appId(reference: string): Promise<AppId> {
    const app = await store.read.find("app", { id: reference });
    if (app === undefined) throw notFound("app", reference);
    return app.id;
  }

  /** Deliveries that ended without an attempt: by hand, by deadline, with their endpoint. */
  function ended(list: readonly EndedDelivery[]): void {
    for (const [endpointId, ids] of idsByEndpoint(list)) dispatcher.forget(endpointId, ids);
    for (const delivery of list) {
      figures.ended(delivery.appId, delivery.endpointId, delivery.state);
      if (delivery.state === "dead_lettered") news.deadLettered(delivery);
      if (!feed.watched) continue;
      const { id: deliveryId, appId, endpointId, eventId, state, reason } = delivery;
      feed.emit({ kind: "final", deliveryId, appId, endpointId, eventId, state, reason });
    }
    // The end of an ordered lane's head sets the next one free.
    if (list.length > 0) claimer.dueIn(0);
  }

  /** After a change of an endpoint: what is cached of its app goes, its lane takes over the new row. */
  async function laneFollows(endpoint: Endpoint): Promise<void> {
    apps.forget(endpoint.appId);
    const lane = lanes.get(endpoint.id);
    if (lane === undefined) {
      claimer.dueIn(0);
      return;
    }
    const { changed } = await store.read.refresh([{ endpointId: endpoint.id, version: 0 }]);
    for (const config of changed) lane.change(new EndpointRuntime(config, vault));
    dispatcher.laneChanged(lane);
  }

  async function removeEndpoint(endpoint: Endpoint): Promise<void> {
    await removing(
      (lane) => lane.id === endpoint.id,
      () => store.write.remove({ kind: "endpoint", id: endpoint.id }),
    );
    apps.forget(endpoint.appId);
  }

  async function removeApp(app: { readonly id: AppId }): Promise<void> {
    await removing(
      (lane) => lane.runtime.endpoint.appId === app.id,
      () => store.write.remove({ kind: "app", id: app.id }),
    );
    apps.forget(app.id);
  }

  /** Lanes are closed before the commit, so that from it on nothing is sent; and open again if it fails. */
  async function removing(concerns: (lane: Lane) => boolean, remove: () => Promise<unknown>): Promise<void> {
    const concerned = (): Lane[] => [...lanes.all()].filter(concerns);
    const close = (lane: Lane, closed: boolean): void => {
      lane.closed = closed;
      dispatcher.laneChanged(lane);
    };
    for (const lane of concerned()) close(lane, true);
    try {
      await remove();
    } catch (error) {
      for (const lane of concerned()) close(lane, false);
      throw error;
    }
    // Those too that a publication opened meanwhile.
    for (const lane of concerned()) {
      close(lane, true);
      lanes.remove(lane.id);
    }
    duties.cancel.wake();
  }

  async function start(): Promise<void> {
    await ensureOperator();
    const incarnationId = await store.write.enlist({ name: parts.nodeName, version: parts.version });
    lanes.incarnation = incarnationId;
    if (options.dispatch) claimer.start();
    duties.start();
  }

  async function ensureOperator(): Promise<void> {
    if ((await store.read.find("app", { id: OPERATOR_UID })) !== undefined) return;
    const app = {
      id: newAppId(),
      uid: OPERATOR_UID,
      name: "Operational events",
      metadata: {},
      retentionDays: DEFAULTS.retentionDays,
    };
    await store.write.save({ kind: "app", create: true, app });
  }

  async function stopOnce(): Promise<void> {
    dispatcher.stopping = true;
    await publisher.idle();
    await Promise.all([claimer.stop(), dispatcher.stop()]);
    const deadline = setTimeout(() => settler.giveUp(), options.stopGraceMs);
    await settler.idle();
    clearTimeout(deadline);
    await duties.stop();
    if (lanes.incarnation !== null) await figures.flush(store.write, lanes.incarnation).catch(() => {});
  }

  async function health(): Promise<EngineHealth> {
    const problems: string[] = [];
    let storeHealth: EngineHealth["store"] = null;
    try {
      storeHealth = await store.read.health();
      if (!storeHealth.accepting)
        problems.push("The disk is nearly full: publishing answers 503, deliveries go on.");
    } catch (error) {
      problems.push(`The store cannot be read: ${messageOf(error)}`);
    }
    if (settler.failing) problems.push("Outcomes cannot be written: no new attempt starts until they can.");
    if (lanes.incarnation === null) problems.push("The engine has not been started.");
    if (stopping !== undefined) problems.push("The server is stopping.");
    problems.push(...duties.problems());
    return {
      ready: problems.length === 0,
      problems,
      store: storeHealth,
      inFlight: dispatcher.inFlight,
      waitingInMemory: lanes.used,
    };
  }

  function counters(): EngineCounters {
    return {
      accepted: figures.accepted,
      duplicates: figures.duplicates,
      refused: figures.refused,
      attempts: figures.total.attempts,
      finals: figures.total.finals,
      inFlight: dispatcher.inFlight,
      lanes: lanes.size,
      waiting: lanes.used,
      waitingBytes: lanes.usedBytes,
      latency: figures.total.latency,
      latencySumMs: figures.latencySumMs,
    };
  }

  return {
    start,
    stop,
    publish: (publications) => {
      const [only] = publications;
      if (publications.length === 1 && only !== undefined)
        return publisher.publish(only).then((outcome) => [outcome]);
      return Promise.all(publications.map((publication) => publisher.publish(publication)));
    },
    apps: createApps({ store, apps, removed: removeApp }),
    endpoints: {
      create: (app, input) => endpoints.create(app, input),
      get: (app, endpoint) => endpoints.get(app, endpoint),
      list: (app, query) => endpoints.list(app, query),
      update: (app, endpoint, input) => endpoints.update(app, endpoint, input),
      remove: (app, endpoint) => endpoints.remove(app, endpoint),
      secret: (app, endpoint) => endpoints.secret(app, endpoint),
      rotateSecret: (app, endpoint, input) => endpoints.rotateSecret(app, endpoint, input),
      act: (app, endpoint, action) => endpoints.act(app, endpoint, action),
      test: async (app, endpoint, input) =>
        testEndpoint({ store, vault, publisher }, await endpoints.row(app, endpoint), input),
      replay: async (app, endpoint, input) => replays.start(await endpoints.row(app, endpoint), input),
    },
    eventTypes: createEventTypes({ store, apps, catalogue }),
    keys: createKeys(store),
    events: createEvents({ store, appId, ended }),
    deliveries: createDeliveries({
      store,
      appId,
      endpointId: async (app, reference) => (await endpoints.row(app, reference)).endpoint.id,
      ended,
      due: () => claimer.dueIn(0),
      created: (app, endpoint) => figures.created(app, endpoint),
    }),
    replays: { get: (id) => replays.get(id), cancel: (id) => replays.cancel(id) },
    stats: (app, query) => readStats(store, endpoints, app, query),
    health,
    feed,
    counters,
  };
}

function idsByEndpoint(list: readonly EndedDelivery[]): Map<EndpointId, Set<DeliveryId>> {
  const ids = new Map<EndpointId, Set<DeliveryId>>();
  for (const { endpointId, id } of list) {
    const known = ids.get(endpointId);
    if (known === undefined) ids.set(endpointId, new Set([id]));
    else known.add(id);
  }
  return ids;
}

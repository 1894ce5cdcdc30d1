/** Builds the engine from its parts and connects them. */
import { notFound } from "../base/errors.ts";
import { type AppId, type DeliveryId, type EndpointId, newAppId } from "../base/ids.ts";
import { DEFAULTS, OPERATOR_UID } from "../domain/defaults.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import type { EndedDelivery, Wake } from "../store/store.ts";
import { AppRuntimes } from "./app-runtime.ts";
import { createApps } from "./apps.ts";
import { Catalogue } from "./catalogue.ts";
import { Claimer } from "./claimer.ts";
import { createDeliveries } from "./deliveries.ts";
import { Dispatcher } from "./dispatcher.ts";
import { createDuties } from "./duties.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import { EndpointResources } from "./endpoints.ts";
import type { Engine, EngineCounters } from "./engine.ts";
import { createEventTypes } from "./event-types.ts";
import { createEvents } from "./events.ts";
import { Feed } from "./feed.ts";
import { FiguresCounter } from "./figures.ts";
import { Grace } from "./grace.ts";
import { readHealth } from "./health.ts";
import { Hold } from "./hold.ts";
import { createKeys } from "./keys.ts";
import type { Lane } from "./lane.ts";
import { LanePolicy } from "./lane-policy.ts";
import { LaneTable } from "./lane-table.ts";
import { Membership } from "./membership.ts";
import { createNodes } from "./nodes.ts";
import { OperationalEvents } from "./operational-events.ts";
import { ENGINE_DEFAULTS, type EngineOptions, type EngineParts } from "./options.ts";
import { PublicationPicker } from "./publications.ts";
import { publishInOrder } from "./publish-in-order.ts";
import { Publisher } from "./publisher.ts";
import { createPublications } from "./refused-publications.ts";
import { ReplayRunner } from "./replays.ts";
import { Settler } from "./settler.ts";
import { readStats } from "./stats.ts";
import { testEndpoint } from "./test-event.ts";
import { UnheldLeases } from "./unheld.ts";

/** A store that answers does this in a few milliseconds, and then others need not wait until this node is given up. */
const LEAVE_MS_MIN = 1000;

export function createEngine(parts: EngineParts, overrides: Partial<EngineOptions> = {}): Engine {
  const options: EngineOptions = { ...ENGINE_DEFAULTS, ...overrides };
  const { vault, logger, transports } = parts;
  const hold = new Hold();
  const store = hold.guard(parts.store);
  const transport = transports.webhook;
  const figures = new FiguresCounter();
  const feed = new Feed();
  const apps = new AppRuntimes(store.read, vault);
  const catalogue = new Catalogue(store, options.strictTypes);
  const keys = createKeys(store);
  const dispatches = options.roles.includes("dispatch");
  const lanes = new LaneTable({ ...options, dispatch: dispatches });
  const settler = new Settler(store.write, logger, options.settleQueueMax);
  const { shared } = store;
  const dispatcher = new Dispatcher({ transport, shared, settler, lanes, figures, feed, logger, options });
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
    hold,
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
  const membership = new Membership({
    store,
    node: { name: parts.nodeName, version: parts.version, roles: options.roles },
    lanes,
    dispatcher,
    claimer,
    logger,
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
    membership,
    unheld: new UnheldLeases({ read: store.read, lanes, settler, logger }),
    ended,
  });
  const picker = new PublicationPicker({
    store,
    figures,
    news,
    logger,
    incarnation: () => lanes.incarnation,
    publish: (found) =>
      publishInOrder({ write: store.write, catalogue, dispatcher, publisher, options }, found),
  });
  dispatcher.events = {
    hungry: (lane) => claimer.hungry(lane),
    dueIn: (ms) => claimer.dueIn(ms),
    settled: (attempted, result) => policy.settled(attempted, result),
    disable: (lane, reason) => policy.disable(lane, reason),
  };
  hold.needs = { logger, shared, stopDuties: () => duties.stop(), drain, resume };
  let stopping: Promise<void> | undefined;
  /** Whoever asks again waits for the same end. */
  const stop = (): Promise<void> => (stopping ??= stopOnce());

  let unwatch = (): void => {};

  async function appId(reference: string): Promise<AppId> {
    const app = await store.read.find("app", { id: reference });
    if (app === undefined) throw notFound("app", reference);
    return app.id;
  }

  /** Deliveries that ended without an attempt: by hand, by deadline, with their endpoint. */
  function ended(list: readonly EndedDelivery[]): void {
    for (const [endpointId, ids] of idsByEndpoint(list)) lanes.forget(endpointId, ids);
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
    for (const config of changed) {
      lane.change(new EndpointRuntime(config, vault));
      lane.follow(config.lane);
    }
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
    await membership.join();
    unwatch = store.watch(heard);
    if (dispatches) claimer.start();
    duties.start();
    if (shared && dispatches) picker.duty.start();
  }

  /** For a hold: as at a stop, but that the node stays. */
  async function drain(): Promise<void> {
    await publisher.idle();
    await Promise.all([claimer.stop(), dispatcher.stop()]);
    await settler.idle();
    if (lanes.incarnation === null) return;
    await figures.flush(store.write, lanes.incarnation);
    // The writer takes one call after the other: with this answer all that were made before are done.
    await store.write.beat(lanes.incarnation);
  }

  function resume(): void {
    if (stopping !== undefined) return;
    dispatcher.stopping = false;
    if (dispatches) claimer.start();
    duties.start();
  }

  /** What another node did. It may get lost: each of these is looked at without it, too, only later. */
  function heard(wake: Wake): void {
    switch (wake.kind) {
      case "due":
        claimer.dueIn(0);
        break;
      case "app_changed":
        apps.forget(wake.appId);
        for (const lane of lanes.all()) if (lane.runtime.endpoint.appId === wake.appId) lane.doubtful = true;
        duties.refresh.wake();
        break;
      case "all_changed":
        apps.forgetAll();
        for (const lane of lanes.all()) lane.doubtful = true;
        duties.refresh.wake();
        break;
      case "ended":
        lanes.forget(wake.endpointId, new Set(wake.deliveryIds));
        break;
      case "keys_changed":
        keys.forget();
        break;
      case "types_changed":
        catalogue.forget();
        break;
      default:
        // A newer node may tell of what this one does not know.
        wake satisfies never;
    }
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
    // Of two nodes that start at once one makes it.
    await store.write.save({ kind: "app", create: true, app });
  }

  async function stopOnce(): Promise<void> {
    hold.end();
    dispatcher.stopping = true;
    unwatch();
    // These may wait for the store, and do so while attempts end.
    const quiet = Promise.all([publisher.idle(), picker.duty.stop(), claimer.stop()]);
    await dispatcher.stop();
    const grace = new Grace(options.stopGraceMs);
    // What was promised a place meanwhile goes back like what waited.
    await grace.waitFor(quiet);
    if (!(await grace.waitFor(settler.idle()))) settler.giveUp();
    await grace.waitFor(duties.stop());
    const { incarnation } = lanes;
    const flushed = incarnation === null ? undefined : figures.flush(store.write, incarnation);
    await grace.waitFor(Promise.all([flushed, membership.leave()]), LEAVE_MS_MIN);
  }

  /** What is not as it should be in this process. */
  function problems(): string[] {
    const list: string[] = [];
    if (settler.failing) list.push("Outcomes cannot be written: no new attempt starts until they can.");
    if (stopping !== undefined) list.push("The server is stopping.");
    return [...list, ...hold.problems(), ...duties.problems()];
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
    keys,
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
    publications: createPublications({ store, appId, waiting: () => picker.duty.wake() }),
    nodes: createNodes(store),
    hold: { take: (input) => hold.take(input), release: () => hold.release() },
    stats: (app, query) => readStats(store, endpoints, app, query),
    health: () =>
      readHealth(store.read, problems(), { inFlight: dispatcher.inFlight, waitingInMemory: lanes.used }),
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

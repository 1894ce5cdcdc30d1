/** Builds the engine from its parts and connects them. */
import { notFound } from "../base/errors.ts";
import type { AppId, DeliveryId, EndpointId } from "../base/ids.ts";
import type { NewAuditEntry } from "../domain/audit.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import type { EndedDelivery, Wake } from "../store/store.ts";
import { actAsSystem, auditEntry } from "./acting.ts";
import { AppRuntimes } from "./app-runtime.ts";
import { createApps } from "./apps.ts";
import { createAudit, loggingAudit } from "./audit.ts";
import { Catalogue } from "./catalogue.ts";
import { Claimer } from "./claimer.ts";
import { createEndpoints } from "./create-endpoints.ts";
import { createDeliveries } from "./deliveries.ts";
import { Dispatcher } from "./dispatcher.ts";
import { createDuties } from "./duties.ts";
import type { Engine, EngineCounters } from "./engine.ts";
import { createEventTypes } from "./event-types.ts";
import { createEvents } from "./events.ts";
import { Feed } from "./feed.ts";
import { FiguresCounter } from "./figures.ts";
import { Grace } from "./grace.ts";
import { readHealth } from "./health.ts";
import { Hold } from "./hold.ts";
import { createKeys } from "./keys.ts";
import { LaneChanges } from "./lane-changes.ts";
import { LanePolicy } from "./lane-policy.ts";
import { LaneTable } from "./lane-table.ts";
import { Limits, limitedKey } from "./limits.ts";
import { Membership } from "./membership.ts";
import { createNodes } from "./nodes.ts";
import { ensureOperator, OperationalEvents } from "./operational-events.ts";
import { ENGINE_DEFAULTS, type EngineOptions, type EngineParts } from "./options.ts";
import { PublicKeys } from "./public-keys.ts";
import { PublicationPicker } from "./publications.ts";
import { publishInOrder } from "./publish-in-order.ts";
import { Publisher } from "./publisher.ts";
import { createPublications } from "./refused-publications.ts";
import { ReplayRunner } from "./replays.ts";
import { createSessions } from "./sessions.ts";
import { Settler } from "./settler.ts";
import { readStats } from "./stats.ts";
import { UnheldLeases } from "./unheld.ts";

/** A store that answers does this in a few milliseconds, and then others need not wait until this node is given up. */
const LEAVE_MS_MIN = 1000;

export function createEngine(parts: EngineParts, overrides: Partial<EngineOptions> = {}): Engine {
  const options: EngineOptions = { ...ENGINE_DEFAULTS, ...overrides };
  const { vault, logger, transports } = parts;
  const hold = new Hold();
  const store = hold.guard(loggingAudit(parts.store, logger));
  const transport = transports.webhook;
  const figures = new FiguresCounter();
  const feed = new Feed();
  const apps = new AppRuntimes(store.read, vault);
  const catalogue = new Catalogue(store, options.strictTypes);
  const keys = createKeys(store);
  const sessions = createSessions({
    store,
    logger,
    authenticate: (secret) => keys.authenticate(secret),
    csrfKey: vault.derive("csrf"),
    sessionMs: options.sessionMs,
  });
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
  const limits = new Limits({ ...store, logger, nodes: () => membership.publishers });
  const publisher = new Publisher({
    write: store.write,
    hold,
    apps,
    catalogue,
    dispatcher,
    figures,
    limits,
    logger,
    options,
    fanOutPending: () => duties.fanOut.wake(),
  });
  const news = new OperationalEvents({
    apps,
    logger,
    publish: (publication) => publisher.publishNews(publication),
  });
  const laneChanges = new LaneChanges({ store, vault, lanes, dispatcher, claimer });
  const publicKeys = new PublicKeys(store.read);
  const { edits, checks, endpoints } = createEndpoints({
    store,
    vault,
    transport,
    logger,
    options,
    news,
    publisher,
    replays,
    changed: endpointChanged,
    remove: removeEndpoint,
  });
  const policy = new LanePolicy({
    options,
    news,
    logger,
    setStatus: (endpoint, status, reason) => actAsSystem(() => edits.setStatus(endpoint, status, reason)),
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
    checks,
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
  hold.needs = {
    logger,
    shared,
    stopDuties: () => duties.stop(),
    drain,
    resume,
    audit: async (deed) => void (await store.write.save({ kind: "audit" }, auditEntry(deed))),
  };
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

  /** What is cached of its app goes, its lane takes over the new row. */
  async function endpointChanged(endpoint: Endpoint): Promise<void> {
    apps.forget(endpoint.appId);
    publicKeys.forget(endpoint.appId);
    await laneChanges.follow(endpoint);
  }

  async function removeEndpoint(endpoint: Endpoint, audit: NewAuditEntry): Promise<void> {
    await laneChanges.removing(
      (lane) => lane.id === endpoint.id,
      () => store.write.remove({ kind: "endpoint", id: endpoint.id }, audit),
    );
    duties.cancel.wake();
    apps.forget(endpoint.appId);
    publicKeys.forget(endpoint.appId);
  }

  async function removeApp(app: { readonly id: AppId }, audit: NewAuditEntry): Promise<void> {
    await laneChanges.removing(
      (lane) => lane.runtime.endpoint.appId === app.id,
      () => store.write.remove({ kind: "app", id: app.id }, audit),
    );
    duties.cancel.wake();
    apps.forget(app.id);
    publicKeys.forget(app.id);
    sessions.forget();
    await keys.revoked();
  }

  async function start(): Promise<void> {
    await ensureOperator(store);
    await membership.join();
    unwatch = store.watch(heard);
    if (dispatches) claimer.start();
    duties.start();
    limits.duty.start();
    if (shared && dispatches) picker.duty.start();
  }

  /** For a hold: as at a stop, but that the node stays. */
  async function drain(): Promise<void> {
    await publisher.idle();
    await Promise.all([claimer.stop(), dispatcher.stop()]);
    await settler.idle();
    await limits.stop();
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
    limits.duty.start();
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
        sessions.forget();
        break;
      case "types_changed":
        catalogue.forget();
        break;
      default:
        // A newer node may tell of what this one does not know.
        wake satisfies never;
    }
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
    await grace.waitFor(Promise.all([duties.stop(), checks.stop()]));
    const { incarnation } = lanes;
    const flushed = incarnation === null ? undefined : figures.flush(store.write, incarnation);
    await grace.waitFor(Promise.all([flushed, limits.stop(), membership.leave()]), LEAVE_MS_MIN);
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
    publish: (publications, by) => {
      const key = limitedKey(by);
      const [only] = publications;
      if (publications.length === 1 && only !== undefined)
        return publisher.publish(only, key).then((outcome) => [outcome]);
      return Promise.all(publications.map((publication) => publisher.publish(publication, key)));
    },
    standings: (by, references) =>
      limits.standings(
        limitedKey(by),
        references.map((reference) => apps.peek(reference)),
      ),
    apps: createApps({ store, apps, remove: removeApp }),
    endpoints,
    eventTypes: createEventTypes({ store, apps, catalogue }),
    keys: {
      ...keys,
      async remove(id) {
        await keys.remove(id);
        // Those that it opened ended with it.
        sessions.forget();
      },
    },
    publicKeys: ({ app } = {}) => publicKeys.list(app),
    sessions,
    audit: createAudit({ store, appId }),
    events: createEvents({ store, appId, ended }),
    deliveries: createDeliveries({
      store,
      appId,
      endpointId: async (app, reference) => (await edits.row(app, reference)).endpoint.id,
      ended,
      due: () => claimer.dueIn(0),
      created: (app, endpoint) => figures.created(app, endpoint),
    }),
    replays: {
      get: (id, within) => replays.get(id, within),
      cancel: (id, within) => replays.cancel(id, within),
    },
    publications: createPublications({ store, appId, waiting: () => picker.duty.wake() }),
    nodes: createNodes(store),
    hold: { take: (input) => hold.take(input), release: () => hold.release() },
    stats: (app, query) => readStats(store, edits, app, query),
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

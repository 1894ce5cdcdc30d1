/** Posthorn as a library: the whole engine in this process. */
import type { PublicationId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { silentLogger } from "../base/logger.ts";
import type { App, AppCreate, AppUpdate } from "../domain/app.ts";
import type { EndpointCreate, EndpointUpdate, SecretRotate } from "../domain/endpoint.ts";
import type { EventType, EventTypeCreate, EventTypePut } from "../domain/event-type.ts";
import type { Key, KeyCreate } from "../domain/key.ts";
import type { Published } from "../domain/publication.ts";
import type { ReplayCreate } from "../domain/replay.ts";
import { actAs, LIBRARY } from "../engine/acting.ts";
import type {
  Apps,
  Audit,
  Deliveries,
  EndpointSecrets,
  Endpoints,
  EndpointView,
  Engine,
  Events,
  EventTypes,
  Keys,
  Publications,
  PublishOutcome,
  Replays,
} from "../engine/engine.ts";
import type { TransactionClient } from "../store/postgres/publish.ts";
import { completeConfig } from "./config.ts";
import { createLogger } from "./logger.ts";
import { type Config, ENGINE_OPTIONS, type EngineConfig } from "./options.ts";
import { type NewEvent, publishInside, publishMany, publishOne } from "./publish.ts";
import { openRooms } from "./rooms.ts";
import { readVersion } from "./version.ts";

/** Everything that docs/configuration.md lists, but what belongs to the HTTP server. */
export interface PosthornOptions extends Partial<EngineConfig> {
  /** Gets what is worth knowing; pino and most others have its shape. Without it and `logLevel`, nothing is logged. */
  readonly logger?: Logger;
  /** Log to stderr from this level on. */
  readonly logLevel?: Config["logLevel"];
  readonly logFormat?: Config["logFormat"];
}

/** Each method throws a PosthornError that names the field, the value and what to do. Every `app` is an id or a uid. */
export interface Posthorn {
  /** Resolves when the event is durable. */
  publish(event: NewEvent): Promise<Published>;
  /** Up to 1,000 events at once; outcomes in their order, one that is refused spoils no other. */
  publish(events: readonly NewEvent[]): Promise<PublishOutcome[]>;
  /**
   * Inside the transaction that the client (of `pg`) is in, on the database of the store: the event is there once that
   * commits, and is delivered at most about 50 ms later. See docs/publish-in-a-transaction.md.
   */
  publish(
    event: NewEvent,
    inside: { readonly client: TransactionClient },
  ): Promise<{ publicationId: PublicationId }>;
  readonly apps: LibraryApps;
  readonly endpoints: LibraryEndpoints;
  readonly eventTypes: LibraryEventTypes;
  readonly keys: LibraryKeys;
  readonly events: Events;
  readonly deliveries: Deliveries;
  readonly replays: Replays;
  /** What was published inside transactions and refused afterwards. */
  readonly publications: Publications;
  /** Who did what to what; what this program does stands there as done by `library`. */
  readonly audit: Audit;
  stats: Engine["stats"];
  health: Engine["health"];
  /** Attempts and final states as they happen. */
  readonly feed: Engine["feed"];
  /** Lets attempts under way end, settles what was answered, and closes. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LibraryApps extends Apps {
  create(input: AppCreate): Promise<App>;
  /** Fields that are given replace, `null` clears. */
  update(app: string, input: AppUpdate): Promise<App>;
}

export interface LibraryEndpoints extends Endpoints {
  create(app: string, input: EndpointCreate): Promise<EndpointView>;
  /** Fields that are given replace, `null` clears to the default. */
  update(app: string, endpoint: string, input: EndpointUpdate): Promise<EndpointView>;
  rotateSecret(app: string, endpoint: string, input: SecretRotate): Promise<EndpointSecrets>;
  test(app: string, endpoint: string, input: { eventType: string }): ReturnType<Endpoints["test"]>;
  replay(app: string, endpoint: string, input: ReplayCreate): ReturnType<Endpoints["replay"]>;
}

export interface LibraryEventTypes extends EventTypes {
  create(input: EventTypeCreate): Promise<EventType>;
  put(name: string, input: EventTypePut): Promise<EventType>;
}

export interface LibraryKeys extends Omit<Keys, "ensureAdmin"> {
  create(input: KeyCreate): Promise<{ key: Key; secret: string }>;
}

/**
 * Opens a data directory and starts sending from this process. One process at a time may have a data directory open.
 * @throws PosthornError for an option that cannot be used; Error when the directory cannot be opened
 */
export async function openPosthorn(options: PosthornOptions = {}): Promise<Posthorn> {
  const { logger, logLevel, logFormat = "auto", ...rest } = options;
  const config = completeConfig(Object.keys(ENGINE_OPTIONS) as (keyof EngineConfig)[], rest);
  const log = logger ?? (logLevel === undefined ? silentLogger : createLogger({ logLevel, logFormat }));
  const { engine, store, close } = await openRooms(config, log, readVersion());
  const { audit, feed } = engine;
  return {
    publish: ((
      event: NewEvent | readonly NewEvent[],
      inside?: { readonly client: TransactionClient },
    ): Promise<unknown> => {
      if (inside !== undefined) return publishInside(store, event as NewEvent, inside.client);
      return isMany(event) ? publishMany(engine, event) : publishOne(engine, event);
    }) as Posthorn["publish"],
    apps: asLibrary(engine.apps),
    endpoints: asLibrary(engine.endpoints),
    eventTypes: asLibrary(engine.eventTypes),
    keys: asLibrary(engine.keys),
    events: asLibrary(engine.events),
    deliveries: asLibrary(engine.deliveries),
    replays: asLibrary(engine.replays),
    publications: asLibrary(engine.publications),
    audit,
    feed,
    stats: (app, query) => engine.stats(app, query),
    health: () => engine.health(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What the methods of a part of the engine do is done by the program that Posthorn is embedded in. */
function asLibrary<Part extends object>(part: Part): Part {
  return new Proxy(part, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => actAs(LIBRARY, () => member.apply(target, args));
    },
  });
}

function isMany(event: NewEvent | readonly NewEvent[]): event is readonly NewEvent[] {
  return Array.isArray(event);
}

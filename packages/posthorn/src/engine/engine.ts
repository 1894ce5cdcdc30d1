/**
 * The engine as its users see it: the doors above and the library. Each method validates its own input and throws
 * PosthornError with the field, the value and what to do. Times are unix milliseconds (`...AtMs`).
 */
import type { PosthornError } from "../base/errors.ts";
import type { AppId, DeliveryId, EndpointId, EventId, KeyId, SessionId } from "../base/ids.ts";
import type { App } from "../domain/app.ts";
import type { Attempt } from "../domain/attempt.ts";
import type { AuditEntry } from "../domain/audit.ts";
import type { BreakerState } from "../domain/breaker.ts";
import type { Delivery } from "../domain/delivery.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import type { Event } from "../domain/event.ts";
import type { EventType } from "../domain/event-type.ts";
import type { Key } from "../domain/key.ts";
import type { LimitStanding } from "../domain/limits.ts";
import type { Node } from "../domain/node.ts";
import type { Publication, Published, StoredPublication } from "../domain/publication.ts";
import type { DryRun, Replay } from "../domain/replay.ts";
import type { Session } from "../domain/session.ts";
import type { Page, Stats, StoreHealth } from "../store/store.ts";
import type { Feed } from "./feed.ts";
import type { Hold } from "./hold.ts";

export interface Engine {
  /** Starts sending. Resolves once this node is enlisted; takeover of what an earlier run had leased goes on behind. */
  start(): Promise<void>;
  /** Stops claiming, lets attempts under way end, settles what was answered, hands back the rest. */
  stop(): Promise<void>;

  /**
   * Answers stand in the order of the publications; one bad element spoils no other. Resolves when all are durable.
   * `by`: the key whose limits count, next to those of the apps.
   */
  publish(publications: readonly Publication[], by?: Key): Promise<PublishOutcome[]>;
  /** How a key, and the apps just published to, stand towards their limits; empty when they have none. Asks no store. */
  standings(by: Key, apps: readonly string[]): readonly LimitStanding[];

  readonly apps: Apps;
  readonly endpoints: Endpoints;
  readonly eventTypes: EventTypes;
  readonly keys: Keys;
  readonly sessions: Sessions;
  readonly audit: Audit;
  /** Public keys that deliveries are signed with: of one app (id or uid), or of all. */
  publicKeys(query?: { app?: string }): Promise<readonly PublicKeyView[]>;
  readonly events: Events;
  readonly deliveries: Deliveries;
  readonly replays: Replays;
  readonly nodes: Nodes;
  /** Keeps a store that is this node's alone still, for a while. */
  readonly hold: Pick<Hold, "take" | "release">;
  readonly publications: Publications;

  stats(
    app: string,
    query: { since?: string; until?: string; endpoint?: string },
  ): Promise<Stats & { sinceMs: number; untilMs: number }>;
  health(): Promise<EngineHealth>;
  /** Attempts and final states as they happen on this node; bounded, drops for slow readers. */
  readonly feed: Feed;
  /** Counters and gauges of this node since its start, for /metrics. */
  counters(): EngineCounters;
}

export type PublishOutcome =
  | ({ readonly kind: "accepted" } & Published)
  | { readonly kind: "refused"; readonly error: PosthornError };

export interface PageQuery {
  cursor?: string;
  /** 1-250, 50 unless given. */
  limit?: number;
}

/** Every `app` is an id or a uid. */
export interface Apps {
  create(input: unknown): Promise<App>;
  get(app: string): Promise<App>;
  list(query?: PageQuery): Promise<Page<App>>;
  update(app: string, input: unknown): Promise<App>;
  remove(app: string): Promise<void>;
}

/** What an endpoint's deliveries are signed and encrypted with, as its owner may see it. */
export interface EndpointSecrets {
  /** `whsec_...`, or what a sender profile has in its place: text, JSON where it has parts; null: its scheme signs with a key alone. */
  readonly secret: string | null;
  /** `whpk_...`, or PEM of an RSA key, to verify with; null: its scheme signs with a secret alone. */
  readonly publicKey: string | null;
  /** Of `dir` encryption: base64url of 32 bytes. */
  readonly encryptionKey: string | null;
}

export interface PublicKeyView {
  readonly endpointId: EndpointId;
  readonly appId: AppId;
  /** JWK thumbprint (RFC 7638): the `keyid` of a signature. */
  readonly kid: string;
  /** 32 bytes, ed25519. */
  readonly publicKey: Uint8Array;
  /** When it stops signing along; null: the current one. */
  readonly expiresAtMs: number | null;
}

/** An endpoint as it is shown: no secret, and of its headers only the names. */
export interface EndpointView extends Endpoint {
  /** Of the keys that sign now, the current one first. */
  readonly publicKeys: readonly PublicKeyView[];
  readonly headerNames: readonly string[];
  readonly breaker: BreakerState;
  /** For how long every attempt has failed; null: the last one did not. */
  readonly failingForMs: number | null;
  /** Events that its filter could not judge, since it was made, and what the last error said. */
  readonly filterErrors: number;
  readonly filterError: string | null;
  /** When the outgoing secret of a rotation stops signing; null: no rotation under way. */
  readonly oldSecretExpiresAtMs: number | null;
  /** What will need somebody soon, a sentence each: a client certificate that is about to end. */
  readonly warnings: readonly string[];
}

export type EndpointAction = "enable" | "disable" | "pause" | "resume";

/** Every `endpoint` is an id or a uid within its app. */
export interface Endpoints {
  create(app: string, input: unknown): Promise<EndpointView>;
  get(app: string, endpoint: string): Promise<EndpointView>;
  list(app: string, query?: PageQuery): Promise<Page<EndpointView>>;
  update(app: string, endpoint: string, input: unknown): Promise<EndpointView>;
  remove(app: string, endpoint: string): Promise<void>;
  secret(app: string, endpoint: string): Promise<EndpointSecrets>;
  /** Returns what is new; the old secrets and keys sign along until the overlap ends. */
  rotateSecret(app: string, endpoint: string, input: unknown): Promise<EndpointSecrets>;
  /** Checks now whether the endpoint wants its events. @throws PosthornError `state_conflict` when it need not */
  verify(app: string, endpoint: string): Promise<EndpointView>;
  /** The receiver grants by the callback of its check. @throws PosthornError `not_found` for a key that is unknown, used or over */
  grant(callbackKey: string, input: { readonly ratePerMinute: number | null }): Promise<void>;
  act(app: string, endpoint: string, action: EndpointAction): Promise<EndpointView>;
  /** Publishes an event of the type's example (or `{}`) to this endpoint alone. Input: `{eventType}`; `by` as for `publish`. */
  test(
    app: string,
    endpoint: string,
    input: unknown,
    by?: Key,
  ): Promise<{ eventId: EventId; deliveryId: DeliveryId }>;
  /**
   * Input: `{since, until?, states?, eventTypes?, dryRun?}`. A dry run counts and makes nothing.
   * @throws PosthornError `state_conflict` while another one runs or too much waits for the endpoint; `rate_limited` while
   * another dry run of the app is under way
   */
  replay(
    app: string,
    endpoint: string,
    input: unknown,
  ): Promise<{ kind: "started"; replay: Replay } | ({ kind: "dry_run" } & DryRun)>;
}

export interface EventTypes {
  create(input: unknown): Promise<EventType>;
  get(name: string): Promise<EventType>;
  list(query?: PageQuery): Promise<Page<EventType>>;
  /** Creates or replaces. */
  put(name: string, input: unknown): Promise<EventType>;
  remove(name: string): Promise<void>;
}

export interface KeyQuery extends PageQuery {
  /** Id or uid: only the keys of this app. */
  app?: string;
}
export interface Keys {
  /** `secret` is shown this once. */
  create(input: unknown): Promise<{ key: Key; secret: string }>;
  list(query?: KeyQuery): Promise<Page<Key>>;
  /** Resolves when no node takes the key any more. */
  remove(key: string): Promise<void>;
  get(key: string): Promise<Key>;
  /** The key that this secret opens; undefined when unknown, revoked or expired. */
  authenticate(secret: string): Promise<Key | undefined>;
  /** Makes sure that an admin key with this secret exists: the first start. */
  ensureAdmin(secret: string): Promise<KeyId>;
}

export interface OpenedSession {
  readonly session: Session;
  /** What the cookie holds: 256 random bits. Shown this once. */
  readonly token: string;
  /** Goes with every unsafe request of the session (CS-01). */
  readonly csrfToken: string;
  readonly key: Key;
}

export interface Sessions {
  /**
   * Signs in with an API key; the session of the token `replaced`, if there is one, ends (ASVS 7.2.4).
   * @throws PosthornError `unauthorized`
   */
  open(keySecret: string, replaced?: string): Promise<OpenedSession>;
  /** The session of this cookie with its key; undefined when it is unknown or over, or its key is. */
  authenticate(token: string): Promise<{ readonly session: Session; readonly key: Key } | undefined>;
  csrfToken(session: Session): string;
  /** Whether the token was made for this session. In constant time. */
  checkCsrfToken(session: Session, token: string): boolean;
  close(id: SessionId): Promise<void>;
}

export interface AuditQuery extends PageQuery {
  app?: string;
  since?: string;
  until?: string;
  /** In the order of the chain, to verify it. */
  oldestFirst?: boolean;
}
export interface Audit {
  list(query?: AuditQuery): Promise<Page<AuditEntry>>;
  get(id: string): Promise<AuditEntry>;
}

export interface EventQuery extends PageQuery {
  app?: string;
  type?: string;
  since?: string;
  until?: string;
}
/** Every `within` is the one app that the caller may see: what belongs to another one is not there (`not_found`). */
export interface Events {
  /** `data` is null once expunged. */
  get(id: string, within?: AppId): Promise<{ event: Event; data: Uint8Array | null }>;
  list(query?: EventQuery): Promise<Page<Event>>;
  /** Zeroes the payload's bytes and cancels its unfinished deliveries. */
  expunge(id: string, within?: AppId): Promise<void>;
}

export interface DeliveryQuery extends PageQuery {
  app?: string;
  /** Id; a uid only together with `app`. */
  endpoint?: string;
  event?: string;
  state?: string;
  eventType?: string;
  since?: string;
  until?: string;
}
export interface Deliveries {
  get(id: string, within?: AppId): Promise<{ delivery: Delivery; attempts: readonly Attempt[] }>;
  list(query?: DeliveryQuery): Promise<Page<Delivery>>;
  /** A new delivery of the same event, outside the endpoint's order. */
  redeliver(id: string, within?: AppId): Promise<DeliveryId>;
  cancel(id: string, within?: AppId): Promise<Delivery>;
}

export interface Replays {
  get(id: string, within?: AppId): Promise<Replay>;
  cancel(id: string, within?: AppId): Promise<Replay>;
}

export interface PublicationQuery extends PageQuery {
  app?: string;
}
/** Events published inside users' own transactions, on a store that several nodes share. What became an event is not there any more. */
export interface Publications {
  /** One that was refused, or waits for a node. */
  get(id: string): Promise<StoredPublication>;
  /** Those that were refused, newest first. */
  list(query?: PublicationQuery): Promise<Page<StoredPublication>>;
  /** Lets a refused one wait for a node again, in its old place. */
  retry(id: string): Promise<void>;
  /** Forgets a refused one. */
  remove(id: string): Promise<void>;
}

/** The nodes that share the store, newest first; those that ended stay for a while. */
export interface Nodes {
  list(query?: PageQuery): Promise<Page<Node>>;
  get(id: string): Promise<Node>;
}

export interface EngineHealth {
  readonly ready: boolean;
  /** One line for each thing that is not as it should be. */
  readonly problems: readonly string[];
  /** A sentence for each thing that the store does not promise as it is set up. The node is ready all the same. */
  readonly warnings: readonly string[];
  readonly store: StoreHealth | null;
  readonly inFlight: number;
  readonly waitingInMemory: number;
}

export interface EngineCounters {
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly attempts: Readonly<Record<string, number>>;
  readonly finals: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly lanes: number;
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Seconds histogram source: durations of attempts in ms by bucket of LATENCY_BOUNDS_MS. */
  readonly latency: readonly number[];
  readonly latencySumMs: number;
}

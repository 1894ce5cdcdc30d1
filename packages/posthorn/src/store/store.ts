/**
 * CONTRACT of a store: the one system of record. Its methods speak the words of the domain, batch-shaped, read and write apart.
 * Both stores pass store.conformance.ts.
 *
 * - A method that resolves has committed and synced: after it, no crash takes the effect back.
 * - One bad element never fails its batch; answers stand in the order of the elements.
 * - The store owns `now`. Callers give durations (`inMs`); absolute times appear only as data (`...AtMs`).
 * - A lease belongs to a node incarnation. What a voided incarnation writes is fenced: its attempt is recorded,
 *   its verdict is not, except that a late success finishes a delivery that is still unfinished.
 */
import type { AppId, DeliveryId, EndpointId, IncarnationId, KeyId, PublicationId } from "../base/ids.ts";
import type { NewAuditEntry } from "../domain/audit.ts";
import type { EndpointFigures } from "../domain/figures.ts";
import type { PublicationProblem, StoredPublication } from "../domain/publication.ts";
import type {
  AppConfig,
  Change,
  DueLanes,
  DueQuery,
  EndpointConfig,
  KnownEndpoint,
  ListQuery,
  Page,
  PublicKeyRecord,
  Reference,
  RemoveTarget,
  ResourceKind,
  Resources,
  SaveResult,
  Stats,
  StatsQuery,
  StoreHealth,
  Usage,
  Wake,
} from "./records.ts";
import type {
  Acceptance,
  AcceptResult,
  Beat,
  BreakerChange,
  CancelTarget,
  Claim,
  ClaimedLane,
  DutyResult,
  EndedDelivery,
  ExclusiveDuty,
  Lease,
  NewNode,
  PruneResult,
  RedeliverResult,
  Redelivery,
  ReplayStep,
  RescueResult,
  Settlement,
  SettleResult,
} from "./work.ts";

export type * from "./records.ts";
export type * from "./work.ts";

export interface Store {
  /** Several nodes may have it open: what one knows by heart, another may have changed. */
  readonly shared: boolean;
  readonly write: StoreWriter;
  readonly read: StoreReader;
  /** Writes a consistent copy of everything committed to a new file or target, while serving. */
  backup(target: string): Promise<void>;
  /** Tells of what other nodes did. Answers how to stop listening. */
  watch(listener: (wake: Wake) => void): () => void;
  /** Moves the store's `now` forward. For tests only. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface StoreWriter {
  /** Registers a starting node. On a store for one node this voids every earlier incarnation. */
  enlist(node: NewNode): Promise<IncarnationId>;
  /** Says that the node lives, and hears whether others still believe it. */
  beat(incarnation: IncarnationId): Promise<Beat>;
  /** The node ends. What it still holds is rescued at once. */
  retire(incarnation: IncarnationId): Promise<void>;
  /** Whether this node has the duty: it had it, or nobody who lives did. */
  takeDuty(duty: ExclusiveDuty, incarnation: IncarnationId): Promise<boolean>;
  /** Event, deliveries, idempotency records and source position of each element, all or nothing. */
  accept(acceptances: readonly Acceptance[]): Promise<AcceptResult[]>;
  /** Continues events stored with a fan-out cursor, at most `deliveriesMax` new deliveries (class 1, unleased). */
  extendFanOut(deliveriesMax: number): Promise<DutyResult>;
  /** Leases due deliveries of the named lanes, lowest due time first within a class. */
  claim(claim: Claim): Promise<ClaimedLane[]>;
  /** Attempts with what follows from them, and the breakers that changed through them. */
  settle(settlements: readonly Settlement[], breakers: readonly BreakerChange[]): Promise<SettleResult[]>;
  /** Takes over what voided or silent incarnations had leased: an `unknown` attempt each, due at once (see RescueResult). */
  rescue(deliveriesMax: number): Promise<RescueResult>;
  /**
   * Dead-letters what is past its deadline: `endpoint_disabled` where the endpoint is, else `expired`; and what has waited
   * for 72 h (since it was due; held by its order: since it was made) at an endpoint that was unverified all that time.
   */
  expire(deliveriesMax: number): Promise<DutyResult & { readonly ended: readonly EndedDelivery[] }>;
  /** New deliveries of stored events, by hand. */
  redeliver(redeliveries: readonly Redelivery[]): Promise<RedeliverResult[]>;
  /** Ends pending deliveries as `cancelled`, at most `deliveriesMax` a call. */
  cancel(
    target: CancelTarget,
    deliveriesMax: number,
  ): Promise<DutyResult & { readonly ended: readonly EndedDelivery[] }>;
  /**
   * Creates or changes a row of configuration, and bumps its app's configVersion in the same transaction; in which `audit`
   * is appended to the audit log, too, if the change is saved.
   */
  save(change: Change, audit?: NewAuditEntry): Promise<SaveResult>;
  /** Deletes. An endpoint's lane stops with the commit; its deliveries are for `cancel`. A payload's bytes are zeroed. */
  remove(target: RemoveTarget, audit?: NewAuditEntry): Promise<boolean>;
  /** Adds to what was used of this day's quotas. */
  use(usages: readonly Usage[]): Promise<void>;
  /** Takes a running replay one step further: its new deliveries and its cursor in one transaction. False: it runs no more, or stands elsewhere. */
  advanceReplay(step: ReplayStep): Promise<boolean>;
  /** Adds figures to the current minute of this node. */
  record(incarnation: IncarnationId, figures: readonly EndpointFigures[]): Promise<void>;
  /** Keeps a publication that cannot become an event, with what is wrong with it. False: it is not there any more. */
  refusePublication(id: PublicationId, problem: PublicationProblem): Promise<boolean>;
  /** Deletes what is past its retention and not needed by an unfinished delivery, at most `rowsMax` rows of each kind. */
  prune(rowsMax: number): Promise<PruneResult>;
}

export interface StoreReader {
  /** An app, by id or uid, with everything that fanning out needs. */
  config(app: string): Promise<AppConfig | undefined>;
  /** Of the lanes named with the version known of their endpoint: those that changed, and those that are gone. */
  refresh(
    known: readonly KnownEndpoint[],
  ): Promise<{ readonly changed: readonly EndpointConfig[]; readonly gone: readonly EndpointId[] }>;
  find<Kind extends ResourceKind>(kind: Kind, reference: Reference): Promise<Resources[Kind] | undefined>;
  /** One page, newest first (event types and attempts: first first; audit: newest first, `oldestFirst` in the order of the chain). */
  list<Kind extends ResourceKind>(kind: Kind, query: ListQuery): Promise<Page<Resources[Kind]>>;
  /** Lanes with work that may run now, and when the next one will have. Pages by `after`, so that no lane starves. */
  dueLanes(query: DueQuery): Promise<DueLanes>;
  /** What is leased to a node, in the order of ids: it gives back what it does not hold. */
  leases(
    incarnation: IncarnationId,
    page: { readonly limit: number; readonly after?: DeliveryId },
  ): Promise<readonly Lease[]>;
  /** Events published inside users' own transactions and committed, the earliest first. */
  publications(limit: number): Promise<readonly StoredPublication[]>;
  stats(query: StatsQuery): Promise<Stats>;
  /** Public keys, but for ended ones, of endpoints whose scheme signs with one, in the order of endpoint ids: of one app, or of all. */
  publicKeys(query: { readonly appId?: AppId; readonly limit: number }): Promise<readonly PublicKeyRecord[]>;
  /** What was used of this day's quotas (nothing used: not in the answer), and when the day ends. */
  usage(
    scopes: readonly (AppId | KeyId)[],
  ): Promise<{ readonly usages: readonly Usage[]; readonly dayEndsInMs: number }>;
  health(): Promise<StoreHealth>;
}

/** What a store keeps and shows: configuration with its lanes, and what can be found and listed. Part of the contract. */
import type {
  AppId,
  DeliveryId,
  EndpointId,
  EventId,
  IncarnationId,
  KeyId,
  PublicationId,
  ReplayId,
  SessionId,
} from "../base/ids.ts";
import type { App } from "../domain/app.ts";
import type { Attempt } from "../domain/attempt.ts";
import type { AuditEntry } from "../domain/audit.ts";
import type { BreakerState } from "../domain/breaker.ts";
import type { Delivery } from "../domain/delivery.ts";
import type { DisableReason, Endpoint, EndpointStatus } from "../domain/endpoint.ts";
import type { Event } from "../domain/event.ts";
import type { EventType } from "../domain/event-type.ts";
import type { Figures } from "../domain/figures.ts";
import type { Key } from "../domain/key.ts";
import type { Node } from "../domain/node.ts";
import type { StoredPublication } from "../domain/publication.ts";
import type { Replay } from "../domain/replay.ts";
import type { Session } from "../domain/session.ts";
// ---- configuration ------------------------------------------------------------------------------------------------

/** A secret as it is stored: an envelope of the vault, bound to its row. The store never sees it open. */
export interface SealedSecret {
  readonly sealed: Uint8Array;
  /** null: the current one. An endpoint may have two: a signing secret and a signing key. */
  readonly expiresAtMs: number | null;
  /** The 32 public bytes of an ed25519 signing key; null: it is a signing secret (HMAC). */
  readonly publicKey: Uint8Array | null;
}

export interface EndpointConfig {
  readonly endpoint: Endpoint;
  /** Current first. */
  readonly secrets: readonly SealedSecret[];
  /** JSON of the custom headers, sealed; null: none. */
  readonly sealedHeaders: Uint8Array | null;
  /** JSON of domain/authentication.ts' Credentials, sealed; null: none. */
  readonly sealedCredentials: Uint8Array | null;
  readonly lane: LaneRecord;
}

export interface LaneRecord {
  readonly endpointId: EndpointId;
  readonly appId: AppId;
  readonly epoch: number;
  /** The node that alone sends for it; null: shared, or nobody's yet. */
  readonly owner: IncarnationId | null;
  /** Ordered, rate-limited or with a small cap: never shared. */
  readonly exclusive: boolean;
  readonly breaker: BreakerState;
  /** Something is stored unleased, so a hand-off must queue behind it. */
  readonly backlog: boolean;
  /** All attempts since then failed; null: the last one did not. */
  readonly failingForMs: number | null;
}

export interface AppConfig {
  readonly app: App;
  readonly endpoints: readonly EndpointConfig[];
}

export interface KnownEndpoint {
  readonly endpointId: EndpointId;
  readonly version: number;
  /** Of its lane; undefined: not compared. */
  readonly epoch?: number;
}

export type Change =
  | {
      readonly kind: "app";
      readonly create: boolean;
      readonly app: Omit<App, "configVersion" | "createdAtMs" | "updatedAtMs">;
    }
  | {
      readonly kind: "endpoint";
      readonly create: boolean;
      /** With `create` false: `version` must be the one that was read, else `changed`. */
      readonly endpoint: Omit<Endpoint, "createdAtMs" | "updatedAtMs">;
      readonly secrets: readonly SealedSecret[];
      readonly sealedHeaders: Uint8Array | null;
      readonly sealedCredentials: Uint8Array | null;
    }
  | {
      readonly kind: "endpoint_status";
      readonly endpointId: EndpointId;
      readonly status: EndpointStatus;
      readonly disableReason: DisableReason | null;
    }
  | {
      readonly kind: "event_type";
      readonly create: boolean;
      readonly eventType: Omit<EventType, "createdAtMs" | "updatedAtMs">;
    }
  | {
      readonly kind: "key";
      readonly key: Omit<Key, "createdAtMs" | "lastUsedAtMs">;
      readonly hash: Uint8Array;
    }
  | { readonly kind: "key_used"; readonly id: KeyId }
  /** `missing` when its key is not there any more. */
  | {
      readonly kind: "session";
      readonly session: Omit<Session, "createdAtMs" | "expiresAtMs">;
      readonly hash: Uint8Array;
      readonly expiresInMs: number;
    }
  /** Every secret of the store is sealed under the master key of this check value. */
  | { readonly kind: "master_key"; readonly check: Uint8Array }
  /** Nothing but an entry of the audit log. */
  | { readonly kind: "audit" }
  | {
      readonly kind: "replay";
      readonly replay: Omit<Replay, "createdAtMs" | "finishedAtMs" | "examined" | "created" | "state">;
    }
  | { readonly kind: "replay_cancelled"; readonly id: ReplayId }
  /** Lifts the blocks of an ordered lane whose head dead-lettered under `onDeadLetter: "block"`. */
  | { readonly kind: "unblock"; readonly endpointId: EndpointId }
  /** A refused publication waits for a node again, in its old place. */
  | { readonly kind: "publication_retried"; readonly id: PublicationId };

export type SaveResult =
  | { readonly kind: "saved" }
  | { readonly kind: "uid_taken" }
  | { readonly kind: "changed" }
  | { readonly kind: "missing" };

export type RemoveTarget =
  | { readonly kind: "app"; readonly id: AppId }
  | { readonly kind: "endpoint"; readonly id: EndpointId }
  | { readonly kind: "event_type"; readonly name: string }
  /** With its sessions. */
  | { readonly kind: "key"; readonly id: KeyId }
  | { readonly kind: "session"; readonly id: SessionId }
  | { readonly kind: "payload"; readonly eventId: EventId }
  /** A refused one. */
  | { readonly kind: "publication"; readonly id: PublicationId };

// ---- reading ------------------------------------------------------------------------------------------------------

export interface StoredEvent extends Event {
  /** null in lists, and once expunged. */
  readonly payload: Uint8Array | null;
}

export interface StoredKey extends Key {
  readonly hash: Uint8Array;
}

export interface StoredSession extends Session {
  readonly hash: Uint8Array;
}

/** A public key that some endpoint's deliveries are signed with. */
export interface PublicKeyRecord {
  readonly endpointId: EndpointId;
  readonly appId: AppId;
  /** 32 bytes, ed25519. */
  readonly publicKey: Uint8Array;
  /** null: the current one. */
  readonly expiresAtMs: number | null;
}

/** Events of one day, 0:00 to 24:00 UTC of the store's clock. */
export interface Usage {
  readonly scope: AppId | KeyId;
  readonly events: number;
}

export interface StoredReplay extends Replay {
  readonly cursor: string | null;
}

/** An endpoint with what operators see of its lane. */
export interface EndpointRow extends EndpointConfig {
  /** Since it was made. */
  readonly filterErrors: number;
  readonly filterError: string | null;
}

export interface Resources {
  app: App;
  endpoint: EndpointRow;
  event_type: EventType;
  key: StoredKey;
  session: StoredSession;
  audit: AuditEntry;
  event: StoredEvent;
  delivery: Delivery;
  attempt: Attempt;
  replay: StoredReplay;
  node: Node;
  /** Listed: those that were refused. */
  publication: StoredPublication;
}
export type ResourceKind = keyof Resources;

/** `app` and `endpoint`: id or uid (an endpoint's uid within `appId`). `key` and `session`: id, or `hash`; a session that has ended is not there. `audit`: its id. `event_type`: its name. */
export interface Reference {
  readonly id?: string;
  readonly appId?: AppId;
  readonly hash?: Uint8Array;
  /** An attempt is known by its delivery and its id. */
  readonly deliveryId?: DeliveryId;
}

export interface ListQuery {
  readonly limit: number;
  readonly cursor?: string;
  readonly appId?: AppId;
  readonly endpointId?: EndpointId;
  readonly eventId?: EventId;
  readonly deliveryId?: DeliveryId;
  /** Deliveries and replays in one of these states. */
  readonly states?: readonly string[];
  readonly eventType?: string;
  /** Creation time window: since inclusive, until exclusive. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Instead of newest first. */
  readonly oldestFirst?: boolean;
  /** Endpoints that have not proved that they want their events. */
  readonly unverified?: boolean;
  /** Events with their payloads. */
  readonly payloads?: boolean;
}

export interface Page<Row> {
  readonly data: readonly Row[];
  readonly nextCursor: string | null;
}

export type DueCursor = string;

export interface DueQuery {
  readonly lanesMax: number;
  readonly after?: DueCursor;
  /** Leaves out lanes that another living node owns. */
  readonly for?: IncarnationId;
}

/** Something another node did that this one should look at soon. It may get lost: whoever relies on it also looks by himself. */
export type Wake =
  | { readonly kind: "due" }
  | { readonly kind: "app_changed"; readonly appId: AppId }
  | { readonly kind: "keys_changed" }
  | { readonly kind: "types_changed" }
  /** Deliveries that were leased ended without an attempt: whoever holds them sends them no more. At most 100 at once. */
  | { readonly kind: "ended"; readonly endpointId: EndpointId; readonly deliveryIds: readonly DeliveryId[] }
  /** Any app, endpoint or lane may have changed. */
  | { readonly kind: "all_changed" };

export interface DueLanes {
  readonly lanes: readonly LaneRecord[];
  /** Of lanes not due yet; null: none has a due time. */
  readonly nextInMs: number | null;
  /** Give it back as `after`; null: the end was reached, begin anew. */
  readonly cursor: DueCursor | null;
}

export interface StatsQuery {
  readonly appId: AppId;
  readonly endpointId?: EndpointId;
  readonly sinceMs: number;
  readonly untilMs: number;
}

export interface Stats {
  readonly total: Figures;
  readonly minutes: readonly { readonly atMs: number; readonly figures: Figures }[];
  /** Counted up to 10,000: beyond that `pendingCapped` is true. */
  readonly pending: number;
  readonly pendingCapped: boolean;
  readonly oldestPendingAgeMs: number | null;
}

export interface StoreHealth {
  readonly kind: string;
  /** What it does so that a committed write survives, e.g. `wal, synchronous=full`. */
  readonly durability: string;
  readonly schemaVersion: number;
  readonly bytes: number;
  /** Free space where the store lies; null where it cannot be known. */
  readonly freeBytes: number | null;
  readonly prunedAgoMs: number | null;
  /** False once below the reserve: accepting answers `full`, settling goes on. */
  readonly accepting: boolean;
  /** What it does not promise as it is set up, a sentence each; empty: all is as it should be. */
  readonly warnings: readonly string[];
  /** Until when rows can be stored without anything to be made before; null: without end. */
  readonly partitionsUntilMs: number | null;
}

/** A publication as a door hands it over: the envelope parsed, `data` as the bytes that came. */
import type { AppId, PublicationId } from "../base/ids.ts";

export interface Publication {
  /** Everything but `data`: app, type, uid?, timestamp?, channels?, orderingKey?, deliverAt?. Not validated yet. */
  readonly envelope: unknown;
  /** The bytes of the JSON value `data`, strictly scanned by the door; undefined when it was missing. */
  readonly data: Uint8Array | undefined;
  /** The request as it was sent, for the idempotency fingerprint; never the built payload. */
  readonly raw: Uint8Array;
  /** The header `Idempotency-Key`; element i of a batch has `key:i`. */
  readonly idempotencyKey: string | null;
  /** The header `posthorn-hops`: through how many webhooks it came; 0 unless given. */
  readonly hops?: number;
}

export interface Published {
  readonly id: `evt_${string}`;
  /** True: an earlier publication with the same uid or key made this event; nothing new was stored. */
  readonly duplicate: boolean;
  /** How many endpoints the event goes to. */
  readonly deliveries: number;
  readonly fanOut: "done" | "pending";
}

/** Why a publication of a user's own transaction could not become an event. */
export interface PublicationProblem {
  readonly code: string;
  readonly message: string;
  readonly pointer: string | null;
}

/** An event published inside a user's own transaction, as a node finds it once that has committed. */
export interface StoredPublication {
  readonly id: PublicationId;
  readonly appId: AppId;
  /** Everything but `data`; `app` is the app's id. Not validated yet. */
  readonly envelope: unknown;
  /** The bytes of the JSON value. */
  readonly data: Uint8Array;
  readonly idempotencyKey: string | null;
  readonly createdAtMs: number;
  /** null: it waits for a node. Else it was refused, and stays until someone deletes it. */
  readonly problem: PublicationProblem | null;
  readonly refusedAtMs: number | null;
}

/** From the library's form of an event to the engine's. */
import { PosthornError } from "../base/errors.ts";
import type { PublicationId } from "../base/ids.ts";
import { LIMITS } from "../domain/defaults.ts";
import { scanJson } from "../domain/json.ts";
import type { Publication } from "../domain/publication.ts";
import type { Engine, PublishOutcome } from "../engine/engine.ts";
import { prepare } from "../engine/prepared.ts";
import { publishThrough, type TransactionClient } from "../store/postgres/publish.ts";
import type { Store } from "../store/store.ts";

interface EventEnvelope {
  /** Id or uid. */
  readonly app: string;
  /** Its event type, such as `order.created`. */
  readonly type: string;
  /** Your own id of the event: the same uid within 24 h makes no second event. */
  readonly uid?: string;
  /** When it occurred; now unless given. Text in ISO 8601 with an offset or `Z` is delivered as it is. */
  readonly timestamp?: string | Date;
  /** Endpoints with channels get it only if they share one. */
  readonly channels?: readonly string[];
  /** Endpoints with `ordering: "keyed"` get events of the same key in order. */
  readonly orderingKey?: string;
  /** Not before this; at most 30 days ahead. */
  readonly deliverAt?: string | Date;
  /** As the header Idempotency-Key: the same key within 24 h makes no second event. */
  readonly idempotencyKey?: string;
}

/**
 * An event to be published. Its data is a JavaScript value, written with JSON.stringify; or JSON, as text or UTF-8 bytes,
 * that is delivered byte for byte: the order of keys, white space and numbers such as 9007199254740993 stay.
 */
export type NewEvent = EventEnvelope &
  (
    | { readonly data: unknown; readonly dataJson?: never }
    | { readonly dataJson: string | Uint8Array; readonly data?: never }
  );

/** @throws PosthornError of the event, when it was refused */
export async function publishOne(engine: Pick<Engine, "publish">, event: NewEvent) {
  const [outcome] = await engine.publish([publicationOf(event)]);
  if (outcome === undefined) throw new Error("The engine gave no outcome.");
  if (outcome.kind === "refused") throw outcome.error;
  const { kind: _, ...published } = outcome;
  return published;
}

/**
 * Inside the transaction that the client is in: once that commits, a node makes the event.
 * @throws PosthornError of the event; what is found before the database is asked leaves the transaction as it was
 */
export async function publishInside(
  store: Pick<Store, "shared">,
  event: NewEvent,
  client: TransactionClient,
): Promise<{ publicationId: PublicationId }> {
  if (!store.shared) {
    throw new PosthornError(
      "invalid_field",
      "publish(event, { client }) needs a store on PostgreSQL, and this one is a file of this machine. Leave /client out.",
      { pointer: "/client" },
    );
  }
  if (Array.isArray(event) || typeof client?.query !== "function") {
    throw new PosthornError(
      "invalid_field",
      "publish(event, { client }) takes one event, and a client with a method query(text, values), such as one of `pg`.",
      { pointer: "/client" },
    );
  }
  const publication = publicationOf(event);
  const { envelope, data } = prepare(publication, LIMITS);
  const publicationId = await publishThrough(client, {
    envelope,
    data: Buffer.from(data).toString("utf8"),
    idempotencyKey: publication.idempotencyKey,
  });
  return { publicationId };
}

/** Outcomes in the order of the events; one that is refused spoils no other. */
export async function publishMany(
  engine: Pick<Engine, "publish">,
  events: readonly NewEvent[],
): Promise<PublishOutcome[]> {
  const { batchEventsMax } = LIMITS;
  if (events.length > batchEventsMax) {
    throw new PosthornError(
      "batch_too_large",
      `A batch may have at most ${batchEventsMax} events. Publish it in parts.`,
    );
  }
  const read = events.map((event) => {
    try {
      return publicationOf(event);
    } catch (error) {
      if (error instanceof PosthornError) return error;
      throw error;
    }
  });
  const publications = read.filter((each): each is Publication => !(each instanceof PosthornError));
  const outcomes = (await engine.publish(publications)).values();
  return read.map((each) =>
    each instanceof PosthornError
      ? { kind: "refused", error: each }
      : (outcomes.next().value as PublishOutcome),
  );
}

function publicationOf(event: NewEvent): Publication {
  const { data, dataJson, idempotencyKey, ...rest } = event;
  const envelope = {
    ...rest,
    ...timeText("timestamp", rest.timestamp),
    ...timeText("deliverAt", rest.deliverAt),
  };
  const bytes = dataJson === undefined ? stringified(data) : jsonBytes(dataJson);
  if (dataJson !== undefined && data !== undefined) {
    throw new PosthornError("invalid_field", "Give either /data or /dataJson, not both.", {
      pointer: "/dataJson",
    });
  }
  return {
    envelope,
    data: bytes,
    raw: fingerprinted(envelope, bytes),
    idempotencyKey: idempotencyKey ?? null,
  };
}

function timeText(
  name: "timestamp" | "deliverAt",
  time: string | Date | undefined,
): Partial<Record<typeof name, string>> {
  if (!(time instanceof Date)) return {};
  if (!Number.isNaN(time.getTime())) return { [name]: time.toISOString() };
  throw new PosthornError("invalid_field", `/${name} is an invalid Date.`, { pointer: `/${name}` });
}

/** The request as it was made, for the idempotency fingerprint: the same fields in any order are the same request. */
function fingerprinted(envelope: object, data: Uint8Array | undefined): Uint8Array {
  const fields = Object.entries(envelope).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat([Buffer.from(JSON.stringify(fields)), data ?? Buffer.alloc(0)]);
}

function stringified(data: unknown): Uint8Array | undefined {
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PosthornError(
      "invalid_field",
      `/data cannot be written as JSON (${why}). Give /dataJson instead.`,
      {
        pointer: "/data",
        cause: error,
      },
    );
  }
  return text === undefined ? undefined : jsonBytes(text);
}

/** Strictly scanned, like what comes through a door. */
function jsonBytes(json: string | Uint8Array): Uint8Array {
  const bytes = typeof json === "string" ? Buffer.from(json) : json;
  const { start, end } = scanJson(bytes, { depthMax: LIMITS.jsonDepthMax });
  return bytes.subarray(start, end);
}

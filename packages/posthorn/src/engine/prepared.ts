/** A publication checked as far as that goes without knowing its app, and its payload built. */
import { hash } from "node:crypto";
import { PosthornError } from "../base/errors.ts";
import { DEFAULTS, LIMITS } from "../domain/defaults.ts";
import { type EventEnvelope, eventEnvelopeSchema } from "../domain/event.ts";
import { isEventTypeName } from "../domain/event-types.ts";
import { parseInput } from "../domain/input.ts";
import { buildPayload, type Payload } from "../domain/payload.ts";
import type { Publication } from "../domain/publication.ts";
import type { Acceptance } from "../store/store.ts";

export interface Prepared {
  readonly envelope: EventEnvelope;
  readonly data: Uint8Array;
  readonly timestamp: string;
  readonly payload: Payload;
  readonly deliverAtMs: number | null;
  readonly hops: number;
  readonly idempotency: Acceptance["idempotency"];
}

export interface PrepareLimits {
  readonly payloadBytesMax: number;
  readonly hopsMax: number;
}

/** @throws PosthornError of the envelope, of missing data, of a payload that is too large, `loop_detected` */
export function prepare(publication: Publication, { payloadBytesMax, hopsMax }: PrepareLimits): Prepared {
  const envelope = parseInput(eventEnvelopeSchema, publication.envelope);
  const { data, raw, idempotencyKey, hops = 0 } = publication;
  if (hops > hopsMax) throw loopDetected(hops, hopsMax);
  if (data === undefined)
    throw new PosthornError("missing_field", "/data is required and must be JSON.", { pointer: "/data" });
  if (!isEventTypeName(envelope.type)) throw badTypeName(envelope.type);
  const timestamp = envelope.timestamp ?? new Date().toISOString();
  const payload = buildPayload(envelope.type, timestamp, data);
  if (payload.bytes.length > payloadBytesMax) {
    throw new PosthornError(
      "payload_too_large",
      `The payload has ${payload.bytes.length} bytes; at most ${payloadBytesMax} are allowed.`,
      {
        pointer: "/data",
      },
    );
  }
  return {
    envelope,
    data,
    timestamp,
    payload,
    deliverAtMs: deliverAtMs(envelope.deliverAt),
    hops,
    idempotency: idempotencyOf(envelope.uid, idempotencyKey, raw),
  };
}

function deliverAtMs(deliverAt: string | undefined): number | null {
  if (deliverAt === undefined) return null;
  const atMs = Date.parse(deliverAt);
  if (atMs - Date.now() > LIMITS.deliverAtMsMax) {
    throw new PosthornError(
      "invalid_deliver_at",
      `/deliverAt is more than 30 days ahead (${deliverAt}). Publish it later.`,
      {
        pointer: "/deliverAt",
        value: deliverAt,
      },
    );
  }
  return atMs;
}

/** Both kinds of key deduplicate within the app for 24 h; the fingerprint is of the request as sent. */
function idempotencyOf(
  uid: string | undefined,
  key: string | null,
  raw: Uint8Array,
): Acceptance["idempotency"] {
  if (uid === undefined && key === null) return [];
  const fingerprint = hash("sha256", raw, "buffer");
  const records = [];
  if (uid !== undefined) records.push({ key: `uid:${uid}`, fingerprint });
  if (key !== null) records.push({ key: `key:${key}`, fingerprint });
  return records;
}

/** One of these keys was used for another request. */
export function conflict(key: string, eventId: string): PosthornError {
  const [kind, shown] = key.startsWith("uid:") ? ["uid", key.slice(4)] : ["Idempotency-Key", key.slice(4)];
  return new PosthornError(
    "idempotency_conflict",
    `The ${kind} "${shown}" was used in the last ${DEFAULTS.idempotencyMs / 3_600_000} h for event ${eventId} with another request. Use a new one, or send the same request.`,
    { pointer: kind === "uid" ? "/uid" : "", value: shown },
  );
}

function loopDetected(hops: number, hopsMax: number): PosthornError {
  return new PosthornError(
    "loop_detected",
    `The event has come through ${hops} webhooks, and ${hopsMax} are allowed: it probably goes round in a circle. Do not publish what you received from here to an app whose endpoints send it back; a chain that is meant to be longer needs a greater hopsMax.`,
    { pointer: "/posthorn-hops", value: hops },
  );
}

function badTypeName(type: string): PosthornError {
  return new PosthornError(
    "invalid_field",
    `/type must be segments of letters, digits, _ and -, joined by dots (got "${type}").`,
    {
      pointer: "/type",
      value: type,
    },
  );
}

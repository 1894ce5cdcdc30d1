/** An event is a fact, published once to one app, immutable. */
import { z } from "zod";
import type { AppId, EventId } from "../base/ids.ts";
import { LIMITS } from "./defaults.ts";

export interface Event {
  readonly id: EventId;
  readonly appId: AppId;
  readonly uid: string | null;
  readonly eventType: string;
  /** When the event occurred, ISO 8601, exactly as it stands in the payload. */
  readonly timestamp: string;
  readonly channels: readonly string[];
  readonly orderingKey: string | null;
  readonly deliverAtMs: number | null;
  /** Through how many webhooks it came before it was published here. */
  readonly hops: number;
  readonly payloadBytes: number;
  /** Where `data` lies in the payload. */
  readonly dataStart: number;
  readonly dataEnd: number;
  readonly acceptedAtMs: number;
  /** Set when the payload's bytes were zeroed by hand. */
  readonly expungedAtMs: number | null;
  readonly fanOut: "done" | "pending";
}

/** A caller's own id of an event: a deduplication key only, so it may look like anything. */
export const eventUidSchema = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e]+$/, "must consist of visible ASCII characters");

export const channelSchema = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9_.:-]+$/, "must consist of letters, digits and _ . : -");
export const channelsSchema = z.array(channelSchema).max(LIMITS.channelsMax);

/** ISO 8601 with offset or Z. It stands in the payload as it came, so its fraction may not go on for ever. */
export const timestampSchema = z.iso
  .datetime({ offset: true, error: "must be an ISO 8601 time such as 2026-01-31T12:00:00Z" })
  .max(64);

/** The envelope of a published event: everything but `data`, which stays bytes. */
export const eventEnvelopeSchema = z.strictObject({
  app: z.string().min(1).max(128),
  type: z.string().min(1).max(128),
  uid: eventUidSchema.optional(),
  timestamp: timestampSchema.optional(),
  channels: channelsSchema.optional(),
  // No control characters: PostgreSQL keeps no NUL, and none of the others helps anybody.
  orderingKey: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[^\p{Cc}]*$/u, "must not contain control characters")
    .optional(),
  deliverAt: timestampSchema.optional(),
});
export type EventEnvelope = z.output<typeof eventEnvelopeSchema>;

/** An endpoint is where an app wants its events. Its queue is its lane. */
import { importStandardSecret } from "@posthorn/receiver";
import { z } from "zod";
import type { AppId, EndpointId } from "../base/ids.ts";
import { uidSchema } from "./app.ts";
import { DEFAULTS, LIMITS } from "./defaults.ts";
import { channelsSchema } from "./event.ts";
import { retryScheduleSchema } from "./retry-schedule.ts";

/** Set by people or policy; what each means for waiting deliveries stands in docs/delivery-lifecycle.md. */
export const ENDPOINT_STATUSES = ["enabled", "paused", "unverified", "disabled"] as const;
export type EndpointStatus = (typeof ENDPOINT_STATUSES)[number];

/** Why an endpoint is disabled. */
export const DISABLE_REASONS = ["by_hand", "gone", "failing", "receiver_asked"] as const;
export type DisableReason = (typeof DISABLE_REASONS)[number];

/** Order is per endpoint and opt-in: `fifo` for all its deliveries, `keyed` for those that share an orderingKey. */
export const ORDERINGS = ["unordered", "fifo", "keyed"] as const;
export type Ordering = (typeof ORDERINGS)[number];

/** What happens to an ordered lane when its head dead-letters. */
export const DEAD_LETTER_POLICIES = ["continue", "block"] as const;
export type DeadLetterPolicy = (typeof DEAD_LETTER_POLICIES)[number];

export const SCHEMES = ["standard"] as const;
export type Scheme = (typeof SCHEMES)[number];

export interface Endpoint {
  readonly id: EndpointId;
  readonly appId: AppId;
  readonly uid: string | null;
  readonly url: string;
  readonly description: string;
  /** Patterns: exact, `order.*`, `order.**`, `*`. Empty: all. */
  readonly eventTypes: readonly string[];
  /** Empty: all events; else only those that share a channel. */
  readonly channels: readonly string[];
  /** A CEL expression over `event`; null: no filter. */
  readonly filter: string | null;
  readonly rateLimitPerSecond: number | null;
  readonly inFlightMax: number;
  readonly timeoutMs: number;
  /** Delays in seconds after each failed attempt; empty: no retry. */
  readonly retrySchedule: readonly number[];
  readonly ordering: Ordering;
  readonly onDeadLetter: DeadLetterPolicy;
  readonly scheme: Scheme;
  readonly status: EndpointStatus;
  readonly disableReason: DisableReason | null;
  /** Bumped with every change of the row. */
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

const RESERVED_HEADERS = new Set([
  "host",
  "content-length",
  "content-type",
  "content-encoding",
  "content-digest",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "upgrade",
  "te",
  "trailer",
  "expect",
  "user-agent",
  "proxy-authorization",
]);

const headerNameSchema = z
  .string()
  .max(128)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "must be a header name (RFC 9110 token)")
  .refine(
    (name) => !RESERVED_HEADERS.has(name.toLowerCase()) && !/^(webhook-|signature)/i.test(name),
    "is reserved and cannot be set",
  );
const headerValueSchema = z
  .string()
  .max(4096)
  // Tab, visible ASCII and space: no CR, LF or NUL can end a header early.
  .regex(/^[\t\x20-\x7e]*$/, "must be printable ASCII without line breaks");
export const headersSchema = z
  .record(headerNameSchema, headerValueSchema)
  .refine(
    (headers) => Object.keys(headers).length <= LIMITS.headersPerEndpointMax,
    "must be at most 32 headers",
  )
  .refine(
    (headers) =>
      new Set(Object.keys(headers).map((name) => name.toLowerCase())).size === Object.keys(headers).length,
    "must name each header once, whatever its case",
  );

/** Whether every attempt will be able to sign with it. */
function isStandardSecret(secret: string): boolean {
  if (!secret.startsWith("whsec_")) return false;
  try {
    importStandardSecret(secret, { strict: true });
    return true;
  } catch {
    return false;
  }
}

/** Only the form; whether the address may be reached is for the address guard. */
export const urlSchema = z.string().min(1).max(2048);

const shape = {
  uid: uidSchema,
  url: urlSchema,
  description: z.string().max(1024),
  eventTypes: z.array(z.string().min(1).max(128)).max(LIMITS.eventTypesPerEndpointMax),
  channels: channelsSchema,
  filter: z.string().min(1).max(4096),
  headers: headersSchema,
  rateLimitPerSecond: z.number().min(0.01).max(10_000),
  inFlightMax: z.int().min(1).max(DEFAULTS.inFlightMax),
  timeoutMs: z.int().min(LIMITS.timeoutMsMin).max(LIMITS.timeoutMsMax),
  retrySchedule: retryScheduleSchema,
  ordering: z.enum(ORDERINGS),
  onDeadLetter: z.enum(DEAD_LETTER_POLICIES),
  scheme: z.enum(SCHEMES),
  secret: z
    .string()
    .max(256)
    .refine(isStandardSecret, "must be whsec_ followed by the base64 of 24 to 64 bytes"),
  status: z.enum(["enabled", "paused", "disabled"]),
} as const;

export const endpointCreateSchema = z.strictObject({
  uid: shape.uid.optional(),
  url: shape.url,
  description: shape.description.default(""),
  eventTypes: shape.eventTypes.nullable().default([]),
  channels: shape.channels.nullable().default([]),
  filter: shape.filter.nullable().default(null),
  headers: shape.headers.nullable().default({}),
  rateLimitPerSecond: shape.rateLimitPerSecond.nullable().default(null),
  inFlightMax: shape.inFlightMax.default(DEFAULTS.inFlightMax),
  timeoutMs: shape.timeoutMs.default(DEFAULTS.timeoutMs),
  retrySchedule: shape.retrySchedule.default([...DEFAULTS.retrySchedule]),
  ordering: shape.ordering.default("unordered"),
  onDeadLetter: shape.onDeadLetter.default("continue"),
  scheme: shape.scheme.default("standard"),
  secret: shape.secret.optional(),
  status: shape.status.default("enabled"),
});
export type EndpointCreate = z.input<typeof endpointCreateSchema>;

/** PATCH merges; `null` clears to the default. The secret changes by rotation only. */
export const endpointUpdateSchema = z.strictObject({
  uid: shape.uid.nullable().optional(),
  url: shape.url.optional(),
  description: shape.description.nullable().optional(),
  eventTypes: shape.eventTypes.nullable().optional(),
  channels: shape.channels.nullable().optional(),
  filter: shape.filter.nullable().optional(),
  headers: shape.headers.nullable().optional(),
  rateLimitPerSecond: shape.rateLimitPerSecond.nullable().optional(),
  inFlightMax: shape.inFlightMax.nullable().optional(),
  timeoutMs: shape.timeoutMs.nullable().optional(),
  retrySchedule: shape.retrySchedule.nullable().optional(),
  ordering: shape.ordering.nullable().optional(),
  onDeadLetter: shape.onDeadLetter.nullable().optional(),
  scheme: shape.scheme.nullable().optional(),
  status: shape.status.optional(),
});
export type EndpointUpdate = z.input<typeof endpointUpdateSchema>;

export const secretRotateSchema = z.strictObject({
  secret: shape.secret.optional(),
  overlapSeconds: z
    .number()
    .min(0)
    .max(LIMITS.secretOverlapSecondsMax)
    .default(DEFAULTS.secretOverlapSeconds),
});
export type SecretRotate = z.input<typeof secretRotateSchema>;

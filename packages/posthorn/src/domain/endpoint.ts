/** An endpoint is where an app wants its events. Its queue is its lane. */
import { z } from "zod";
import type { AppId, EndpointId } from "../base/ids.ts";
import { uidSchema } from "./app.ts";
import {
  type Authentication,
  authenticationSchema,
  type ClientCertificate,
  certificateAuthoritiesSchema,
  clientCertificateSchema,
} from "./authentication.ts";
import { DEFAULTS, LIMITS } from "./defaults.ts";
import { type Encryption, encryptionSchema } from "./encryption.ts";
import { channelsSchema } from "./event.ts";
import type { Verification } from "./ownership.ts";
import { retryScheduleSchema } from "./retry-schedule.ts";
import { SCHEMES, type Scheme, secretSchema, signingKeySchema } from "./scheme.ts";

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
  /** null: none but its signature and its headers. */
  readonly authentication: Authentication | null;
  readonly clientCertificate: ClientCertificate | null;
  /** PEM: in place of the certificate authorities that the server trusts, for this receiver alone. */
  readonly certificateAuthorities: string | null;
  readonly encryption: Encryption | null;
  /** null: it need not prove that it wants its events. */
  readonly verification: Verification | null;
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
  "proxy-connection",
  // CloudEvents' handshake of consent: what it says is for the platform, not for an app.
  "webhook-request-origin",
]);
/** Ours, and those of the signature schemes. */
const RESERVED_PREFIX = /^(webhook-|posthorn-|signature)/i;

const headerNameSchema = z
  .string()
  .max(128)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "must be a header name (RFC 9110 token)")
  .refine(
    (name) => !RESERVED_HEADERS.has(name.toLowerCase()) && !RESERVED_PREFIX.test(name),
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

/** What a receiver asks for before a request counts, and what it granted: kept as one piece. */
export type EndpointAccess = Pick<
  Endpoint,
  "authentication" | "clientCertificate" | "certificateAuthorities" | "encryption" | "verification"
>;
export const NO_ACCESS: EndpointAccess = {
  authentication: null,
  clientCertificate: null,
  certificateAuthorities: null,
  encryption: null,
  verification: null,
};

/** Requests per second that it may be sent: the owner's limit, or what the receiver granted, whichever is less; null: no bound. */
export function effectiveRatePerSecond({
  rateLimitPerSecond,
  verification,
}: Pick<Endpoint, "rateLimitPerSecond" | "verification">): number | null {
  const granted = verification?.grantedPerMinute ?? null;
  if (granted === null) return rateLimitPerSecond;
  return Math.min(rateLimitPerSecond ?? Number.POSITIVE_INFINITY, granted / 60);
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
  authentication: authenticationSchema(headerNameSchema),
  clientCertificate: clientCertificateSchema,
  certificateAuthorities: certificateAuthoritiesSchema,
  encryption: encryptionSchema,
  secret: secretSchema,
  signingKey: signingKeySchema,
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
  authentication: shape.authentication.nullable().default(null),
  clientCertificate: shape.clientCertificate.nullable().default(null),
  certificateAuthorities: shape.certificateAuthorities.nullable().default(null),
  encryption: shape.encryption.nullable().default(null),
  secret: shape.secret.optional(),
  signingKey: shape.signingKey.optional(),
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
  authentication: shape.authentication.nullable().optional(),
  clientCertificate: shape.clientCertificate.nullable().optional(),
  certificateAuthorities: shape.certificateAuthorities.nullable().optional(),
  encryption: shape.encryption.nullable().optional(),
  status: shape.status.optional(),
});
export type EndpointUpdate = z.input<typeof endpointUpdateSchema>;
/** As it was read. */
export type EndpointUpdateInput = z.output<typeof endpointUpdateSchema>;

/**
 * `standard-both` changes both; the others only what they sign with. The overlap is a day unless given, and nothing where a
 * request of the scheme holds one signature.
 */
export const secretRotateSchema = z.strictObject({
  secret: shape.secret.optional(),
  signingKey: shape.signingKey.optional(),
  overlapSeconds: z.number().min(0).max(LIMITS.secretOverlapSecondsMax).optional(),
});
export type SecretRotate = z.input<typeof secretRotateSchema>;

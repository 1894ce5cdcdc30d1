/** Every default and every bound of the engine in one place. docs/configuration.md lists the ones that can be set. */

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const DEFAULTS = {
  /** Seconds after each failed attempt: 10 attempts over about 75 h 35 min (Standard Webhooks, "Delivery success and failure"). */
  retrySchedule: [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400],
  /** Each delay is drawn from +-20 %, so that what failed together is not tried together. */
  retryJitter: 0.2,
  timeoutMs: 15 * SECOND_MS,
  connectTimeoutMs: 5 * SECOND_MS,
  inFlightStart: 16,
  inFlightMax: 256,
  secretOverlapSeconds: 24 * 3600,
  /** The least delay after a 429 or a timeout: the receiver has too much to do. */
  overloadDelayMs: MINUTE_MS,
  idempotencyMs: DAY_MS,
  retentionDays: 30,
  pageLimit: 50,
} as const;

export const LIMITS = {
  payloadBytesMax: 1024 * 1024,
  batchEventsMax: 1000,
  batchBytesMax: 8 * 1024 * 1024,
  jsonDepthMax: 64,
  pageLimitMax: 250,
  timeoutMsMin: SECOND_MS,
  timeoutMsMax: 30 * SECOND_MS,
  retryScheduleLengthMax: 50,
  /** All delays of a schedule together. */
  retryScheduleMsMax: 10 * DAY_MS,
  deliverAtMsMax: 30 * DAY_MS,
  /** How long a delivery may wait past its last due time before it is dead-lettered as `expired`. */
  waitMsMax: 7 * DAY_MS,
  retryAfterMsMax: DAY_MS,
  unknownInARowMax: 3,
  responseBytesReadMax: 64 * 1024,
  responseBytesKeptMax: 4 * 1024,
  eventTypesPerEndpointMax: 200,
  channelsMax: 20,
  headersPerEndpointMax: 32,
  secretOverlapSecondsMax: 7 * 24 * 3600,
  metadataBytesMax: 16 * 1024,
  schemaBytesMax: 256 * 1024,
  /** Webhooks that an event may have come through: the next one would be a loop. */
  hopsMax: 8,
  /** How long deliveries wait for an endpoint to prove that it wants them. */
  unverifiedMsMax: 72 * HOUR_MS,
  /** An event that matches more endpoints than this is continued in chunks by the fan-out duty. */
  fanOutAtOnceMax: 200,
} as const;

/** The disabling policy: every attempt of this long failed, and they were at least so many. */
export const AUTO_DISABLE = { failingMs: 5 * DAY_MS, attemptsMin: 10, warnAfterAttempts: 4 } as const;

/** The only reserved app: operational events go to it, and none are made about it. */
export const OPERATOR_UID = "operator";

export const RETENTION_DAYS = [7, 30, 90, 365] as const;

/** What an app or a key may use. Each is null unless set: no limit but those of the server. */
import { z } from "zod";

export interface KeyLimits {
  /** Events per second, with a burst of one second's worth. On several nodes each living one has its part. */
  readonly publishPerSecond: number | null;
  /** Events from 0:00 to 24:00 UTC. */
  readonly eventsPerDay: number | null;
  /** Of one event, below the server's own limit. */
  readonly payloadBytes: number | null;
}

export interface AppLimits extends KeyLimits {
  /** How many endpoints the app may have. */
  readonly endpoints: number | null;
}

export const NO_KEY_LIMITS: KeyLimits = { publishPerSecond: null, eventsPerDay: null, payloadBytes: null };
export const NO_APP_LIMITS: AppLimits = { ...NO_KEY_LIMITS, endpoints: null };

/** Whether publishing is limited at all. */
export function isLimited({ publishPerSecond, eventsPerDay, payloadBytes }: KeyLimits): boolean {
  return publishPerSecond !== null || eventsPerDay !== null || payloadBytes !== null;
}

const limit = (min: number, max: number) => z.int().min(min).max(max).nullable().default(null);
const shape = {
  publishPerSecond: z.number().min(0.01).max(1_000_000).nullable().default(null),
  eventsPerDay: limit(0, 1_000_000_000_000),
  payloadBytes: limit(1, 64 * 1024 * 1024),
} as const;

/** Given as a whole: what is left out is not limited. */
export const keyLimitsSchema = z.strictObject(shape);
export const appLimitsSchema = z.strictObject({ ...shape, endpoints: limit(0, 1_000_000) });

/** How an app or a key stands towards one of its limits, for the `RateLimit` headers. */
export interface LimitStanding {
  /** Names the policy in the headers: `app-rate`, `app-day`, `key-rate`, `key-day`. */
  readonly policy: string;
  readonly quota: number;
  readonly windowSeconds: number;
  readonly remaining: number;
  readonly resetSeconds: number;
}

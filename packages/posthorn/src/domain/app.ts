/** An app is one tenant of the platform: a third-party developer's application, or one customer. */
import { z } from "zod";
import type { AppId } from "../base/ids.ts";
import { DEFAULTS, LIMITS, RETENTION_DAYS } from "./defaults.ts";
import { type AppLimits, appLimitsSchema } from "./limits.ts";
import { type OwnershipPolicy, ownershipPolicySchema } from "./ownership.ts";

export interface App {
  readonly id: AppId;
  /** The caller's own id, unique among apps; works wherever the id does. */
  readonly uid: string | null;
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** How long its events, deliveries and attempts are kept: a class of 7, 30, 90 or 365 days. */
  readonly retentionDays: number;
  readonly limits: AppLimits;
  /** How its endpoints prove that they want their events; null: as the platform has it. */
  readonly ownershipCheck: OwnershipPolicy | null;
  /** Bumped with any change to its endpoints, types or keys; `accept` refuses a fan-out made with another one. */
  readonly configVersion: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export const uidSchema = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9_.:@-]+$/, "must consist of letters, digits and _ . : @ -")
  // A client makes a path of `/v1/apps/..` before it asks for it.
  .refine((uid) => uid !== "." && uid !== "..", "must not be . or .., which no URL path can hold")
  .refine(
    (uid) => !/^(app|ep|evt|dlv|att|rpl|key|pub|aud|ses)_/.test(uid),
    "must not begin like one of our ids",
  );

export const metadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(1024))
  .refine(
    (metadata) => Buffer.byteLength(JSON.stringify(metadata)) <= LIMITS.metadataBytesMax,
    "must be at most 16 KiB in all",
  );

export const retentionDaysSchema = z.union(
  RETENTION_DAYS.map((days) => z.literal(days)),
  { error: `must be one of ${RETENTION_DAYS.join(", ")}` },
);

export const appCreateSchema = z.strictObject({
  uid: uidSchema.optional(),
  name: z.string().min(1).max(256),
  metadata: metadataSchema.default({}),
  retentionDays: retentionDaysSchema.default(DEFAULTS.retentionDays),
  limits: appLimitsSchema.optional(),
  ownershipCheck: ownershipPolicySchema.nullable().default(null),
});
export type AppCreate = z.input<typeof appCreateSchema>;

/** PATCH merges; `null` clears. */
export const appUpdateSchema = z.strictObject({
  uid: uidSchema.nullable().optional(),
  name: z.string().min(1).max(256).optional(),
  metadata: metadataSchema.nullable().optional(),
  retentionDays: retentionDaysSchema.nullable().optional(),
  limits: appLimitsSchema.nullable().optional(),
  ownershipCheck: ownershipPolicySchema.nullable().optional(),
});
export type AppUpdate = z.input<typeof appUpdateSchema>;

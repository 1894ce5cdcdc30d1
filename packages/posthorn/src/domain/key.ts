/** An API key: opaque, `phk_`, stored as a hash, shown once. What each role may do stands in docs/security.md. */
import { z } from "zod";
import type { AppId, KeyId } from "../base/ids.ts";
import { timestampSchema } from "./event.ts";
import { type KeyLimits, keyLimitsSchema } from "./limits.ts";

/** `app` is bound to one app and sees nothing else. An unknown role may do nothing. */
export const KEY_ROLES = ["admin", "publisher", "viewer", "app"] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

export interface Key {
  readonly id: KeyId;
  readonly role: KeyRole;
  /** The one app of a key with the role `app`; null for the others. */
  readonly appId: AppId | null;
  readonly name: string;
  readonly limits: KeyLimits;
  /** The first characters, to tell keys apart in lists. */
  readonly prefix: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}

export const keyCreateSchema = z.strictObject({
  role: z.enum(KEY_ROLES),
  /** Id or uid: for the role `app`, and only for it. */
  app: z.string().min(1).max(128).optional(),
  name: z.string().min(1).max(256),
  expiresAt: timestampSchema.optional(),
  limits: keyLimitsSchema.optional(),
});
export type KeyCreate = z.input<typeof keyCreateSchema>;

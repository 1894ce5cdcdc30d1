/** An API key: opaque, `phk_`, stored as a hash, shown once. */
import { z } from "zod";
import type { KeyId } from "../base/ids.ts";
import { timestampSchema } from "./event.ts";

/** `publisher`, `viewer` and `app` come with the security work; an unknown role may do nothing. */
export const KEY_ROLES = ["admin"] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

export interface Key {
  readonly id: KeyId;
  readonly role: KeyRole;
  readonly name: string;
  /** The first characters, to tell keys apart in lists. */
  readonly prefix: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}

export const keyCreateSchema = z.strictObject({
  role: z.enum(KEY_ROLES),
  name: z.string().min(1).max(256),
  expiresAt: timestampSchema.optional(),
});
export type KeyCreate = z.input<typeof keyCreateSchema>;

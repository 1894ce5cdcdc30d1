/** An entry of the event catalogue: a name, what it means, what its data looks like. */
import { z } from "zod";
import { LIMITS } from "./defaults.ts";
import { isEventTypeName } from "./event-types.ts";

export interface EventType {
  readonly name: string;
  readonly description: string;
  /** JSON Schema 2020-12 of `data`; null accepts any. */
  readonly schema: unknown;
  readonly example: unknown;
  readonly group: string | null;
  readonly deprecated: boolean;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** Segments of letters, digits, `_` and `-`, joined by dots. */
export const eventTypeNameSchema = z
  .string()
  .refine(
    isEventTypeName,
    "must be segments of letters, digits, _ and -, joined by dots, at most 128 characters",
  );

const schemaSchema = z
  .union([z.record(z.string(), z.unknown()), z.boolean()], {
    error: "must be a JSON Schema: an object, true or false",
  })
  .refine(
    (schema) => Buffer.byteLength(JSON.stringify(schema)) <= LIMITS.schemaBytesMax,
    "must be at most 256 KiB",
  );

export const eventTypePutSchema = z.strictObject({
  description: z.string().max(4096).default(""),
  schema: schemaSchema.nullable().default(null),
  example: z.unknown().default(null),
  group: z.string().min(1).max(128).nullable().default(null),
  deprecated: z.boolean().default(false),
});
export const eventTypeCreateSchema = eventTypePutSchema.extend({ name: eventTypeNameSchema });
export type EventTypeCreate = z.input<typeof eventTypeCreateSchema>;
export type EventTypePut = z.input<typeof eventTypePutSchema>;

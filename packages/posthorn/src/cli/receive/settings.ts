/** What `posthorn receive` is told: a file of JSON, in which an unknown key is an error, and flags, which win over it. */
import { readFileSync } from "node:fs";
import { isSchemeName } from "@posthorn/receiver";
import { z } from "zod";
import { messageOf, PosthornError } from "../../base/errors.ts";
import { parseInput } from "../../domain/input.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { SCHEME_NAMES, warnOfReaders } from "./secrets.ts";

const text = z.string().min(1);
const scheme = z
  .string()
  .refine(isSchemeName, { error: `There is no such scheme. There are ${SCHEME_NAMES}` });
const wholeMs = z.int().min(0);

const columnType = z.enum(["text", "integer", "number", "numeric", "boolean", "timestamp", "date", "json"]);
const columns = z.record(
  z.string(),
  z.union([
    text,
    z.strictObject({ path: text, type: columnType.optional(), required: z.boolean().optional() }),
  ]),
);

const insert = z.strictObject({
  /** Left out: the database of `store`. */
  into: text.optional(),
  table: text.optional(),
  columns: columns.optional(),
  upsertKey: z.array(text).optional(),
  create: z.union([z.boolean(), z.record(z.string(), z.unknown())]).optional(),
});

const append = z.strictObject({
  file: text,
  format: z.enum(["ndjson", "parquet"]).optional(),
  rotate: z
    .strictObject({ bytesMax: z.int().min(1).optional(), everyMs: z.int().min(1).optional() })
    .optional(),
  columns: z.record(z.string(), z.union([text, z.strictObject({ path: text, type: columnType })])).optional(),
});

const measure = z.union([
  z.literal("count"),
  z.strictObject({ sum: text }),
  z.strictObject({ avg: text }),
  z.strictObject({ min: text }),
  z.strictObject({ max: text }),
  z.strictObject({ percentile: z.number(), of: text }),
]);

const aggregate = z.strictObject({
  window: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("tumbling"), sizeMs: wholeMs }),
    z.strictObject({ kind: z.literal("sliding"), sizeMs: wholeMs, everyMs: wholeMs }),
  ]),
  values: z.record(z.string(), measure),
  by: text.optional(),
  time: text.optional(),
  allowedLatenessMs: wholeMs.optional(),
  name: text.optional(),
});

const forward = z.strictObject({
  url: text,
  scheme: scheme.optional(),
  secretFile: text.optional(),
  body: z.enum(["payload", "compose"]).optional(),
  timeoutMs: z.int().min(1).optional(),
});

const step = z
  .strictObject({ insert, append, aggregate, forward })
  .partial()
  .refine((given) => Object.keys(given).length === 1, {
    message: "must be one of insert, append, aggregate, forward",
  });

const settingsSchema = z.strictObject({
  scheme: scheme.default("standard"),
  secretFiles: z.array(text).default([]),
  secrets: z.array(text).default([]),
  url: text.optional(),
  /** Begins the keys of what was handled: receivers of one store that have the same name share them. The scheme's name. */
  name: text.optional(),
  host: text.default("127.0.0.1"),
  port: z.int().min(0).max(65_535).default(9000),
  mode: z.enum(["process", "ack-then-process"]).default("process"),
  store: text.optional(),
  deadLetters: text.default("dead-letters.ndjson"),
  bodyBytesMax: z.int().min(1).optional(),
  toleranceSeconds: z.int().min(0).optional(),
  batch: z.strictObject({ sizeMax: z.int().min(1).optional(), waitMs: wholeMs.optional() }).optional(),
  handlers: z.record(z.string(), z.array(step).min(1)).default({}),
});

export type Settings = z.output<typeof settingsSchema>;
export type SettingsInput = z.input<typeof settingsSchema>;
export type StepSettings = z.output<typeof step>;
export type InsertSettings = z.output<typeof insert>;
export type AggregateSettings = z.output<typeof aggregate>;
export type ForwardSettings = z.output<typeof forward>;

/** @throws CliError, PosthornError that names the file, the key and what to do */
export function readSettings(file: string | undefined, flags: SettingsInput): Settings {
  const given = file === undefined ? {} : readFile(file);
  try {
    return parseInput(settingsSchema, { ...given, ...withoutUndefined(flags) });
  } catch (error) {
    if (file === undefined || !(error instanceof PosthornError)) throw error;
    throw new CliError(EXIT_CODES.usage, `${file}: ${error.message}`, { cause: error });
  }
}

function readFile(file: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new CliError(EXIT_CODES.usage, `--config ${file}: ${messageOf(error)}`, { cause: error });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new CliError(EXIT_CODES.usage, `--config ${file}: it must be an object of JSON.`);
  }
  if ("secrets" in parsed) warnOfReaders(file);
  return parsed;
}

function withoutUndefined(flags: SettingsInput): object {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
}

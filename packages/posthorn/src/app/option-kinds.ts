/** The kinds of option: what a value must be, how it is read from text, how it is shown. */
import { z } from "zod";

export interface Option<Value> {
  readonly schema: z.ZodType<Value>;
  readonly fallback: Value;
  /** From a flag or an environment variable; what is no such value comes out as the text, for the schema to refuse. */
  fromText(text: string): unknown;
  /** In the words of docs/configuration.md. */
  readonly form: string;
  readonly doc: string;
  /** Neither flag nor file: flags stand in the list of processes, files in repositories. */
  readonly secret: boolean;
  /** Its value may hold a password: no error shows it. */
  readonly confidential?: true;
}

export function text<Value extends string>(
  fallback: Value,
  doc: string,
  schema: z.ZodType<Value>,
): Option<Value> {
  return { schema, fallback, fromText: (value) => value, form: "text", doc, secret: false };
}

/** Text that may hold a password, such as the URL of a database. */
export function confidentialText(fallback: string, doc: string, schema: z.ZodType<string>): Option<string> {
  return { ...text(fallback, doc, schema), confidential: true };
}

export function choice<const Value extends string>(
  values: readonly Value[],
  fallback: NoInfer<Value>,
  doc: string,
): Option<Value> {
  const schema = z.enum(values) as unknown as z.ZodType<Value>;
  return {
    schema,
    fallback,
    fromText: (value) => value,
    form: values.map((value) => `\`${value}\``).join(", "),
    doc,
    secret: false,
  };
}

export function secret(doc: string): Option<string | undefined> {
  return {
    schema: z.string().min(1).optional(),
    fallback: undefined,
    fromText: (value) => value,
    form: "text",
    doc,
    secret: true,
  };
}

export function wholeNumber(
  fallback: number,
  limits: { min: number; max: number },
  doc: string,
): Option<number> {
  const { min, max } = limits;
  return {
    schema: z.int().min(min).max(max),
    fallback,
    fromText: (value) => (/^\d+$/.test(value.trim()) ? Number(value) : value),
    form: `${min} to ${max}`,
    doc,
    secret: false,
  };
}

/** Milliseconds, up to the longest that a timer can wait. */
export function durationMs(fallback: number, doc: string): Option<number> {
  return { ...wholeNumber(fallback, { min: 1, max: 2 ** 31 - 1 }, doc), form: "milliseconds" };
}

export function bytes(fallback: number, limits: { min: number; max: number }, doc: string): Option<number> {
  return { ...wholeNumber(fallback, limits, doc), form: "bytes" };
}

export function flag(fallback: boolean, doc: string): Option<boolean> {
  return {
    schema: z.boolean(),
    fallback,
    fromText: (value) =>
      ({ true: true, "1": true, false: false, "0": false })[value.trim().toLowerCase()] ?? value,
    form: "`true`, `false`",
    doc,
    secret: false,
  };
}

export function list(doc: string): Option<readonly string[]> {
  return {
    schema: z.array(z.string().min(1)),
    fallback: [],
    fromText: (value) => parts(value),
    form: "list, in text with commas",
    doc,
    secret: false,
  };
}

/** Some of a few words. */
export function choices<const Value extends string>(
  values: readonly Value[],
  doc: string,
): Option<readonly Value[]> {
  return {
    schema: z.array(z.enum(values)).min(1) as unknown as z.ZodType<readonly Value[]>,
    fallback: values,
    fromText: (value) => parts(value),
    form: `list of ${values.map((value) => `\`${value}\``).join(", ")}`,
    doc,
    secret: false,
  };
}

export type Ports = "all" | readonly number[];

export function ports(doc: string): Option<Ports> {
  return {
    schema: z.union([z.literal("all"), z.array(z.int().min(1).max(65_535))], {
      error: "must be `all`, or a list of ports from 1 to 65535",
    }),
    fallback: [],
    fromText: (value) => (value.trim() === "all" ? "all" : parts(value).flatMap(portRange)),
    form: "`all`, or a list; ranges like `3000-3010`",
    doc,
    secret: false,
  };
}

function parts(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function portRange(text: string): unknown[] {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || to < from || to > 65_535) return [text];
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

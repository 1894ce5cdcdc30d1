/** Turns what zod found into the one error form of the house: field, value, what to do. */
import type { z } from "zod";
import { type ErrorCode, PosthornError } from "../base/errors.ts";
import { maskSecrets, pointsAtSecret } from "../base/masking.ts";

/**
 * Parses a caller's input strictly. Of several faults it names the first.
 * @throws PosthornError `unknown_field`, `missing_field`, `invalid_field`, or the code that a schema put into `params.code`.
 */
export function parseInput<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  refuseUnstorable(input, [], 0);
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw inputError(result.error.issues[0], input);
}

const DEPTH_MAX = 100;

/**
 * What would be stored other than it was given, without a word: half of a surrogate pair becomes U+FFFD in UTF-8, and a
 * field `__proto__` is dropped by zod's records.
 */
function refuseUnstorable(value: unknown, path: PropertyKey[], depth: number): void {
  if (typeof value === "string" && !value.isWellFormed()) {
    const pointer = pointerOf(path);
    throw new PosthornError("invalid_field", `${pointer} holds half of a surrogate pair, which is no text.`, {
      pointer,
    });
  }
  if (typeof value !== "object" || value === null) return;
  if (depth > DEPTH_MAX)
    throw new PosthornError("too_deep", `${pointerOf(path.slice(0, 5))}... is nested too deeply.`, {
      pointer: "",
    });
  for (const key of Object.keys(value)) {
    const inner = [...path, key];
    if (key === "__proto__") throw unknownField(path, key);
    refuseUnstorable((value as Record<string, unknown>)[key], inner, depth + 1);
  }
}

type Issue = z.core.$ZodIssue;

function inputError(issue: Issue | undefined, input: unknown): PosthornError {
  if (issue === undefined)
    return new PosthornError("invalid_field", "The input cannot be used.", { pointer: "" });
  if (issue.code === "unrecognized_keys") return unknownField(issue.path, issue.keys[0] ?? "");
  const pointer = pointerOf(issue.path);
  const named = pointer === "" ? "The input" : pointer;
  // What is wrong with a key stands in the issue's own issues, and the value under it has nothing to do with it.
  const value = issue.code === "invalid_key" ? issue.path.at(-1) : valueAt(input, issue.path);
  const wish = wishOf(issue);
  if (value === undefined && issue.code !== "custom") {
    return new PosthornError("missing_field", `${named} is required: ${wish}.`, { pointer });
  }
  if (pointsAtSecret(pointer) && issue.code !== "invalid_key") {
    return new PosthornError(codeOf(issue), `${named}: ${wish} (got ${HIDDEN})`, { pointer });
  }
  return new PosthornError(codeOf(issue), `${named}: ${wish} (got ${show(value)})`, {
    pointer,
    value: typeof value === "object" && value !== null ? show(value) : value,
  });
}

function unknownField(path: readonly PropertyKey[], key: string): PosthornError {
  const pointer = pointerOf([...path, key]);
  return new PosthornError(
    "unknown_field",
    `${pointer} is not a field known here. Remove it or check its spelling.`,
    { pointer, value: key.slice(0, SHOWN_CHARACTERS_MAX) },
  );
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  record: "an object",
};

/** What the value should have been. */
function wishOf(issue: Issue): string {
  if (issue.code === "invalid_type") return `must be ${KINDS[issue.expected] ?? issue.expected}`;
  if (issue.code === "invalid_key") return issue.issues[0]?.message ?? issue.message;
  return issue.message;
}

function codeOf(issue: Issue): ErrorCode {
  const code = issue.code === "custom" ? (issue.params?.code as ErrorCode | undefined) : undefined;
  return code ?? "invalid_field";
}

/** RFC 6901. No part is shown longer than 200 characters: it may be a key that a caller made up. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path
    .map(
      (part) => `/${String(part).slice(0, SHOWN_CHARACTERS_MAX).replaceAll("~", "~0").replaceAll("/", "~1")}`,
    )
    .join("");
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[part];
  return value;
}

const SHOWN_CHARACTERS_MAX = 200;
const HIDDEN = "(hidden)";

/** A value as it may be shown in an error: cut to 200 characters, secrets hidden. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = maskSecrets(JSON.stringify(value, showable) ?? "nothing");
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}...` : text;
}

function showable(key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return pointsAtSecret(`/${key}`) ? HIDDEN : value;
}

/**
 * Event type names, and the patterns by which an endpoint chooses: `order.created` (that one), `order.*` (one segment
 * more), `order.**` (one or more segments more), `*` (every type).
 */
import { PosthornError } from "../base/errors.ts";

const NAME_LENGTH_MAX = 128;
const NAME = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** Segments of letters, digits, `_` and `-`, joined by dots; at most 128 characters. */
export function isEventTypeName(name: string): boolean {
  return name.length <= NAME_LENGTH_MAX && NAME.test(name);
}

export type EventTypePattern =
  | { readonly kind: "all" }
  | { readonly kind: "exact"; readonly name: string }
  | { readonly kind: "one_segment" | "any_segments"; readonly prefix: string };

/** @throws PosthornError `invalid_field` that names the pattern; `index` tells its place in `eventTypes` */
export function parseEventTypePattern(pattern: string, index = 0): EventTypePattern {
  if (pattern === "*") return { kind: "all" };
  if (isEventTypeName(pattern)) return { kind: "exact", name: pattern };
  const [, prefix = "", stars] = /^(.*)\.(\*\*?)$/.exec(pattern) ?? [];
  if (isEventTypeName(prefix)) return { kind: stars === "*" ? "one_segment" : "any_segments", prefix };
  throw new PosthornError(
    "invalid_field",
    `/eventTypes/${index}: ${JSON.stringify(pattern.slice(0, 200))} is not an event type pattern. Use an exact name such as order.created, order.* for one more segment, order.** for any number more, or * for all.`,
    { pointer: `/eventTypes/${index}`, value: pattern },
  );
}

/**
 * Whether an event type is wanted. No patterns, undefined or empty, want every type. The cost does not grow with the
 * number of patterns: only with the dots in the name.
 * @throws PosthornError `invalid_field` that names the first bad pattern
 */
export function compileEventTypePatterns(
  patterns: readonly string[] | null | undefined,
): (eventType: string) => boolean {
  const parsed = (patterns ?? []).map(parseEventTypePattern);
  if (parsed.length === 0 || parsed.some(({ kind }) => kind === "all")) return () => true;
  const names = new Set<string>();
  const oneSegment = new Set<string>();
  const anySegments = new Set<string>();
  for (const pattern of parsed) {
    if (pattern.kind === "exact") names.add(pattern.name);
    else if (pattern.kind === "one_segment") oneSegment.add(pattern.prefix);
    else if (pattern.kind === "any_segments") anySegments.add(pattern.prefix);
  }
  if (oneSegment.size === 0 && anySegments.size === 0) return (eventType) => names.has(eventType);
  return (eventType) => {
    if (names.has(eventType)) return true;
    let dot = eventType.lastIndexOf(".");
    if (dot !== -1 && oneSegment.has(eventType.slice(0, dot))) return true;
    for (; dot > 0 && anySegments.size > 0; dot = eventType.lastIndexOf(".", dot - 1)) {
      if (anySegments.has(eventType.slice(0, dot))) return true;
    }
    return false;
  };
}

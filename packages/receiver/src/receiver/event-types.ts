/**
 * Patterns of event types: `order.created` (that one), `order.*` (one segment more), `order.**` (one or more segments more), `*`
 * (every type). The same syntax as an endpoint's of Posthorn; here the most specific one wins.
 */

export type Pattern =
  | { readonly kind: "all" }
  | { readonly kind: "exact"; readonly name: string }
  | { readonly kind: "one_segment" | "any_segments"; readonly prefix: string };

/** Names are a provider's own, such as `orders/create`: of them only the star is ours. @throws TypeError that names the pattern */
export function parsePattern(pattern: string): Pattern {
  if (pattern === "*") return { kind: "all" };
  if (pattern !== "" && !pattern.includes("*")) return { kind: "exact", name: pattern };
  const [, prefix, stars] = /^([^*]+)\.(\*\*?)$/.exec(pattern) ?? [];
  if (prefix !== undefined) return { kind: stars === "*" ? "one_segment" : "any_segments", prefix };
  throw new TypeError(
    `handlers: ${JSON.stringify(pattern.slice(0, 200))} is not an event type pattern. Use an exact name such as order.created, order.* for one more segment, order.** for any number more, or * for all.`,
  );
}

/**
 * The value of the most specific pattern that an event type matches: the exact name, then the longest prefix (with `*` before `**`),
 * then `*`. Its cost grows with the dots in the name, not with the number of patterns.
 * @throws TypeError for a pattern that is none
 */
export function compilePatterns<Value>(
  entries: Iterable<readonly [pattern: string, value: Value]>,
): (eventType: string) => Value | undefined {
  const values = {
    all: new Map<string, Value>(),
    exact: new Map<string, Value>(),
    one_segment: new Map<string, Value>(),
    any_segments: new Map<string, Value>(),
  };
  for (const [text, value] of entries) {
    const pattern = parsePattern(text);
    const place = pattern.kind === "all" ? "*" : pattern.kind === "exact" ? pattern.name : pattern.prefix;
    values[pattern.kind].set(place, value);
  }
  return (eventType) => {
    const exact = values.exact.get(eventType);
    if (exact !== undefined) return exact;
    let dot = eventType.lastIndexOf(".");
    if (dot > 0) {
      const value = values.one_segment.get(eventType.slice(0, dot));
      if (value !== undefined) return value;
    }
    for (; dot > 0; dot = eventType.lastIndexOf(".", dot - 1)) {
      const value = values.any_segments.get(eventType.slice(0, dot));
      if (value !== undefined) return value;
    }
    return values.all.get("*");
  };
}

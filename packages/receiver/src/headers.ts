import { VerificationError } from "./verification-error.ts";

/** A fetch `Headers`, or a plain object such as Node's `request.headers`; names in any case. */
export type HeadersInput =
  | { get(name: string): string | null }
  | { readonly [name: string]: string | readonly string[] | undefined };

/** Each line of a header as it came, by its name in lower case; none when it is missing. */
export type HeaderLines = (name: string) => readonly string[];

/**
 * The value of a header that must be there and not be empty.
 * @param options.joinedBy what stands between the lines of a header that may come several times; without it, it may not
 */
export function readHeader(
  headers: HeaderLines,
  name: string,
  { joinedBy }: { readonly joinedBy?: string } = {},
): string {
  const lines = headers(name);
  if (lines.length > 1 && joinedBy === undefined) {
    throw new VerificationError(
      "duplicate_header",
      `The header ${name} came ${lines.length} times; it must come once.`,
    );
  }
  const value = lines.join(joinedBy).trim();
  if (value !== "") return value;
  throw new VerificationError(
    "missing_header",
    `The header ${name} is missing or empty. Check that the request comes from the sender and that no proxy or framework removes it.`,
  );
}

/** Reads plain headers once, however many of them are asked for: whoever sends a message chooses how many there are. */
export function linesOf(headers: HeadersInput | HeaderLines): HeaderLines {
  if (typeof headers === "function") return headers;
  if (typeof headers.get === "function") {
    const { get } = headers;
    return (name) => {
      const value: string | null = get.call(headers, name);
      return value === null ? [] : [value];
    };
  }
  const byName = new Map<string, string[]>();
  for (const [key, value] of Object.entries(headers)) {
    const name = key.toLowerCase();
    const lines = byName.get(name) ?? [];
    byName.set(name, lines);
    if (typeof value === "string") lines.push(value);
    else if (Array.isArray(value)) lines.push(...value);
  }
  return (name) => byName.get(name) ?? [];
}

/** Null when it is missing or empty. @throws VerificationError `duplicate_header` */
export function optionalHeader(headers: HeaderLines, name: string): string | null {
  return headers(name).some((line) => line.trim() !== "") ? readHeader(headers, name) : null;
}

import { VerificationError } from "./verification-error.ts";

/** A fetch `Headers`, or a plain object such as Node's `request.headers`; names in any case. */
export type HeadersInput =
  | { get(name: string): string | null }
  | { readonly [name: string]: string | readonly string[] | undefined };

/**
 * The value of a header that must be there and not be empty.
 * @param options.joinedBy what stands between the lines of a header that may come several times; without it, it may not
 */
export function readHeader(
  headers: HeadersInput,
  name: string,
  { joinedBy }: { readonly joinedBy?: string } = {},
): string {
  const lines = headerLines(headers, name);
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

/** Each line of a header as it came; none when it is missing. */
export function headerLines(headers: HeadersInput, name: string): readonly string[] {
  if (typeof headers.get === "function") {
    const value: string | null = headers.get(name);
    return value === null ? [] : [value];
  }
  const lines: string[] = [];
  for (const [key, value] of Object.entries(headers)) {
    if (key.length !== name.length || key.toLowerCase() !== name) continue;
    if (typeof value === "string") lines.push(value);
    else if (Array.isArray(value)) lines.push(...value);
  }
  return lines;
}

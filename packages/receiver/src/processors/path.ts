/**
 * Paths into an event: a strict subset of JSONPath (RFC 9535, https://www.rfc-editor.org/rfc/rfc9535) with names and indices alone,
 * such as `$.data.items[0].id` and `$.headers['x-github-event']`. A path means one value or none, never a list.
 */

/** What stands directly under `$`; see `eventRoot`. */
export const ROOT_NAMES = ["id", "type", "timestamp", "receivedAt", "headers", "data", "payload"] as const;

export type RootName = (typeof ROOT_NAMES)[number];

export type Segment = string | number;

export interface Path {
  readonly text: string;
  /** The first is a `RootName`. */
  readonly segments: readonly [RootName, ...Segment[]];
  /** The value there; undefined: there is none. Looks at own members alone. */
  read(root: object): unknown;
}

export class PathError extends Error {
  override readonly name = "PathError";
}

const LENGTH_MAX = 1000;
const SHORTHAND = /[A-Za-z_\u0080-\u{10ffff}][A-Za-z0-9_\u0080-\u{10ffff}]*/uy;
const INDEX = /(?:0|[1-9][0-9]{0,8})(?=\])/y;
const QUOTED = /'((?:[^'\\]|\\['\\])*)'(?=\])|"((?:[^"\\]|\\["\\])*)"(?=\])/y;

/** Reads the path once. @throws PathError that says what is wrong and at which position, counted from 0 */
export function compilePath(text: string): Path {
  if (text.length > LENGTH_MAX) throw new PathError(`A path has at most ${LENGTH_MAX} characters.`);
  if (!text.startsWith("$")) throw wrong(text, 0, "it begins with $");
  const segments: Segment[] = [];
  let position = 1;
  while (position < text.length) {
    const { segment, end } = segmentAt(text, position);
    segments.push(segment);
    position = end;
  }
  const [first, ...rest] = segments;
  if (!isRootName(first)) {
    throw wrong(text, 1, `under $ there is ${ROOT_NAMES.join(", ")}, and what the sender sent is in $.data`);
  }
  return { text, segments: [first, ...rest], read: (root) => segments.reduce<unknown>(step, root) };
}

function segmentAt(text: string, position: number): { readonly segment: Segment; readonly end: number } {
  const opening = text[position];
  if (opening === ".") {
    const name = matchAt(SHORTHAND, text, position + 1)?.[0];
    if (name === undefined) throw wrong(text, position + 1, "a name has to follow the dot");
    return { segment: name, end: position + 1 + name.length };
  }
  if (opening !== "[") throw wrong(text, position, "use .name, ['any name'] or [0]");
  const index = matchAt(INDEX, text, position + 1)?.[0];
  if (index !== undefined) return { segment: Number(index), end: position + index.length + 2 };
  const quoted = matchAt(QUOTED, text, position + 1);
  if (quoted === undefined) throw wrong(text, position + 1, "use ['any name'], \\' and \\\\ inside, or [0]");
  const name = (quoted[1] ?? quoted[2] ?? "").replaceAll(/\\(.)/g, "$1");
  return { segment: name, end: position + quoted[0].length + 2 };
}

function matchAt(pattern: RegExp, text: string, position: number): RegExpExecArray | undefined {
  pattern.lastIndex = position;
  return pattern.exec(text) ?? undefined;
}

function isRootName(segment: Segment | undefined): segment is RootName {
  return (ROOT_NAMES as readonly unknown[]).includes(segment);
}

/** A name means a member of an object, an index an element of an array; numbers that are kept as text have no members. */
function step(value: unknown, segment: Segment): unknown {
  if (typeof segment === "number") return Array.isArray(value) ? value[segment] : undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, segment) ? (value as Record<string, unknown>)[segment] : undefined;
}

function wrong(text: string, position: number, what: string): PathError {
  return new PathError(`The path ${JSON.stringify(text)} is wrong at position ${position}: ${what}.`);
}

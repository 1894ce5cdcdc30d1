/**
 * Reads what a door got into publications. One strict scan finds the spans; `data` stays the bytes that came, and only
 * the rest, the envelope, is parsed. A body is one event, an array of events, or NDJSON: one event per line.
 */
import { type ErrorCode, PosthornError } from "../base/errors.ts";
import { LIMITS } from "./defaults.ts";
import { type JsonElement, type JsonSpan, scanJson } from "./json.ts";
import type { Publication } from "./publication.ts";

export type PublicationFormat = "json" | "ndjson";

export interface PublicationsRead {
  /** True for an array and for NDJSON: the answer has one result per element, in order. */
  readonly batch: boolean;
  /** An element that cannot be read stands here as its error and spoils no other. */
  readonly elements: readonly (Publication | PosthornError)[];
}

/**
 * @param idempotencyKey of the whole request; element i of a batch gets `key:i`
 * @throws PosthornError when the body as a whole cannot be read: `invalid_json`, `invalid_utf8`, `too_deep`,
 *   `duplicate_key`, `batch_too_large`
 */
export function readPublications(
  body: Uint8Array,
  { format, idempotencyKey }: { readonly format: PublicationFormat; readonly idempotencyKey: string | null },
): PublicationsRead {
  if (format === "ndjson") return { batch: true, elements: readLines(body, idempotencyKey) };
  if (firstByte(body) === OPEN_BRACKET) return { batch: true, elements: readArray(body, idempotencyKey) };
  const scan = scanJson(body, { depthMax: EVENT_DEPTH_MAX });
  return { batch: false, elements: [readElement(body, scan, idempotencyKey)] };
}

/** `data` may be as deep as the limit says, in whichever form it comes. */
const EVENT_DEPTH_MAX = LIMITS.jsonDepthMax + 1;
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;

function readElement(
  bytes: Uint8Array,
  element: JsonElement,
  idempotencyKey: string | null,
): Publication | PosthornError {
  if (element.members === null) {
    return new PosthornError(
      "invalid_field",
      `An event must be a JSON object, and this is ${named(element)}.`,
      {
        pointer: "",
      },
    );
  }
  const data = element.members.get("data");
  return {
    envelope: envelopeOf(bytes, element, data),
    data: data === undefined ? undefined : bytes.subarray(data.start, data.end),
    raw: bytes.subarray(element.start, element.end),
    idempotencyKey,
  };
}

/** Everything but `data`, parsed: a `0` stands in for it, so that its bytes are not even decoded. */
function envelopeOf(bytes: Uint8Array, { start, end }: JsonSpan, data: JsonSpan | undefined): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (data === undefined) return JSON.parse(buffer.toString("utf8", start, end));
  const text = `${buffer.toString("utf8", start, data.start)}0${buffer.toString("utf8", data.end, end)}`;
  const { data: _standIn, ...envelope } = JSON.parse(text) as Record<string, unknown>;
  return envelope;
}

function readArray(body: Uint8Array, idempotencyKey: string | null): (Publication | PosthornError)[] {
  try {
    const limits = { depthMax: EVENT_DEPTH_MAX + 1, elementsMax: LIMITS.batchEventsMax };
    const elements = scanJson(body, limits).elements ?? [];
    return elements.map((element, index) => readElement(body, element, elementKey(idempotencyKey, index)));
  } catch (error) {
    if (!isOneElements(error)) throw error;
    const spans = splitArray(body);
    refuseLargeBatch(spans.length);
    return spans.map(({ start, end }, index) =>
      scanElement(body.subarray(start, end), elementKey(idempotencyKey, index), isOneElements),
    );
  }
}

function readLines(body: Uint8Array, idempotencyKey: string | null): (Publication | PosthornError)[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < body.length; ) {
    const newline = body.indexOf(NEWLINE, start);
    const end = newline === -1 ? body.length : newline;
    const line = body.subarray(start, end);
    if (firstByte(line) !== undefined) lines.push(line);
    refuseLargeBatch(lines.length);
    start = end + 1;
  }
  return lines.map((line, index) => scanElement(line, elementKey(idempotencyKey, index), () => true));
}

/** @param mayFail which errors are the element's own; any other one is thrown */
function scanElement(
  bytes: Uint8Array,
  idempotencyKey: string | null,
  mayFail: (error: unknown) => boolean,
): Publication | PosthornError {
  try {
    return readElement(bytes, scanJson(bytes, { depthMax: EVENT_DEPTH_MAX }), idempotencyKey);
  } catch (error) {
    if (error instanceof PosthornError && mayFail(error)) return error;
    throw error;
  }
}

const ELEMENT_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["too_deep", "duplicate_key"]);

/** Faults that leave the array readable: where its elements begin and end is known all the same. */
function isOneElements(error: unknown): boolean {
  return error instanceof PosthornError && ELEMENT_CODES.has(error.code);
}

/** The elements of an array that may be at fault inside; what is no JSON at all comes out when they are scanned. */
function splitArray(bytes: Uint8Array): { readonly start: number; readonly end: number }[] {
  const spans: { start: number; end: number }[] = [];
  let depth = 0;
  let start = 0;
  let inString = false;
  for (let position = 0; position < bytes.length; position += 1) {
    const byte = bytes[position] as number;
    if (inString) {
      if (byte === BACKSLASH) position += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === OPEN_BRACKET || byte === 0x7b) {
      depth += 1;
      if (depth === 1) start = position + 1;
    } else if (byte === 0x5d || byte === 0x7d) {
      depth -= 1;
      if (depth > 0) continue;
      spans.push({ start, end: position });
      if (firstByte(bytes.subarray(position + 1)) === undefined) return spans;
      throw new PosthornError(
        "invalid_json",
        `The JSON goes on after the end of the array at byte ${position}.`,
      );
    } else if (byte === COMMA && depth === 1) {
      spans.push({ start, end: position });
      refuseLargeBatch(spans.length);
      start = position + 1;
    }
  }
  throw new PosthornError("invalid_json", "The JSON is not valid: the array has no end.");
}

function elementKey(key: string | null, index: number): string | null {
  return key === null ? null : `${key}:${index}`;
}

function refuseLargeBatch(events: number): void {
  if (events <= LIMITS.batchEventsMax) return;
  const message = `A batch may have at most ${LIMITS.batchEventsMax} events. Send it in parts.`;
  throw new PosthornError("batch_too_large", message, { pointer: "" });
}

/** The first byte that is not white space; undefined when there is none. */
function firstByte(bytes: Uint8Array): number | undefined {
  for (const byte of bytes) {
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d && byte !== NEWLINE) return byte;
  }
  return undefined;
}

function named({ kind }: JsonSpan): string {
  return kind === "null" ? "null" : kind === "array" || kind === "object" ? `an ${kind}` : `a ${kind}`;
}

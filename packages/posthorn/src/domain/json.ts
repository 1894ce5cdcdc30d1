/**
 * The one strict scan of a body. It walks the bytes once, builds no values, and says where each part lies, so that
 * `data` can be taken over byte for byte. Grammar: RFC 8259; beyond it, a key may stand once per object (RFC 7493, 2.3).
 * An escaped lone surrogate (`"\ud83d"`) is allowed: it is valid JSON, text cut inside an emoji has it, and it is sent as it came.
 */
import { isUtf8 } from "node:buffer";
import { firstInvalidUtf8, JsonScanError, pointerTo } from "./json-error.ts";

export type JsonKind = "object" | "array" | "string" | "number" | "boolean" | "null";

/** Where a value lies: bytes[start, end), without the white space around it. */
export interface JsonSpan {
  readonly kind: JsonKind;
  readonly start: number;
  readonly end: number;
}

export interface JsonElement extends JsonSpan {
  /** Key (unescaped) to value; null when the value is not an object. */
  readonly members: ReadonlyMap<string, JsonSpan> | null;
}

/** The root value. With `elementsMax`, an array's elements come with their members: a batch of events is scanned once. */
export interface JsonScan extends JsonElement {
  /** Null when the root is not an array, or no `elementsMax` was given. */
  readonly elements: readonly JsonElement[] | null;
}

export interface JsonLimits {
  /** How many objects and arrays may lie inside one another. */
  readonly depthMax: number;
  /** The caller expects a batch: report a root array's elements, and refuse more than these. */
  readonly elementsMax?: number;
}

/**
 * @param bytes one JSON text; give `bytes.subarray(start, end)` to scan a part, offsets then count from `start`
 * @throws JsonScanError
 */
export function scanJson(bytes: Uint8Array, limits: JsonLimits): JsonScan {
  if (!isUtf8(bytes)) {
    throw new JsonScanError("invalid_utf8", firstInvalidUtf8(bytes), "", "The body is not valid UTF-8");
  }
  return new Scanner(bytes, limits).scan();
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const ZERO = 0x30;

/** Bytes that end the plain part of a string: quote, backslash, control characters. */
const ENDS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 1 : 0,
);
const ESCAPES = new Set(Buffer.from('"\\/bfnrtu'));

/** From this many keys on, an object's keys go into a Set; below, comparing hashes in a row is faster. */
const KEYS_IN_A_ROW = 16;

/** In place of a key's end: the scan is in the key itself, or in an array. */
const UNFINISHED_KEY = 0;
const INDEX = -1;

class Scanner {
  readonly #bytes: Buffer;
  readonly #limits: JsonLimits;
  /** Per open container where the scan is in it: a key's quotes, or an element's number. For error pointers only. */
  readonly #pathStarts: number[] = [];
  readonly #pathEnds: number[] = [];
  /** Per key of the open objects: hash, start and end. An object's keys are popped when it closes. */
  readonly #keys: number[] = [];
  #keyHash = 0;
  #kind: JsonKind = "null";

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#limits = limits;
  }

  scan(): JsonScan {
    const start = this.#skipSpace(0);
    const first = this.#bytes[start];
    const members = first === OPEN_BRACE ? new Map<string, JsonSpan>() : null;
    const batch = first === OPEN_BRACKET && this.#limits.elementsMax !== undefined;
    const elements: JsonElement[] | null = batch ? [] : null;
    let end: number;
    if (members !== null) end = this.#object(start, 1, members);
    else if (elements !== null) end = this.#array(start, 1, elements);
    else end = this.#value(start, 0);
    const rest = this.#skipSpace(end);
    if (rest < this.#bytes.length) this.#fail(rest, "nothing more");
    return { kind: this.#kind, start, end, members, elements };
  }

  /** Each of the following takes the offset of a value's first byte and returns the offset after its last. */
  #value(position: number, depth: number): number {
    switch (this.#bytes[position]) {
      case QUOTE:
        this.#kind = "string";
        return this.#string(position);
      case OPEN_BRACE:
        return this.#object(position, depth + 1, null);
      case OPEN_BRACKET:
        return this.#array(position, depth + 1, null);
      case 0x74:
        return this.#word(position, "true", "boolean");
      case 0x66:
        return this.#word(position, "false", "boolean");
      case 0x6e:
        return this.#word(position, "null", "null");
      default:
        return this.#number(position);
    }
  }

  #object(start: number, depth: number, members: Map<string, JsonSpan> | null): number {
    const bytes = this.#bytes;
    this.#checkDepth(start, depth);
    const firstKey = this.#keys.length;
    let names: Set<string> | null = null;
    let position = this.#skipSpace(start + 1);
    if (bytes[position] !== CLOSE_BRACE) {
      for (;;) {
        const keyStart = position;
        this.#pathStarts[depth - 1] = keyStart;
        this.#pathEnds[depth - 1] = UNFINISHED_KEY;
        const keyEnd = this.#key(keyStart);
        this.#pathEnds[depth - 1] = keyEnd;
        if (members === null) names = this.#refuseDuplicate(keyStart, keyEnd, firstKey, names);
        position = this.#skipSpace(keyEnd);
        if (bytes[position] !== COLON) this.#fail(position, '":"');
        const valueStart = this.#skipSpace(position + 1);
        const valueEnd = this.#value(valueStart, depth);
        if (members !== null) this.#record(members, keyStart, keyEnd, valueStart, valueEnd);
        position = this.#skipSpace(valueEnd);
        if (bytes[position] === CLOSE_BRACE) break;
        if (bytes[position] !== COMMA) this.#fail(position, '"," or "}"');
        position = this.#skipSpace(position + 1);
      }
    }
    this.#keys.length = firstKey;
    this.#leave(depth);
    this.#kind = "object";
    return position + 1;
  }

  #array(start: number, depth: number, elements: JsonElement[] | null): number {
    const bytes = this.#bytes;
    this.#checkDepth(start, depth);
    let position = this.#skipSpace(start + 1);
    if (bytes[position] !== CLOSE_BRACKET) {
      for (let index = 0; ; index += 1) {
        this.#pathStarts[depth - 1] = index;
        this.#pathEnds[depth - 1] = INDEX;
        const valueStart = position;
        const members =
          elements !== null && bytes[position] === OPEN_BRACE ? new Map<string, JsonSpan>() : null;
        position =
          members === null ? this.#value(position, depth) : this.#object(position, depth + 1, members);
        if (elements !== null) this.#recordElement(elements, valueStart, position, members);
        position = this.#skipSpace(position);
        if (bytes[position] === CLOSE_BRACKET) break;
        if (bytes[position] !== COMMA) this.#fail(position, '"," or "]"');
        position = this.#skipSpace(position + 1);
      }
    }
    this.#leave(depth);
    this.#kind = "array";
    return position + 1;
  }

  #leave(depth: number): void {
    this.#pathStarts.length = depth - 1;
    this.#pathEnds.length = depth - 1;
  }

  #string(start: number): number {
    const bytes = this.#bytes;
    let position = start + 1;
    for (;;) {
      while (ENDS_PLAIN[bytes[position] as number] === 0) position += 1;
      if (bytes[position] === QUOTE) return position + 1;
      if (bytes[position] !== BACKSLASH)
        this.#fail(position, "the end of the string, or its control characters escaped");
      if (!ESCAPES.has(bytes[position + 1] as number)) this.#fail(position, "a known escape");
      if (bytes[position + 1] !== 0x75) {
        position += 2;
      } else {
        for (let digit = 2; digit < 6; digit += 1) {
          if (!isHexDigit(bytes[position + digit])) this.#fail(position, "four hex digits after \\u");
        }
        position += 6;
      }
    }
  }

  /** A string that is a key; leaves its hash, equal for equal keys however they are escaped. */
  #key(start: number): number {
    const bytes = this.#bytes;
    if (bytes[start] !== QUOTE) this.#fail(start, "a key in double quotes");
    let hash = 0;
    let position = start + 1;
    for (; ENDS_PLAIN[bytes[position] as number] === 0; position += 1) {
      hash = (hash * 31 + (bytes[position] as number)) | 0;
    }
    if (bytes[position] !== QUOTE) {
      position = this.#string(start) - 1;
      hash = 0;
      for (const byte of Buffer.from(this.#text(start, position + 1))) hash = (hash * 31 + byte) | 0;
    }
    this.#keyHash = hash;
    return position + 1;
  }

  #recordElement(
    elements: JsonElement[],
    start: number,
    end: number,
    members: Map<string, JsonSpan> | null,
  ): void {
    const { elementsMax } = this.#limits;
    if (elements.length === elementsMax) {
      const what = `The batch has more than ${elementsMax} elements, the next one`;
      throw new JsonScanError("batch_too_large", start, this.#pointer(), what);
    }
    elements.push({ kind: this.#kind, start, end, members });
  }

  /** The map of members finds their duplicates itself. */
  #record(
    members: Map<string, JsonSpan>,
    keyStart: number,
    keyEnd: number,
    start: number,
    end: number,
  ): void {
    const key = this.#text(keyStart, keyEnd);
    if (members.has(key)) this.#failDuplicate(keyStart, keyEnd);
    members.set(key, { kind: this.#kind, start, end });
  }

  #refuseDuplicate(
    start: number,
    end: number,
    firstKey: number,
    names: Set<string> | null,
  ): Set<string> | null {
    const keys = this.#keys;
    if (names === null && keys.length - firstKey < KEYS_IN_A_ROW * 3) {
      for (let at = firstKey; at < keys.length; at += 3) {
        if (keys[at] !== this.#keyHash) continue;
        if (this.#text(keys[at + 1] as number, keys[at + 2] as number) === this.#text(start, end)) {
          this.#failDuplicate(start, end);
        }
      }
      keys.push(this.#keyHash, start, end);
      return null;
    }
    const known = names ?? new Set<string>();
    if (names === null) {
      for (let at = firstKey; at < keys.length; at += 3) {
        known.add(this.#text(keys[at + 1] as number, keys[at + 2] as number));
      }
    }
    const sizeBefore = known.size;
    if (known.add(this.#text(start, end)).size === sizeBefore) this.#failDuplicate(start, end);
    return known;
  }

  #number(start: number): number {
    const bytes = this.#bytes;
    let position = bytes[start] === 0x2d ? start + 1 : start;
    if (bytes[position] === ZERO) position += 1;
    else position = this.#digits(position, position === start ? "a value" : "a digit");
    if (bytes[position] === 0x2e) position = this.#digits(position + 1, "a digit");
    if (bytes[position] === 0x65 || bytes[position] === 0x45) {
      const sign = bytes[position + 1];
      position = this.#digits(sign === 0x2b || sign === 0x2d ? position + 2 : position + 1, "a digit");
    }
    this.#kind = "number";
    return position;
  }

  #digits(start: number, expected: string): number {
    const bytes = this.#bytes;
    let position = start;
    while (((bytes[position] as number) ^ ZERO) < 10) position += 1;
    if (position === start) this.#fail(start, expected);
    return position;
  }

  #word(start: number, word: string, kind: JsonKind): number {
    for (let index = 1; index < word.length; index += 1) {
      if (this.#bytes[start + index] !== word.charCodeAt(index)) this.#fail(start, "a value");
    }
    this.#kind = kind;
    return start + word.length;
  }

  #skipSpace(start: number): number {
    const bytes = this.#bytes;
    let position = start;
    for (;;) {
      const byte = bytes[position];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return position;
      position += 1;
    }
  }

  /** The string between two quotes, unescaped. */
  #text(start: number, end: number): string {
    const raw = this.#bytes.toString("utf8", start + 1, end - 1);
    return raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
  }

  #checkDepth(start: number, depth: number): void {
    if (depth <= this.#limits.depthMax) return;
    const what = `The JSON is nested deeper than ${this.#limits.depthMax} levels`;
    throw new JsonScanError("too_deep", start, this.#pointer(), what);
  }

  #failDuplicate(start: number, end: number): never {
    const key = this.#text(start, end).slice(0, 120);
    const what = `The key ${JSON.stringify(key)} stands twice in one object, the second time`;
    throw new JsonScanError("duplicate_key", start, this.#pointer(), what);
  }

  #fail(position: number, expected: string): never {
    const found =
      position >= this.#bytes.length
        ? "the end"
        : JSON.stringify(this.#bytes.toString("utf8", position, position + 4).slice(0, 1));
    const what = `The JSON is not valid: expected ${expected}, found ${found}`;
    throw new JsonScanError("invalid_json", position, this.#pointer(), what);
  }

  #pointer(): string {
    const steps = this.#pathStarts.map((start, level) => {
      const end = this.#pathEnds[level] as number;
      return end === INDEX ? start : end === UNFINISHED_KEY ? null : this.#text(start, end);
    });
    return pointerTo(steps.filter((step) => step !== null));
  }
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}

/**
 * Structured Field Values (RFC 8941): what HTTP Message Signatures and Content-Digest need, dictionaries of items and inner
 * lists with all bare items of the RFC. Stricter than the RFC where two readers could see two things in one text: a key
 * that comes twice, and a byte sequence that is not in its canonical form, are refused.
 */
import { Buffer } from "node:buffer";
import { decodeStrictly } from "./base64.ts";
import { VerificationError } from "./verification-error.ts";

export type BareItem =
  /** At most 15 digits. */
  | { readonly kind: "integer"; readonly value: number }
  /** At most 12 digits before the point and 3 behind it. */
  | { readonly kind: "decimal"; readonly value: number }
  /** Printable ASCII. */
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "token"; readonly value: string }
  | { readonly kind: "bytes"; readonly value: Uint8Array }
  | { readonly kind: "boolean"; readonly value: boolean };

/** In the order of the text, which signatures depend on. */
export type Parameters = ReadonlyMap<string, BareItem>;
export interface Item {
  readonly value: BareItem;
  readonly parameters: Parameters;
}
export interface InnerList {
  readonly items: readonly Item[];
  readonly parameters: Parameters;
}
export type Dictionary = ReadonlyMap<string, Item | InnerList>;

const SPACES = / */y;
const OPTIONAL_WHITESPACE = /[ \t]*/y;
const KEY = /[a-z*][a-z0-9_.*-]*/y;
const NUMBER = /-?(?:(\d{1,12})\.(\d{1,3})|\d{1,15})/y;
const STRING = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*/y;
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y;
const BOOLEAN = /\?([01])/y;

/**
 * @param name of the header, for the errors
 * @throws VerificationError `invalid_header`
 */
export function parseDictionary(name: string, text: string): Dictionary {
  return new Reader(name, text).dictionary();
}

/** Reads a text from its beginning to its end; `take` is the only step, and none goes back. */
class Reader {
  readonly #name: string;
  readonly #text: string;
  #at = 0;

  constructor(name: string, text: string) {
    this.#name = name;
    this.#text = text;
  }

  dictionary(): Dictionary {
    const members = new Map<string, Item | InnerList>();
    this.#take(SPACES);
    while (!this.#ended()) {
      const key = this.#newKey(members);
      members.set(key, this.#takeCharacter("=") ? this.#member() : this.#bareKey());
      this.#take(OPTIONAL_WHITESPACE);
      if (this.#ended()) break;
      if (!this.#takeCharacter(",")) this.#fail("a comma");
      this.#take(OPTIONAL_WHITESPACE);
      if (this.#ended()) this.#fail("a member after the comma");
    }
    return members;
  }

  #member(): Item | InnerList {
    return this.#takeCharacter("(") ? this.#innerList() : this.#item();
  }

  /** A key without a value stands for the boolean true. */
  #bareKey(): Item {
    return { value: { kind: "boolean", value: true }, parameters: this.#parameters() };
  }

  #innerList(): InnerList {
    const items: Item[] = [];
    this.#take(SPACES);
    while (!this.#takeCharacter(")")) {
      items.push(this.#item());
      if (this.#take(SPACES)?.[0] === "" && this.#text[this.#at] !== ")") this.#fail("a space or )");
    }
    return { items, parameters: this.#parameters() };
  }

  #item(): Item {
    return { value: this.#bareItem(), parameters: this.#parameters() };
  }

  #parameters(): Parameters {
    const parameters = new Map<string, BareItem>();
    while (this.#takeCharacter(";")) {
      this.#take(SPACES);
      const key = this.#newKey(parameters);
      parameters.set(key, this.#takeCharacter("=") ? this.#bareItem() : { kind: "boolean", value: true });
    }
    return parameters;
  }

  #bareItem(): BareItem {
    const number = this.#take(NUMBER);
    if (number) return { kind: number[2] === undefined ? "integer" : "decimal", value: Number(number[0]) };
    const string = this.#take(STRING);
    if (string) return { kind: "string", value: string[1]?.replaceAll(/\\(.)/g, "$1") ?? "" };
    const token = this.#take(TOKEN);
    if (token) return { kind: "token", value: token[0] };
    const bytes = decodeStrictly(this.#take(BYTES)?.[1] ?? "?", "base64");
    if (bytes) return { kind: "bytes", value: bytes };
    const boolean = this.#take(BOOLEAN);
    if (boolean) return { kind: "boolean", value: boolean[1] === "1" };
    return this.#fail("a value");
  }

  #newKey(taken: ReadonlyMap<string, unknown>): string {
    const key = this.#take(KEY)?.[0] ?? this.#fail("a key");
    if (taken.has(key)) this.#fail(`another key than ${key}, which came before`);
    return key;
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found) this.#at = pattern.lastIndex;
    return found;
  }

  #takeCharacter(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #ended(): boolean {
    return this.#at === this.#text.length;
  }

  #fail(expected: string): never {
    throw new VerificationError(
      "invalid_header",
      `The header ${this.#name} is not a structured field (RFC 8941): character ${this.#at + 1} should begin ${expected}.`,
    );
  }
}

export function serialiseDictionary(dictionary: Dictionary): string {
  return Array.from(dictionary, ([key, member]) => {
    if ("items" in member) return `${key}=${serialiseInnerList(member)}`;
    if (member.value.value === true) return key + serialiseParameters(member.parameters);
    return `${key}=${serialiseItem(member)}`;
  }).join(", ");
}

export function serialiseInnerList({ items, parameters }: InnerList): string {
  return `(${items.map(serialiseItem).join(" ")})${serialiseParameters(parameters)}`;
}

export function serialiseItem({ value, parameters }: Item): string {
  return serialiseBareItem(value) + serialiseParameters(parameters);
}

function serialiseParameters(parameters: Parameters): string {
  return Array.from(parameters, ([key, value]) =>
    value.value === true ? `;${key}` : `;${key}=${serialiseBareItem(value)}`,
  ).join("");
}

function serialiseBareItem(item: BareItem): string {
  switch (item.kind) {
    case "integer":
      return String(item.value);
    case "decimal":
      return Number.isInteger(item.value) ? item.value.toFixed(1) : String(item.value);
    case "string":
      return `"${item.value.replaceAll(/["\\]/g, "\\$&")}"`;
    case "token":
      return item.value;
    case "bytes":
      return `:${Buffer.from(item.value).toString("base64")}:`;
    case "boolean":
      return item.value ? "?1" : "?0";
  }
}

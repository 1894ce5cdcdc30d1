/**
 * The little XML that WeChat sends: elements with text or CDATA in them, nothing else. What makes XML dangerous does not exist
 * here: a document type, entities of one's own, attributes, processing instructions and comments are refused, and so are two
 * elements of the same name in the root, of which two readers could take different ones.
 */
import { VerificationError } from "../verification-error.ts";

export type XmlValue = string | XmlElements | readonly XmlValue[];

/** By name; a list where an element inside another one came several times. */
export interface XmlElements {
  readonly [name: string]: XmlValue;
}

/** The deepest message that WeChat documents (pictures of an album) has 5. */
const MAX_DEPTH = 8;
const DECLARATION = /\uFEFF?\s*(?:<\?xml version=["']1\.0["'](?: encoding=["']utf-8["'])?\s*\?>)?\s*/iy;
const OPENING = /<([A-Za-z_][A-Za-z0-9_.-]{0,99})\s*(\/?)>/y;
const CLOSING = /<\/([A-Za-z_][A-Za-z0-9_.-]{0,99})\s*>/y;
const TEXT = /[^<]+/y;
const CDATA = "<![CDATA[";
const CDATA_END = "]]>";
const ENTITIES: Readonly<Record<string, string | undefined>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

interface Cursor {
  readonly source: string;
  at: number;
}

/**
 * What is in the root element, whatever its name.
 * @throws VerificationError `invalid_payload`, naming what is wrong and where
 */
export function readXml(source: string): XmlElements {
  const cursor: Cursor = { source, at: 0 };
  take(cursor, DECLARATION);
  const { value } = readElement(cursor, 1);
  if (source.slice(cursor.at).trim() !== "")
    throw fault(cursor, "there is something behind the root element");
  if (typeof value !== "string") return value as XmlElements;
  if (value.trim() === "") return {};
  throw fault(cursor, "the root element holds text");
}

/** @returns the text, or the elements in it; never a list */
function readElement(cursor: Cursor, depth: number): { readonly name: string; readonly value: XmlValue } {
  if (depth > MAX_DEPTH) throw fault(cursor, `elements are nested more than ${MAX_DEPTH} deep`);
  const opening = take(cursor, OPENING);
  if (opening === undefined) {
    throw fault(cursor, "an element was expected; attributes, comments, <!DOCTYPE and <? are not taken");
  }
  const [, name = "", closed] = opening;
  if (closed === "/") return { name, value: "" };
  const children = new Map<string, XmlValue[]>();
  let text = "";
  while (!cursor.source.startsWith("</", cursor.at)) {
    const piece = readText(cursor);
    if (piece !== undefined) {
      text += piece;
      continue;
    }
    const child = readElement(cursor, depth + 1);
    const same = children.get(child.name);
    if (same === undefined) children.set(child.name, [child.value]);
    else if (depth === 1) throw fault(cursor, `the element ${child.name} is there twice`);
    else same.push(child.value);
  }
  if (take(cursor, CLOSING)?.[1] !== name) throw fault(cursor, `the element ${name} does not end`);
  if (children.size === 0) return { name, value: text };
  if (text.trim() !== "") throw fault(cursor, `the element ${name} holds text beside elements`);
  const entries = Array.from(children, ([key, values]) => [key, values.length === 1 ? values[0] : values]);
  return { name, value: Object.fromEntries(entries) as XmlElements };
}

/** Text or one CDATA section; undefined: something else comes. */
function readText(cursor: Cursor): string | undefined {
  const { source, at } = cursor;
  if (source.startsWith(CDATA, at)) {
    const end = source.indexOf(CDATA_END, at);
    if (end === -1) throw fault(cursor, "a CDATA section does not end");
    cursor.at = end + CDATA_END.length;
    return source.slice(at + CDATA.length, end);
  }
  const [text] = take(cursor, TEXT) ?? [];
  return text?.replace(/&(?:([a-z]{2,4});)?/g, (_whole, name: string | undefined) => {
    const character = name === undefined ? undefined : ENTITIES[name];
    if (character === undefined) throw fault(cursor, "an entity other than the five of XML is not taken");
    return character;
  });
}

function take(cursor: Cursor, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = cursor.at;
  const match = pattern.exec(cursor.source);
  if (match === null) return undefined;
  cursor.at = pattern.lastIndex;
  return match;
}

function fault({ at }: Cursor, what: string): VerificationError {
  return new VerificationError(
    "invalid_payload",
    `The body is not the XML that WeChat sends: ${what} (at character ${at}). Check that the body is byte for byte as received.`,
  );
}

/** `<Name><![CDATA[...]]></Name>`; a text that itself holds `]]>` is spread over two sections, which readers join. */
export function cdataElement(name: string, text: string): string {
  return `<${name}>${CDATA}${text.replaceAll(CDATA_END, `]]${CDATA_END}${CDATA}>`)}${CDATA_END}</${name}>`;
}

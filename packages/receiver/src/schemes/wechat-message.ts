/**
 * Messages and events of WeChat and WeCom, XML or JSON: what they say of themselves, and the form in which an event of ours takes their
 * shape.
 * Source: https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_event_pushes.html
 */
import { Buffer } from "node:buffer";
import { memberText } from "./json-member.ts";
import {
  digestId,
  invalidPayload,
  type JsonObject,
  looksLikeJson,
  readObject,
  shortDigest,
  unixSecondsOf,
} from "./payload.ts";
import type { Composition, Description, OutgoingEvent } from "./scheme.ts";
import { cdataElement, readXml, type XmlElements } from "./xml.ts";

const SENDER = "WeChat";

/** @throws VerificationError `invalid_payload` */
export function readMessage(body: Uint8Array): JsonObject | XmlElements {
  return looksLikeJson(body) ? readObject(body, SENDER) : readXml(Buffer.from(body).toString());
}

/**
 * The type is that of the event (`subscribe`) or else of the message (`text`); pushes to a platform have an `InfoType` in its place.
 * @throws VerificationError `invalid_payload`
 */
export function describeMessage(payload: Uint8Array): Description {
  const message = readMessage(payload);
  const part = (name: string) => textOf(message[name]);
  const isEvent = part("MsgType") === "event";
  const type = isEvent ? part("Event") : (part("MsgType") ?? part("InfoType"));
  if (type === null) throw invalidPayload(SENDER, "has neither Event nor MsgType nor InfoType");
  const eventKey = part("EventKey");
  const data = part("Data");
  if (isEvent && eventKey !== null && data !== null) return { id: eventKey, type, data: readData(data) };
  return { id: messageIdOf(payload, part) ?? eventIdOf(payload, part, type), type, data: message };
}

/** 64 bits, so it is taken as the digits it is: JSON.parse would round it, and take two messages for one. */
function messageIdOf(payload: Uint8Array, part: (name: string) => string | null): string | null {
  const isJson = looksLikeJson(payload);
  const text = isJson ? memberText(Buffer.from(payload).toString(), "MsgId") : part("MsgId");
  return /^"?(\d+)"?$/.exec(text ?? "")?.[1] ?? null;
}

/**
 * WeChat tells to use who and when. Its pushes about contacts and grants all come from "sys" or from one app, several in a second, so
 * a hash of the message belongs to it: no event is taken for another.
 */
function eventIdOf(payload: Uint8Array, part: (name: string) => string | null, type: string): string {
  const who = part("FromUserName") ?? part("SuiteId") ?? part("AppId");
  const when = part("CreateTime") ?? part("TimeStamp");
  if (who === null || when === null) return digestId(payload);
  return `${who}:${when}:${type}:${shortDigest(payload)}`;
}

function textOf(value: unknown): string | null {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : null;
}

function readData(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidPayload(SENDER, "has no JSON in its element Data");
  }
}

/**
 * An event with the id as its `EventKey`, and one element that WeChat does not have: `Data`, the data's JSON as it is. Receivers that
 * were written for WeChat read all but that one, and skip it.
 */
export function composeMessage({ id, type, timestamp, data }: OutgoingEvent): Composition {
  const elements = [
    cdataElement("ToUserName", "receiver"),
    cdataElement("FromUserName", "posthorn"),
    `<CreateTime>${unixSecondsOf(timestamp)}</CreateTime>`,
    cdataElement("MsgType", "event"),
    cdataElement("Event", type),
    cdataElement("EventKey", id),
    cdataElement("Data", Buffer.from(data).toString()),
  ];
  return { contentType: "text/xml; charset=utf-8", body: Buffer.from(`<xml>${elements.join("")}</xml>`) };
}

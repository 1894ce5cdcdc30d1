/**
 * Ids: a prefix and 30 characters of base32 (Crockford's alphabet, lower case, no dots):
 * 10 for 48 bits of milliseconds, 4 for the 16-bit app locator, 16 for 80 random bits, of which the first 20 count up
 * within a millisecond. So the ids of an app sort in the order in which a process made them, and by time between
 * processes; and they say which day and which shard a row lives in without a look-up.
 */
import { randomFillSync } from "node:crypto";

export type AppId = `app_${string}`;
export type EndpointId = `ep_${string}`;
export type EventId = `evt_${string}`;
export type DeliveryId = `dlv_${string}`;
export type AttemptId = `att_${string}`;
export type ReplayId = `rpl_${string}`;
export type KeyId = `key_${string}`;
export type IncarnationId = `inc_${string}`;
export type PublicationId = `pub_${string}`;
export type AuditId = `aud_${string}`;
export type SessionId = `ses_${string}`;
export type RequestId = `req_${string}`;

interface IdByKind {
  app: AppId;
  ep: EndpointId;
  evt: EventId;
  dlv: DeliveryId;
  att: AttemptId;
  rpl: ReplayId;
  key: KeyId;
  inc: IncarnationId;
  pub: PublicationId;
  aud: AuditId;
  ses: SessionId;
  req: RequestId;
}
export type IdKind = keyof IdByKind;

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const BODY_LENGTH = 30;
const BODY = /^[0-9a-hjkmnp-tv-z]{30}$/;
const PAIRS: string[] = [];
for (const high of ALPHABET) for (const low of ALPHABET) PAIRS.push(high + low);

// One call to the system's generator serves 400 ids; a call for each costs as much as the rest of newId.
const pool = new Uint8Array(10 * 400);
let poolOffset = pool.length;
let lastMs = 0;
/** Begins anew at random in each millisecond, in the lower half, so that it never overflows. */
let counter = 0;

/** A new id. `locator` is 0-65535: that of the owning app, 0 for what belongs to no app. Never runs backwards in time. */
export function newId<Kind extends IdKind>(kind: Kind, locator = 0): IdByKind[Kind] {
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    counter = -1;
  }
  return `${kind}_${timePart(lastMs)}${locatorPart(locator)}${randomPart()}` as IdByKind[Kind];
}

/** An app's id carries its own locator, drawn at random. */
export function newAppId(): AppId {
  const bytes = randomFillSync(new Uint8Array(2));
  return newId("app", (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0));
}

/** True when `text` has the form of an id of this kind. Says nothing about whether it exists. */
export function isId<Kind extends IdKind>(kind: Kind, text: unknown): text is IdByKind[Kind] {
  return (
    typeof text === "string" &&
    text.length === kind.length + 1 + BODY_LENGTH &&
    text.startsWith(`${kind}_`) &&
    BODY.test(text.slice(kind.length + 1))
  );
}

/** The 16-bit app locator inside an id. */
export function locatorOf(id: string): number {
  return decode(id.slice(id.length - BODY_LENGTH + 10, id.length - BODY_LENGTH + 14));
}

/** The millisecond at which an id was made. */
export function timeOf(id: string): number {
  return decode(id.slice(id.length - BODY_LENGTH, id.length - BODY_LENGTH + 10));
}

let timePartMs = -1;
let timePartText = "";
function timePart(ms: number): string {
  if (ms === timePartMs) return timePartText;
  let rest = ms;
  let text = "";
  for (let i = 0; i < 5; i++) {
    text = (PAIRS[rest % 1024] ?? "") + text;
    rest = Math.floor(rest / 1024);
  }
  timePartMs = ms;
  timePartText = text;
  return text;
}

function locatorPart(locator: number): string {
  return pair(locator >> 10) + pair(locator);
}

function randomPart(): string {
  if (poolOffset + 10 > pool.length) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  const byte = (index: number): number => pool[poolOffset + index] ?? 0;
  counter = counter < 0 ? ((byte(8) & 7) << 16) | (byte(9) << 8) | byte(0) : counter + 1;
  let text = pair(counter >> 10) + pair(counter);
  // 60 random bits: a group of 40, eight characters, and one of 20.
  text += pair((byte(1) << 2) | (byte(2) >> 6)) + pair(((byte(2) & 63) << 4) | (byte(3) >> 4));
  text += pair(((byte(3) & 15) << 6) | (byte(4) >> 2)) + pair(((byte(4) & 3) << 8) | byte(5));
  text += pair((byte(6) << 2) | (byte(7) >> 6)) + pair(((byte(7) & 63) << 4) | (byte(8) >> 4));
  poolOffset += 10;
  return text;
}

/** Ten bits as two characters. */
function pair(bits: number): string {
  return PAIRS[bits & 1023] ?? "";
}

function decode(text: string): number {
  let value = 0;
  for (const character of text) value = value * 32 + ALPHABET.indexOf(character);
  return value;
}

/**
 * Ids: a prefix and 30 characters of base32 (Crockford's alphabet, lower case, no dots):
 * 10 for 48 bits of milliseconds, 4 for the 16-bit app locator, 16 for 80 random bits.
 * They sort by time, and say which day and which shard a row lives in without a look-up.
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

/** A new id. `locator` is 0-65535: that of the owning app, 0 for what belongs to no app. Never runs backwards in time. */
export function newId<Kind extends IdKind>(kind: Kind, locator = 0): IdByKind[Kind] {
  const now = Date.now();
  if (now > lastMs) lastMs = now;
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
  return (PAIRS[(locator >> 10) & 1023] ?? "") + (PAIRS[locator & 1023] ?? "");
}

function randomPart(): string {
  if (poolOffset + 10 > pool.length) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  let text = "";
  // Two groups of 40 bits, each eight characters.
  for (let group = 0; group < 2; group++) {
    const a = pool[poolOffset] ?? 0;
    const b = pool[poolOffset + 1] ?? 0;
    const c = pool[poolOffset + 2] ?? 0;
    const d = pool[poolOffset + 3] ?? 0;
    const e = pool[poolOffset + 4] ?? 0;
    poolOffset += 5;
    text +=
      (PAIRS[(a << 2) | (b >> 6)] ?? "") +
      (PAIRS[((b & 63) << 4) | (c >> 4)] ?? "") +
      (PAIRS[((c & 15) << 6) | (d >> 2)] ?? "") +
      (PAIRS[((d & 3) << 8) | e] ?? "");
  }
  return text;
}

function decode(text: string): number {
  let value = 0;
  for (const character of text) value = value * 32 + ALPHABET.indexOf(character);
  return value;
}

/** From a request to an event: verified, decrypted, read. Nothing here is reached by what the sender did not sign, but `verify`. */
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { type HeadersInput, linesOf } from "../headers.ts";
import { answerToOwnershipQuestion } from "../schemes/ownership.ts";
import type { Answer, IncomingRequest } from "../schemes/scheme.ts";
import type { ReceivedEvent } from "./event.ts";
import type { Setup } from "./setup.ts";

const KEY_LENGTH_MAX = 512;
/** Secrets of their own: handlers do not need them, and an inbox or a dead letter must not keep them. */
const SECRET_HEADERS = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "x-gitlab-token",
  "x-webhook-token",
]);

export interface IncomingEvent {
  readonly kind: "event";
  readonly event: ReceivedEvent;
  /** What it is deduplicated by. */
  readonly key: string;
  /** null: 200 without a body. */
  readonly acknowledgement: (() => Answer) | null;
}

export type Incoming = IncomingEvent | { readonly kind: "handshake"; readonly answer: Answer };

/** @throws VerificationError whose `code` says why the request is not taken */
export async function readIncoming(setup: Setup, request: IncomingRequest): Promise<Incoming> {
  const nowMs = setup.nowMs();
  const clock = { nowSeconds: Math.floor(nowMs / 1000), toleranceSeconds: setup.toleranceSeconds };
  const verified = setup.verify({ ...request, url: urlOf(setup.url, request.url) }, clock);
  if (verified.kind === "handshake") return verified;
  const payload = setup.decrypt === undefined ? verified.payload : await setup.decrypt(verified.payload);
  const described = setup.scheme.describe(payload, linesOf(request.headers));
  const answer = answerToOwnershipQuestion(setup.scheme, described);
  if (answer !== undefined) return { kind: "handshake", answer };
  const { id, type, data } = described;
  const event = {
    id: id ?? `rcv_${randomBytes(16).toString("hex")}`,
    type,
    data,
    timestampSeconds: verified.timestampSeconds,
    payload,
    headers: headersOf(request.headers),
    receivedAtMs: nowMs,
  };
  return {
    kind: "event",
    event,
    key: keyOf(setup.name, event.id),
    acknowledgement: verified.acknowledgement,
  };
}

/** The URL that the sender was given; of the one that arrived only the query, to which a sender may have added its signature. */
function urlOf(given: string | undefined, arrived: string): string {
  if (given === undefined) return arrived;
  const [, query] = /\?([^#]*)/.exec(arrived) ?? [];
  return query === undefined || query === "" ? given : `${given.replace(/[?#].*$/s, "")}?${query}`;
}

function headersOf(headers: HeadersInput): Readonly<Record<string, string>> {
  const entries: Iterable<readonly [string, unknown]> =
    Symbol.iterator in headers
      ? (headers as unknown as Iterable<readonly [string, string]>)
      : Object.entries(headers);
  const read: Record<string, string> = {};
  for (const [key, value] of entries) {
    const name = key.toLowerCase();
    if (SECRET_HEADERS.has(name)) continue;
    if (typeof value === "string") read[name] = value;
    else if (Array.isArray(value)) read[name] = value.join(", ");
  }
  return read;
}

/** An id may be any text: one that no store would take as a key is known by its hash, over JSON, as UTF-8 has no half surrogates. */
function keyOf(name: string, id: string): string {
  const key = `${name}:${id}`;
  if (key.length <= KEY_LENGTH_MAX && key.isWellFormed() && !key.includes("\0")) return key;
  return `${name}:sha256:${createHash("sha256").update(JSON.stringify(id)).digest("hex")}`;
}

export function bytesOf(body: Uint8Array | string): number {
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}

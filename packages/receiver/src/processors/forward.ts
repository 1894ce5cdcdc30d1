/** The processor `forward`: sends each event on to a URL, one after the other. */
import { Buffer } from "node:buffer";
import { type DeliveryControl, PoisonError, retryAfter } from "../receiver/control.ts";
import type { ReceivedEvent } from "../receiver/event.ts";
import type { Scheme, SignedRequest } from "../schemes/scheme.ts";
import { dataText } from "./append/data-text.ts";
import type { ProcessContext, Processor } from "./processor.ts";
import { isSecretHeader } from "./secret-headers.ts";

export interface ForwardOptions<SigningSecret = string> {
  /** http or https. Redirects are not followed. */
  readonly url: string;
  /**
   * Signs anew. Left out: the headers go on as they came, so that a receiver with the sender's secret can verify them; not possible
   * where the sender signs the URL, encrypts (`payload` is what was decrypted), or sends the secret itself, which stays behind.
   */
  readonly scheme?: Scheme<unknown, SigningSecret>;
  /** Needed with a scheme. Text is read as the scheme reads a secret. */
  readonly secret?: SigningSecret | string;
  /** With a scheme: `payload` puts the bytes into the body as they came; `compose` makes an event in the scheme's form of the data. */
  readonly body?: "payload" | "compose";
  /** Until the answer's status is there. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;

/**
 * Of one connection, or of the server in front: nothing that another server should see. Names with a colon are HTTP/2's, and what was
 * compressed has been taken apart before an event was made of it.
 */
const NOT_FORWARDED =
  /^(?::.*|host|connection|keep-alive|transfer-encoding|te|trailer|upgrade|expect|content-encoding|content-length|accept-encoding|forwarded|via|proxy-.*|x-forwarded-.*|x-real-ip)$/;

/**
 * A 2xx is success, all else is tried again with the whole batch, so the other side may get an event twice: it comes with the same
 * `webhook-id` each time (the event's id, where its sender has no such header).
 * @throws TypeError for options that can never work
 */
export function forward<SigningSecret = string>(options: ForwardOptions<SigningSecret>): Processor {
  const { timeoutMs = TIMEOUT_MS } = options;
  const target = targetOf(options.url);
  const name = `forward ${target.origin}${target.pathname}`;
  const requestOf = requestsFor(target.href, options);
  return {
    kind: "processor",
    name,
    async process(events, { signal }) {
      for (const event of events) {
        await send(sendable(requestOf, event, name), { name, timeoutMs, signal });
      }
    },
  };
}

function targetOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new TypeError("forward: url must be an absolute http or https URL without user and password.");
  }
  return url;
}

type RequestOf = (event: ReceivedEvent) => SignedRequest;

function requestsFor<SigningSecret>(
  url: string,
  { scheme, secret, body = "payload" }: ForwardOptions<SigningSecret>,
): RequestOf {
  if (scheme === undefined) {
    if (secret !== undefined) throw new TypeError("forward: a secret needs a scheme to sign with.");
    return (event) => ({ method: "POST", url, headers: forwardedHeaders(event), body: event.payload });
  }
  if (secret === undefined) {
    throw new TypeError(`forward: the scheme ${scheme.name} needs a secret to sign with.`);
  }
  const key = typeof secret === "string" ? scheme.parseSigningSecret(secret) : secret;
  return (event) => {
    const { id, type } = event;
    const timestampSeconds = Math.floor(Date.now() / 1000);
    const composition = body === "compose" ? composed(scheme, event) : asItCame(event);
    const signed = scheme.sign({ ...composition, id, type, timestampSeconds, url }, [key]);
    return { ...signed, headers: { "webhook-id": headerOf(id), ...signed.headers } };
  };
}

function asItCame({ headers, payload }: ReceivedEvent) {
  return { contentType: headers["content-type"] ?? "application/json", body: payload };
}

function composed(scheme: Pick<Scheme, "compose">, event: ReceivedEvent) {
  const { id, type } = event;
  const occurredMs = event.timestampSeconds === null ? event.receivedAtMs : event.timestampSeconds * 1000;
  return scheme.compose({
    id,
    type,
    timestamp: new Date(occurredMs).toISOString(),
    data: Buffer.from(dataText(event)),
  });
}

function forwardedHeaders({ id, headers }: ReceivedEvent): Readonly<Record<string, string>> {
  const kept = Object.entries(headers).filter(([name]) => !NOT_FORWARDED.test(name) && !isSecretHeader(name));
  return { "webhook-id": headerOf(id), ...Object.fromEntries(kept) };
}

/** A provider's id may hold what a header may not. */
function headerOf(id: string): string {
  return /^[\x21-\x7e]+$/.test(id) ? id : encodeURIComponent(id.toWellFormed());
}

/** @throws PoisonError where no request can be made of the event */
function sendable(requestOf: RequestOf, event: ReceivedEvent, name: string): Request {
  const { url, headers, body } = made(requestOf, event, name);
  try {
    return new Request(url, { method: "POST", headers, body: Buffer.from(body), redirect: "manual" });
  } catch {
    // The error holds the value of the header.
    throw new PoisonError(`${name}: one of the headers cannot be sent`);
  }
}

function made(requestOf: RequestOf, event: ReceivedEvent, name: string): SignedRequest {
  try {
    return requestOf(event);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new PoisonError(`${name}: no request can be made of it: ${error.message}`);
  }
}

async function send(
  request: Request,
  { name, timeoutMs, signal }: { name: string; timeoutMs: number; signal: ProcessContext["signal"] },
): Promise<void> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const response = await fetch(request, { signal: until }).catch((cause: unknown) => {
    throw new Error(`${name}: no answer (${reasonOf(cause)})`, { cause });
  });
  await response.body?.cancel();
  if (!response.ok)
    throw refusal(`${name}: answered ${response.status}`, response.headers.get("retry-after"));
}

function reasonOf(error: unknown): string {
  const { cause = error } = error as { readonly cause?: unknown };
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
  return typeof code === "string" ? code : String(message);
}

/** Its `Retry-After` is handed on. */
function refusal(reason: string, wait: string | null): Error | DeliveryControl {
  const seconds = wait !== null && /^[0-9]{1,5}$/.test(wait) ? Number(wait) : 0;
  return seconds >= 1 && seconds <= 86_400 ? retryAfter(seconds, reason) : new Error(reason);
}

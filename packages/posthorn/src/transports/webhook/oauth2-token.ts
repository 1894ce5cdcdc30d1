/**
 * The client credentials grant (RFC 6749 4.4): what is asked of a token endpoint, and what its answer comes to. No answer
 * is repeated but its status and a plain error code: a token endpoint may well echo the secret.
 */
import type { UnreachableCause } from "../../domain/attempt.ts";
import type { OAuth2Client, Question, Reply } from "../transport.ts";

export type TokenAnswer =
  | { readonly kind: "granted"; readonly token: string; readonly lifeMs: number }
  /** `authorization` when the token endpoint answered, or did not in time; else why nobody was reached there. */
  | { readonly kind: "denied"; readonly cause: UnreachableCause; readonly detail: string };

/** In total. Whoever waits for a token has a deadline of its own besides. */
const QUESTION_TIMEOUT_MS = 10_000;
/** It is not used in its last minute, which may have passed on the receiver's clock. */
const MARGIN_MS = 60_000;
const LIFE_UNLESS_SAID_MS = 5 * 60_000;
const LIFE_MS_MAX = 24 * 3600 * 1000;
/** What fits into one header for most receivers. */
const TOKEN_LENGTH_MAX = 8 * 1024;

export function tokenQuestion(client: OAuth2Client): Question {
  const { tokenUrl, clientId, clientSecret, scope, audience, clientAuthentication } = client;
  const fields = new URLSearchParams({ grant_type: "client_credentials" });
  if (scope !== null) fields.set("scope", scope);
  if (audience !== null) fields.set("audience", audience);
  const headers: Record<string, string> = {
    "content-type": "application/x-www-form-urlencoded",
    accept: "application/json",
  };
  switch (clientAuthentication) {
    case "basic":
      headers.authorization = basic(clientId, clientSecret);
      break;
    case "body":
      fields.set("client_id", clientId);
      fields.set("client_secret", clientSecret);
      break;
  }
  const body = Buffer.from(fields.toString());
  return { method: "POST", url: tokenUrl, headers, body, timeoutMs: QUESTION_TIMEOUT_MS };
}

/** RFC 6749 2.3.1: both are form-encoded before Basic joins them with a colon, so that either may hold one. */
function basic(clientId: string, clientSecret: string): string {
  return `Basic ${Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString("base64")}`;
}

function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}

/** RFC 6749 5.1 and 5.2, read strictly: what is in doubt is no token. */
export function readTokenAnswer({ outcome, body }: Reply, client: OAuth2Client): TokenAnswer {
  switch (outcome.kind) {
    case "succeeded":
      return grantedBy(outcome.status, objectOf(body));
    case "rejected":
      return denied(`answered ${outcome.status}${errorOf(objectOf(body), client)}`);
    case "timed_out":
      return denied("did not answer in time");
    case "unreachable":
      return unreached(outcome.cause, outcome.detail);
    case "invalid":
    case "unknown":
      return denied("cannot be asked");
  }
}

function grantedBy(status: number, answer: Readonly<Record<string, unknown>>): TokenAnswer {
  const { access_token: token, token_type: type, expires_in: expiresIn } = answer;
  const isToken =
    typeof token === "string" && token.length <= TOKEN_LENGTH_MAX && /^[\x21-\x7e]+$/.test(token);
  if (!isToken) return denied(`answered ${status} without a usable access_token`);
  if (typeof type !== "string" || type.toLowerCase() !== "bearer") {
    return denied(`answered ${status} with a token_type that is not "bearer"`);
  }
  const seconds = expiresIn === undefined ? LIFE_UNLESS_SAID_MS / 1000 : secondsOf(expiresIn);
  if (seconds === undefined)
    return denied(`answered ${status} with an expires_in that is no number of seconds`);
  return { kind: "granted", token, lifeMs: expiresIn === undefined ? LIFE_UNLESS_SAID_MS : lifeOf(seconds) };
}

/** A whole number, or one in a string, as some servers have it. */
function secondsOf(value: unknown): number | undefined {
  const seconds = typeof value === "string" && /^\d{1,12}$/.test(value) ? Number(value) : value;
  return typeof seconds === "number" && seconds >= 0 ? seconds : undefined;
}

/** Without its last minute; of a life of less than two minutes the first half. */
function lifeOf(seconds: number): number {
  const wholeMs = seconds * 1000;
  return Math.min(Math.max(wholeMs - MARGIN_MS, wholeMs / 2), LIFE_MS_MAX);
}

function objectOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const answer: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    return typeof answer === "object" && answer !== null ? { ...answer } : {};
  } catch {
    return {};
  }
}

/** RFC 6749 5.2: `invalid_client` and its like. Anything that is not such a word, or could be the secret, is left out. */
function errorOf({ error }: Readonly<Record<string, unknown>>, { clientSecret }: OAuth2Client): string {
  if (typeof error !== "string" || !/^[a-z][a-z_]{1,39}$/.test(error)) return "";
  return error.includes(clientSecret) || clientSecret.includes(error) ? "" : ` (${error})`;
}

/** Under its own cause: what nobody may learn of an address is hidden by the cause, not by the words. */
function unreached(cause: UnreachableCause, detail: string): TokenAnswer {
  return { kind: "denied", cause, detail: sentence(`cannot be reached: ${detail}`) };
}

function denied(why: string): TokenAnswer {
  return { kind: "denied", cause: "authorization", detail: sentence(why) };
}

function sentence(why: string): string {
  return `No access token: the token endpoint ${why}.`.replace("..", ".").slice(0, 200);
}

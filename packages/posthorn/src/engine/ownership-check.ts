/**
 * Asks an endpoint whether it wants its events, and judges the answer. `challenge`: a random value must come back.
 * `cloudevents`: the handshake of CloudEvents' "HTTP 1.1 Web Hooks for Event Delivery" 1.0.2, section 4.
 */
import { randomBytes } from "node:crypto";
import { unreachable } from "../base/errors.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { OwnershipPolicy } from "../domain/ownership.ts";
import { buildPayload } from "../domain/payload.ts";
import { isProfile } from "../domain/scheme.ts";
import { type ShownOutcome, shownOutcome } from "../domain/shown-outcome.ts";
import type { Question, Reply, Transport } from "../transports/transport.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import type { Asked } from "./profile.ts";

/** `detail` is for the audit log alone: what an app's owner sees tells blocked, refused and unknown addresses not apart. */
export type Verdict =
  | { readonly kind: "consents"; readonly grantedPerMinute: number | null }
  /** It answered without a word about it: its consent may still come by the callback. */
  | { readonly kind: "undecided"; readonly problem: string }
  | { readonly kind: "fails"; readonly problem: string; readonly detail?: AttemptOutcome };

/** How this server names itself in the handshake. */
export interface Handshake {
  /** The value of `WebHook-Request-Origin`: a DNS name. */
  readonly origin: string;
  /** https, with a key that nobody guesses; null: none is offered. */
  readonly callbackUrl: string | null;
  readonly ratePerMinute: number | null;
}

export interface Asking {
  readonly runtime: EndpointRuntime;
  readonly transport: Transport;
}

const CHALLENGE_BYTES = 24;
export const VERIFICATION_TYPE = "posthorn.endpoint.verification";
const POSITIVE_INTEGER = /^[1-9]\d{0,8}$/;

/** Never rejects for what the receiver does. */
export function askOwner(
  asking: Asking,
  policy: Exclude<OwnershipPolicy, "off">,
  handshake: Handshake | null,
): Promise<Verdict> {
  switch (policy) {
    case "challenge":
      return challenge(asking);
    case "cloudevents":
      return handshake === null ? Promise.resolve(NAMELESS) : shakeHands(asking, handshake);
    default:
      return unreachable(policy, "ownership policy");
  }
}

const NAMELESS: Verdict = {
  kind: "fails",
  problem: "This server has no name to ask with. Its operator must set originName or publicUrl.",
};

// ---- challenge ----------------------------------------------------------------------------------------------------

/**
 * As the endpoint's profile asks, where it has a question of its own. Else as a delivery, signed; then as a query parameter, for
 * receivers that take GET for such questions.
 */
async function challenge(asking: Asking): Promise<Verdict> {
  const value = randomBytes(CHALLENGE_BYTES).toString("base64url");
  const asked = asking.runtime.inquire(value, Date.now());
  if (asked !== null) return inquiry(asking, asked, value);
  const posted = await asking.transport.ask(await posting(asking, value));
  if (!hasAnswered(posted.outcome)) return unanswered(posted.outcome);
  if (comesBack(posted, value)) return { kind: "consents", grantedPerMinute: null };
  const got = await asking.transport.ask(getting(asking, value));
  if (!hasAnswered(got.outcome)) return unanswered(got.outcome);
  if (comesBack(got, value)) return { kind: "consents", grantedPerMinute: null };
  return {
    kind: "fails",
    problem: `It answered ${statusOf(posted)} to POST and ${statusOf(got)} to GET, and not with the challenge. Answer 2xx with its value alone, or with {"challenge": value}.`,
    detail: posted.outcome,
  };
}

async function inquiry(asking: Asking, asked: Asked, value: string): Promise<Verdict> {
  const { isAcknowledged, headers, ...question } = asked;
  const bare = bareQuestion(asking, asked.method);
  const reply = await asking.transport.ask({
    ...bare,
    ...question,
    headers: { ...bare.headers, ...headers },
  });
  if (!hasAnswered(reply.outcome)) return unanswered(reply.outcome);
  const consents = isAcknowledged
    ? asking.runtime.judged({ outcome: reply.outcome, durationMs: 0, responseBody: reply.body }).outcome
        .kind === "succeeded"
    : comesBack(reply, value);
  if (consents) return { kind: "consents", grantedPerMinute: null };
  const { scheme } = asking.runtime.endpoint;
  return fails(`It answered ${statusOf(reply)}, and not as the URL check of ${scheme} is answered.`, reply);
}

/** In the form of its scheme, as an event is. */
async function posting({ runtime }: Asking, value: string): Promise<Question> {
  const question = Buffer.from(JSON.stringify({ type: VERIFICATION_TYPE, challenge: value }));
  const payload = isProfile(runtime.endpoint.scheme)
    ? buildPayload(VERIFICATION_TYPE, new Date().toISOString(), question).bytes
    : question;
  // No event has this id: it names the question, so that a receiver that deduplicates answers each of them.
  const eventId = `verify_${randomBytes(12).toString("hex")}`;
  const shipment = await runtime.shipment({ eventId, payload, hops: 0 }, Date.now());
  return { method: "POST", ...shipment };
}

function getting(asking: Asking, value: string): Question {
  const url = new URL(asking.runtime.endpoint.url);
  // Beside the URL's own query, which stays as it is written.
  url.search = url.search === "" ? `challenge=${value}` : `${url.search}&challenge=${value}`;
  return { ...bareQuestion(asking, "GET"), url: url.href };
}

function comesBack({ outcome, body }: Reply, value: string): boolean {
  if (outcome.kind !== "succeeded") return false;
  const text = Buffer.from(body).toString("utf8").trim();
  return text === value || challengeIn(text) === value;
}

/** Our own question sent back by whoever echoes all that it gets is no consent: it has a type. */
function challengeIn(text: string): unknown {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== "object" || answer === null || "type" in answer) return undefined;
    return "challenge" in answer ? answer.challenge : undefined;
  } catch {
    return undefined;
  }
}

// ---- CloudEvents --------------------------------------------------------------------------------------------------

async function shakeHands(asking: Asking, handshake: Handshake): Promise<Verdict> {
  const question = bareQuestion(asking, "OPTIONS");
  const reply = await asking.transport.ask({
    ...question,
    headers: { ...question.headers, ...requestHeaders(handshake) },
  });
  if (!hasAnswered(reply.outcome)) return unanswered(reply.outcome);
  return judgeHandshake(reply, handshake);
}

/** 4.1. */
function requestHeaders({ origin, callbackUrl, ratePerMinute }: Handshake): Record<string, string> {
  return {
    "webhook-request-origin": origin,
    ...(callbackUrl === null ? {} : { "webhook-request-callback": callbackUrl }),
    ...(ratePerMinute === null ? {} : { "webhook-request-rate": String(ratePerMinute) }),
  };
}

/** 4.2: by the headers alone; the status says nothing about it. */
function judgeHandshake(reply: Reply, { origin, callbackUrl, ratePerMinute }: Handshake): Verdict {
  const allowed = reply.headers["webhook-allowed-origin"]?.trim();
  if (allowed === undefined || allowed === "") {
    const problem = `It answered ${statusOf(reply)} without WebHook-Allowed-Origin, which it sets to ${origin} or * to consent`;
    return callbackUrl === null
      ? { kind: "fails", problem: `${problem}.`, detail: reply.outcome }
      : { kind: "undecided", problem: `${problem}, now or by the callback that it was given.` };
  }
  if (allowed !== "*" && allowed.toLowerCase() !== origin.toLowerCase()) {
    return fails(`It allows the origin ${shown(allowed)}, and this server is ${origin}.`, reply);
  }
  const rate = reply.headers["webhook-allowed-rate"]?.trim();
  // It was asked for one, and consented: it has that one.
  if (rate === undefined) return { kind: "consents", grantedPerMinute: ratePerMinute };
  const granted = rateOf(rate);
  if (granted === undefined) {
    return fails(
      `Its WebHook-Allowed-Rate is ${shown(rate)}: it must be a positive whole number per minute, or *.`,
      reply,
    );
  }
  return { kind: "consents", grantedPerMinute: granted };
}

/** Requests per minute; null: no bound; undefined: it is no rate. */
export function rateOf(text: string): number | null | undefined {
  if (text === "*") return null;
  return POSITIVE_INTEGER.test(text) ? Number(text) : undefined;
}

// ---- both ---------------------------------------------------------------------------------------------------------

function bareQuestion({ runtime }: Asking, method: Question["method"]): Question {
  const { url, timeoutMs } = runtime.endpoint;
  const { headers, access } = runtime.bare;
  return { method, url, headers, body: null, timeoutMs, ...(access === undefined ? {} : { access }) };
}

function hasAnswered(outcome: AttemptOutcome): boolean {
  return outcome.kind === "succeeded" || outcome.kind === "rejected";
}

function statusOf({ outcome }: Reply): string {
  return outcome.kind === "succeeded" || outcome.kind === "rejected" ? String(outcome.status) : outcome.kind;
}

function unanswered(outcome: AttemptOutcome): Verdict {
  return { kind: "fails", problem: problemOf(shownOutcome(outcome)), detail: outcome };
}

function fails(problem: string, { outcome }: Reply): Verdict {
  return { kind: "fails", problem, detail: outcome };
}

function problemOf(outcome: ShownOutcome): string {
  switch (outcome.kind) {
    case "unreachable":
    case "invalid":
      return outcome.detail;
    case "timed_out":
      return "It did not answer in time.";
    case "succeeded":
    case "rejected":
      return `It answered ${outcome.status}.`;
    case "unknown":
      return "Whether it was asked is not known.";
    default:
      return unreachable(outcome, "outcome");
  }
}

const SHOWN_CHARACTERS_MAX = 100;

/** What a receiver sent, as one may show it: other people's text. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN_CHARACTERS_MAX));
}

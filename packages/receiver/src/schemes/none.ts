/**
 * No signature: for senders that do not sign. Whoever finds the URL may send, unless a token is given, which the sender repeats in
 * `Authorization: Bearer` or `X-Webhook-Token`; nothing covers the body then either.
 */
import { type HeaderLines, linesOf, optionalHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { composeEnvelope, openEnvelope } from "./envelope.ts";
import { checkedToken, checkToken, parseToken } from "./hmac.ts";
import { bytesOf, isObject, optionalText, readJson } from "./payload.ts";
import type { Scheme } from "./scheme.ts";

const HEADER = "x-webhook-token";
const BEARER = /^bearer +/i;

export const none: Scheme = {
  name: "none",
  strength: "none",
  signsUrl: false,
  needsSecret: false,
  verifier(secrets) {
    const tokens = secrets.map(checkedToken);
    return ({ headers, body }) => {
      checkRawBody(body);
      if (tokens.length > 0) checkToken(tokens, `authorization or ${HEADER}`, tokenIn(linesOf(headers)));
      return { kind: "event", payload: bytesOf(body), timestampSeconds: null, acknowledgement: null };
    };
  },
  /** Any JSON. What others put into headers is taken: an id for retries, the attributes of CloudEvents in binary mode. */
  describe(payload, headers) {
    const body = readJson(payload, "a sender of JSON");
    const id = optionalHeader(headers, "webhook-id") ?? optionalHeader(headers, "idempotency-key");
    return {
      id: id ?? cloudEventIdIn(headers) ?? structuredCloudEventId(body),
      ...openEnvelope(body, optionalHeader(headers, "ce-type") ?? "none"),
    };
  },
  parseSecret: parseToken,
  parseSigningSecret: parseToken,
  compose: composeEnvelope,
  sign({ id, url, contentType, body }, [token]) {
    const headers = { "content-type": contentType, "webhook-id": id };
    if (token === undefined) return { method: "POST", url, headers, body };
    return {
      method: "POST",
      url,
      headers: { ...headers, authorization: `Bearer ${checkedToken(token)}` },
      body,
    };
  },
};

/** Binary mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md */
function cloudEventIdIn(headers: HeaderLines): string | null {
  return cloudEventId(optionalHeader(headers, "ce-source"), optionalHeader(headers, "ce-id"));
}

/** Structured mode, which a body without `specversion` is not. */
function structuredCloudEventId(body: unknown): string | null {
  if (!isObject(body) || typeof body.specversion !== "string") return null;
  return cloudEventId(optionalText(body.source), optionalText(body.id));
}

/** An id is one of its source: 1.0.2, "Producers MUST ensure that source + id is unique". A source has no line end. */
function cloudEventId(source: string | null, id: string | null): string | null {
  return id === null || source === null ? id : `${source}\n${id}`;
}

function tokenIn(headers: HeaderLines): string {
  const own = optionalHeader(headers, HEADER);
  if (own !== null) return own;
  const authorization = optionalHeader(headers, "authorization");
  if (authorization !== null && BEARER.test(authorization)) return authorization.replace(BEARER, "");
  throw new VerificationError(
    "missing_header",
    `The token is missing: the sender must repeat it in Authorization: Bearer or ${HEADER}.`,
  );
}

/**
 * WeChat official accounts and mini programs in plain mode: `signature` in the query is SHA-1 over the sorted token, timestamp and
 * nonce. It does not cover the body: whoever has seen one request can send another body with its query, as long as its time counts.
 * Safe mode (`wechat`) covers it.
 * Source: https://developers.weixin.qq.com/doc/offiaccount/Basic_Information/Access_Overview.html
 */
import { queryOf, readParameter, withParameters } from "../query.ts";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { isSuccessStatus, textAnswer } from "./answer.ts";
import { bytesOf, SMALL_BODY_BYTES_MAX } from "./payload.ts";
import type { Answer, Clock, Scheme } from "./scheme.ts";
import { checkSome, textPart } from "./secret-parts.ts";
import { isOneOf, parseTextSecret } from "./text-secret.ts";
import { checkWechatTimestamp, randomNonce, sortedSha1 } from "./wechat-aes.ts";
import { composeMessage, describeMessage } from "./wechat-message.ts";

/** The secret is the token that was typed into WeChat's console. */
export const wechatPlain: Scheme = {
  name: "wechat-plain",
  strength: "weak",
  signsUrl: false,
  needsSecret: true,
  bodyBytesMax: SMALL_BODY_BYTES_MAX,
  handshakesByGet: true,
  verifier(secrets) {
    const tokens = importTokens(secrets);
    return (request, clock) => {
      checkRawBody(request.body);
      const query = queryOf(request.url);
      const timestampSeconds = verifyPlainQuery(query, tokens, clock);
      if (request.method === "GET") return { kind: "handshake", answer: echo(query) };
      return { kind: "event", payload: bytesOf(request.body), timestampSeconds, acknowledgement };
    };
  },
  describe: describeMessage,
  parseSecret: parseTextSecret,
  parseSigningSecret: parseTextSecret,
  compose: composeMessage,
  sign({ url, contentType, body, timestampSeconds }, secrets) {
    const timestamp = String(timestampSeconds);
    const nonce = randomNonce();
    const signature = sortedSha1([importTokens(secrets)[0], timestamp, nonce]);
    return {
      method: "POST",
      url: withParameters(url, { signature, timestamp, nonce }),
      headers: { "content-type": contentType },
      body,
    };
  },
  isAcknowledged: isSuccessOrEmpty,
};

/** WeChat takes anything else, JSON too, for a failure: users read that the account is out of service. */
export function acknowledgement(): Answer {
  return textAnswer("success");
}

export function isSuccessOrEmpty({ status, body }: Pick<Answer, "status" | "body">): boolean {
  return isSuccessStatus(status) && ["", "success"].includes(body.trim());
}

/** The question of the console, in plain and safe mode alike: `echostr` as it came. @throws VerificationError */
export function answerEcho(url: string, tokens: readonly string[], clock: Clock): Answer {
  const query = queryOf(url);
  verifyPlainQuery(query, tokens, clock);
  return echo(query);
}

function echo(query: URLSearchParams): Answer {
  return textAnswer(readParameter(query, "echostr"));
}

/** @returns when it was signed */
function verifyPlainQuery(query: URLSearchParams, tokens: readonly string[], clock: Clock): number {
  const signature = readParameter(query, "signature");
  const timestamp = readParameter(query, "timestamp");
  const nonce = readParameter(query, "nonce");
  const timestampSeconds = checkWechatTimestamp(timestamp, clock);
  if (tokens.some((token) => isOneOf([signature], sortedSha1([token, timestamp, nonce])))) {
    return timestampSeconds;
  }
  throw new VerificationError(
    "no_matching_signature",
    "The signature in the query does not fit. Check that the token is the one in WeChat's console, and that no proxy changes the query.",
  );
}

function importTokens(secrets: readonly string[]): readonly [string, ...string[]] {
  const [first, ...others] = checkSome(secrets);
  return [importToken(first), ...others.map(importToken)];
}

function importToken(secret: unknown): string {
  return textPart({ token: secret }, "token", "it is the text that was typed into WeChat's console");
}

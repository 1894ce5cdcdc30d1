/** Sends with an access token: one more try with a new one when the receiver does not accept it (OAuth 2.0, RFC 6750 3.1). */
import type { OAuth2Client, Receipt, ShipmentAccess } from "../transport.ts";
import type { ResponseHeaders } from "./exchange.ts";
import type { AccessTokens } from "./oauth2.ts";

export interface Answer {
  readonly receipt: Receipt;
  /** undefined when none were read. */
  readonly headers: ResponseHeaders | undefined;
}

/**
 * What came of it, within the time in total, tokens included; after a retry, what came of that. Without a token nothing
 * is sent.
 */
export async function sendAuthorized(
  tokens: AccessTokens,
  access: ShipmentAccess,
  client: OAuth2Client,
  timeoutMs: number,
  send: (authorization: string, timeoutMs: number) => Promise<Answer>,
): Promise<Answer> {
  const startedAt = performance.now();
  const elapsedMs = (): number => Math.round(performance.now() - startedAt);
  for (let isRetry = false; ; isRetry = true) {
    const answer = await tokens.tokenFor(access, client, timeoutMs - elapsedMs());
    if (answer.kind === "denied") {
      const { cause, detail } = answer;
      const outcome = { kind: "unreachable", cause, detail } as const;
      return { receipt: { outcome, durationMs: elapsedMs(), responseBody: null }, headers: undefined };
    }
    const { receipt, headers } = await send(`Bearer ${answer.token}`, Math.max(timeoutMs - elapsedMs(), 1));
    const isRefused = receipt.outcome.kind === "rejected" && receipt.outcome.status === 401;
    const isWorthwhile = isRefused && tokens.drop(access, answer.token);
    if (!isWorthwhile || isRetry || elapsedMs() >= timeoutMs) {
      return { receipt: { ...receipt, durationMs: elapsedMs() }, headers };
    }
  }
}

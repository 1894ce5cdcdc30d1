/**
 * Access tokens, kept for as long as they live: one question at a time for each endpoint, whoever waits for it, and no
 * new one for a while after a failure, so that a token endpoint that is down is not hammered by every delivery.
 */
import type { OAuth2Client, Question, Reply, ShipmentAccess } from "../transport.ts";
import { readTokenAnswer, type TokenAnswer, tokenQuestion } from "./oauth2-token.ts";
import { Recent } from "./recent.ts";

export interface AccessTokens {
  /** Answers within the time, whatever the token endpoint does. Never rejects. */
  tokenFor(access: ShipmentAccess, client: OAuth2Client, timeoutMs: number): Promise<TokenAnswer>;
  /** The receiver did not accept this one: the next question is a new one. */
  drop(access: ShipmentAccess, token: string): void;
}

export interface AccessTokensOptions {
  readonly ask: (question: Question) => Promise<Reply>;
  /** How long a failure stands. */
  readonly failureMs?: number;
  /** Beyond it the one that was asked for longest ago is forgotten. */
  readonly tokensMax?: number;
  /** Monotonic, in milliseconds. */
  readonly now?: () => number;
}

interface Entry {
  readonly answer: Promise<TokenAnswer>;
  /** On the monotonic clock; without end while it is being asked. */
  untilMs: number;
  token: string | undefined;
}

const LATE: TokenAnswer = {
  kind: "denied",
  cause: "authorization",
  detail: "No access token: the token endpoint did not answer within the attempt's time.",
};

export function createAccessTokens({
  ask,
  failureMs = 5000,
  tokensMax = 10_000,
  now = () => performance.now(),
}: AccessTokensOptions): AccessTokens {
  const entries = new Recent<Entry>(tokensMax);

  function request(id: string, client: OAuth2Client): Entry {
    const entry: Entry = {
      answer: ask(tokenQuestion(client)).then((reply) => {
        const answer = readTokenAnswer(reply, client);
        const isGranted = answer.kind === "granted";
        entry.untilMs = now() + (isGranted ? answer.lifeMs : failureMs);
        entry.token = isGranted ? answer.token : undefined;
        return answer;
      }),
      untilMs: Number.POSITIVE_INFINITY,
      token: undefined,
    };
    entries.set(id, entry);
    return entry;
  }

  return {
    tokenFor({ id }, client, timeoutMs) {
      const known = entries.get(id);
      const isUsable = known !== undefined && known.untilMs > now();
      return within((isUsable ? known : request(id, client)).answer, timeoutMs);
    },
    drop({ id }, token) {
      if (entries.get(id)?.token === token) entries.delete(id);
    },
  };
}

async function within(answer: Promise<TokenAnswer>, timeoutMs: number): Promise<TokenAnswer> {
  const late = Promise.withResolvers<TokenAnswer>();
  const timer = setTimeout(() => late.resolve(LATE), Math.max(timeoutMs, 0));
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Access tokens, kept for as long as they live: one question at a time for each endpoint, whoever waits for it, and no
 * new one for a while after a failure or after one that did not help, so that a token endpoint is not hammered by every
 * delivery when it is down, or when a receiver accepts no token at all.
 */
import { hash } from "node:crypto";
import type { OAuth2Client, Question, Reply, ShipmentAccess } from "../transport.ts";
import { readTokenAnswer, type TokenAnswer, tokenQuestion } from "./oauth2-token.ts";
import { Recent } from "./recent.ts";

export interface AccessTokens {
  /** Answers within the time, whatever the token endpoint does. Never rejects. */
  tokenFor(access: ShipmentAccess, client: OAuth2Client, timeoutMs: number): Promise<TokenAnswer>;
  /**
   * The receiver did not accept this one. True when `tokenFor` has another; false when it has not, because this very one
   * was asked for a moment ago for the same reason.
   */
  drop(access: ShipmentAccess, token: string): boolean;
}

export interface AccessTokensOptions {
  readonly ask: (question: Question) => Promise<Reply>;
  /** How long a failure stands, and how long a token that takes the place of one that was not accepted. */
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
  /** When the receiver last did not accept a token of this endpoint. */
  droppedAtMs: number;
}

interface Failure {
  readonly answer: TokenAnswer;
  readonly untilMs: number;
}

const LATE: TokenAnswer = {
  kind: "denied",
  cause: "authorization",
  detail: "No access token: the token endpoint did not answer within the attempt's time.",
};

/** A fault of ours. */
const UNASKED: Reply = { outcome: { kind: "unknown" }, headers: {}, body: new Uint8Array(0) };

export function createAccessTokens({
  ask,
  failureMs = 5000,
  tokensMax = 10_000,
  now = () => performance.now(),
}: AccessTokensOptions): AccessTokens {
  const entries = new Recent<Entry>(tokensMax);
  /** By question, so that a change of the endpoint is no reason to put the same one again. */
  const failures = new Recent<Failure>(tokensMax);

  function request(id: string, client: OAuth2Client, question: string): Entry {
    const entry: Entry = {
      answer: ask(tokenQuestion(client))
        .catch(() => UNASKED)
        .then((reply) => {
          const answer = readTokenAnswer(reply, client);
          if (answer.kind === "granted") {
            entry.untilMs = now() + answer.lifeMs;
            entry.token = answer.token;
          } else {
            entry.untilMs = now();
            failures.set(question, { answer, untilMs: now() + failureMs });
          }
          return answer;
        }),
      untilMs: Number.POSITIVE_INFINITY,
      token: undefined,
      droppedAtMs: entries.get(id)?.droppedAtMs ?? Number.NEGATIVE_INFINITY,
    };
    entries.set(id, entry);
    return entry;
  }

  return {
    async tokenFor({ id }, client, timeoutMs) {
      const known = entries.get(id);
      if (known !== undefined && known.untilMs > now()) return within(known.answer, timeoutMs);
      const question = questionId(client);
      const failure = failures.get(question);
      if (failure !== undefined && failure.untilMs > now()) return failure.answer;
      return within(request(id, client, question).answer, timeoutMs);
    },
    drop({ id }, token) {
      const entry = entries.get(id);
      // Whoever shared it came first.
      if (entry?.token !== token) return true;
      if (now() < entry.droppedAtMs + failureMs) return false;
      entry.droppedAtMs = now();
      entry.untilMs = now();
      entry.token = undefined;
      return true;
    },
  };
}

/** With the secret, which whoever has it wrong does not share with whoever has it right; hashed, to keep no copy of it. */
function questionId(client: OAuth2Client): string {
  const { tokenUrl, clientId, clientSecret, scope, audience, clientAuthentication } = client;
  const parts = [tokenUrl, clientId, clientSecret, scope, audience, clientAuthentication];
  return hash("sha256", JSON.stringify(parts), "base64");
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

/** Judges one accepted event at one endpoint that wants it. */
import { type AttemptFacts, type BreachKind, countOf, type DeliveryFacts, describe } from "./breach.ts";
import type { AcceptedLine, ReceivedLine } from "./ledger.ts";
import type { PlannedEndpoint } from "./plan.ts";

/** Jitter takes at most 20 % off a delay; clocks of two processes and rounding get this much on top. */
const EARLIEST_SHARE = 0.8;
const CLOCK_SKEW_MS = 25;

export interface Pair {
  readonly key: string;
  readonly line: AcceptedLine;
  readonly endpoint: PlannedEndpoint;
  /** In the order of arrival. */
  readonly requests: readonly ReceivedLine[];
  /** undefined: not looked up, or unknown to the API. */
  readonly facts: DeliveryFacts | undefined;
}

type Finding = readonly [kind: BreachKind, detail: string];

export function isSuccess({ status }: ReceivedLine): boolean {
  return status >= 200 && status < 300;
}

function isLateSuccess({ status }: ReceivedLine): boolean {
  return status <= -200 && status > -300;
}

export type End = "delivered" | "deadLettered" | "pending" | "lost";

/** Fails closed: what nobody looked up is delivered if the receiver says so, and lost if not. */
export function endOf({ endpoint, requests, facts }: Pair): End {
  const received = requests.some(isSuccess);
  if (facts === undefined) return received ? "delivered" : "lost";
  switch (facts.state) {
    case "delivered":
      // A sender that was stopped itself may take an answer that came late.
      return received || requests.some(isLateSuccess) ? "delivered" : "lost";
    case "dead_lettered": {
      const everyAttempt = countedFailures(facts.attempts) > endpoint.retrySchedule.length;
      return facts.reason === "attempts_exhausted" && everyAttempt ? "deadLettered" : "lost";
    }
    case "pending":
      return facts.dueAt !== null || facts.hold !== null ? "pending" : "lost";
    default:
      return "lost";
  }
}

/** Of attempts that may have been sent, only the third in a row takes a place in the schedule. */
function countedFailures(attempts: readonly AttemptFacts[]): number {
  let failures = 0;
  let unknownInARow = 0;
  for (const { outcome } of attempts) {
    unknownInARow = outcome === "unknown" ? unknownInARow + 1 : 0;
    if (outcome !== "unknown" || unknownInARow % 3 === 0) failures += 1;
  }
  return failures;
}

/** Second successes: explained where the delivery has an attempt of which the server itself says that it may have been sent. */
export function duplicatesOf({ requests, facts }: Pair): { explained: number; unexplained: number } {
  const second = Math.max(0, requests.filter(isSuccess).length - 1);
  const explained = Math.min(second, countOf(facts, "unknown"));
  return { explained, unexplained: second - explained };
}

/** Everything but loss and duplicates. */
export function* findings(pair: Pair): Iterable<Finding> {
  for (const request of pair.requests) {
    if (!request.signatureValid) yield ["bad_signature", "does not verify with the endpoint's secret"];
    if (request.bodyHash !== pair.line.bodyHash)
      yield ["changed_body", `${request.bodyHash} instead of ${pair.line.bodyHash}`];
  }
  if (pair.facts === undefined) return;
  yield* missingAttempts(pair.requests, pair.facts);
  yield* earlyRetries(pair.endpoint, pair.requests, pair.facts.attempts);
}

function* missingAttempts(requests: readonly ReceivedLine[], facts: DeliveryFacts): Iterable<Finding> {
  const { attempts } = facts;
  // A request under way is not an attempt on record yet.
  const underWay = facts.state === "pending" ? 1 : 0;
  if (requests.length > attempts.length + underWay)
    yield ["missing_attempt", `${requests.length} requests, ${attempts.length} attempts on record`];
  const successes = requests.filter(isSuccess).length;
  if (successes > countOf(facts, "succeeded") + countOf(facts, "unknown") + underWay)
    yield ["missing_attempt", `${successes} successes at the receiver; ${describe(facts)}`];
  if (attempts.some(({ number }, index) => number !== index + 1))
    yield ["missing_attempt", `attempts are numbered ${attempts.map(({ number }) => number).join(", ")}`];
}

/** Once by the log, and once by the receiver's own clock where each request is one attempt. `unknown` ones are due at once. */
function* earlyRetries(
  { retrySchedule }: PlannedEndpoint,
  requests: readonly ReceivedLine[],
  recorded: readonly AttemptFacts[],
): Iterable<Finding> {
  const late = new Set(lateAttempts(recorded));
  const attempts = recorded.filter((attempt) => !late.has(attempt));
  const oneToOne =
    requests.length === attempts.length && attempts.every(({ outcome }) => outcome !== "unknown");
  let failures = 0;
  for (const [index, attempt] of attempts.entries()) {
    if (attempt.outcome === "unknown") continue;
    failures += 1;
    const next = attempts[index + 1];
    const delaySeconds = retrySchedule[failures - 1];
    if (next === undefined || next.outcome === "unknown" || delaySeconds === undefined) continue;
    const loggedMs = next.startedAtMs - attempt.startedAtMs - attempt.durationMs;
    const seenMs = oneToOne
      ? (requests[index + 1]!.receivedUs - requests[index]!.receivedUs) / 1000
      : loggedMs;
    const waitedMs = Math.min(loggedMs, seenMs);
    if (waitedMs < delaySeconds * 1000 * EARLIEST_SHARE - CLOCK_SKEW_MS)
      yield [
        "early_retry",
        `attempt ${next.number} after ${Math.round(waitedMs)} ms, due after ${delaySeconds} s`,
      ];
  }
}

/**
 * Of writers that were taken for dead and came back: begun before the `unknown` attempt that was put on record for them, and
 * told after it. They have no place in the schedule.
 */
export function lateAttempts(attempts: readonly AttemptFacts[]): AttemptFacts[] {
  return attempts.filter(({ startedAtMs }, index) =>
    attempts
      .slice(0, index)
      .some((attempt) => attempt.outcome === "unknown" && startedAtMs < attempt.startedAtMs),
  );
}

/**
 * The verdict: every accepted event x matching endpoint is accounted for, and nothing else was sent. A pure function over
 * the two files of the ledger and what the API says of the deliveries.
 */
import { BREACHES, type Breach, type BreachKind, type DeliveryFacts, pairKey } from "./breach.ts";
import type { AcceptedLine, ReceivedLine } from "./ledger.ts";
import { orderBreaches } from "./order.ts";
import { duplicatesOf, endOf, findings, isSuccess, type Pair } from "./pair.ts";
import { type Plan, wants } from "./plan.ts";

export interface Evidence {
  readonly plan: Plan;
  readonly accepted: readonly AcceptedLine[];
  /** In the order of arrival. */
  readonly received: readonly ReceivedLine[];
  /** By pairKey. A pair that is not in it was not looked up, and must be a single 2xx. */
  readonly facts: ReadonlyMap<string, DeliveryFacts>;
}

export interface Verdict {
  readonly accepted: number;
  /** Accepted events x matching endpoints. */
  readonly expected: number;
  readonly delivered: number;
  /** After every attempt of the schedule. */
  readonly deadLettered: number;
  readonly pending: number;
  readonly requests: number;
  /** Second successes that an `unknown` attempt explains. */
  readonly duplicatesExplained: number;
  readonly breaches: Readonly<Record<BreachKind, number>>;
  /** The first of each kind, to look into. */
  readonly examples: readonly Breach[];
  readonly ok: boolean;
}

const EXAMPLES_PER_KIND = 5;

/** Pairs that are not simply one 2xx: these must be looked up before judging. */
export function pairsToLookUp(evidence: Omit<Evidence, "facts">): Pair[] {
  return pairsOf({ ...evidence, facts: new Map() }).filter(
    ({ requests }) => requests.length !== 1 || !isSuccess(requests[0]!),
  );
}

export function judge(evidence: Evidence): Verdict {
  const pairs = pairsOf(evidence);
  const ends = { delivered: 0, deadLettered: 0, pending: 0, lost: 0 };
  let duplicatesExplained = 0;
  const breaches: Breach[] = [];
  for (const pair of pairs) {
    const end = endOf(pair);
    const { explained, unexplained } = duplicatesOf(pair);
    ends[end] += 1;
    duplicatesExplained += explained;
    const place = { eventId: pair.line.eventId, endpoint: pair.endpoint.name };
    if (end === "lost") breaches.push({ kind: "lost", ...place, detail: whyLost(pair) });
    for (let i = 0; i < unexplained; i++)
      breaches.push({ kind: "duplicate", ...place, detail: `${pair.requests.length} requests` });
    for (const [kind, detail] of findings(pair)) breaches.push({ kind, ...place, detail });
  }
  breaches.push(...strays(evidence, new Set(pairs.map(({ key }) => key))));
  for (const endpoint of evidence.plan) {
    if (endpoint.ordering !== "unordered")
      breaches.push(...orderBreaches(endpoint, evidence.accepted, evidence.received, evidence.facts));
  }
  return {
    accepted: evidence.accepted.length,
    expected: pairs.length,
    delivered: ends.delivered,
    deadLettered: ends.deadLettered,
    pending: ends.pending,
    requests: evidence.received.length,
    duplicatesExplained,
    ...count(breaches),
  };
}

function pairsOf({ plan, accepted, received, facts }: Evidence): Pair[] {
  const byApp = Map.groupBy(plan, ({ app }) => app);
  const requests = Map.groupBy(received, ({ eventId, endpoint }) => pairKey(eventId, endpoint));
  const pairs: Pair[] = [];
  for (const line of accepted) {
    for (const endpoint of byApp.get(line.app) ?? []) {
      if (!wants(endpoint, line.eventType)) continue;
      const key = pairKey(line.eventId, endpoint.name);
      pairs.push({ key, line, endpoint, requests: requests.get(key) ?? [], facts: facts.get(key) });
    }
  }
  return pairs;
}

function whyLost({ facts, requests }: Pair): string {
  if (facts === undefined) return `${requests.length} requests, none answered 2xx, and the API was not asked`;
  const outcomes = facts.attempts.map(({ outcome }) => outcome).join(", ");
  return `${facts.state} ${facts.reason ?? ""} after [${outcomes}], ${requests.length} requests`;
}

/** Requests for no expected pair. */
function* strays({ plan, accepted, received }: Evidence, expected: ReadonlySet<string>): Iterable<Breach> {
  const appOfEvent = new Map(accepted.map(({ eventId, app }) => [eventId, app]));
  const appOfEndpoint = new Map(plan.map(({ name, app }) => [name, app]));
  for (const { eventId, endpoint } of received) {
    if (expected.has(pairKey(eventId, endpoint))) continue;
    const app = appOfEvent.get(eventId);
    const kind = app !== undefined && app !== appOfEndpoint.get(endpoint) ? "wrong_app" : "phantom";
    const detail = app === undefined ? "no publication was answered with this id" : `published to ${app}`;
    yield { kind, eventId, endpoint, detail };
  }
}

function count(breaches: readonly Breach[]): Pick<Verdict, "breaches" | "examples" | "ok"> {
  const counts = Object.fromEntries(Object.keys(BREACHES).map((kind) => [kind, 0])) as Record<
    BreachKind,
    number
  >;
  const examples: Breach[] = [];
  for (const breach of breaches) {
    counts[breach.kind] += 1;
    if (counts[breach.kind] <= EXAMPLES_PER_KIND) examples.push(breach);
  }
  return { breaches: counts, examples, ok: breaches.length === 0 };
}

/** What a ledger can find wrong, and what it asks of the API. */

export const BREACHES = {
  lost: "accepted, but neither delivered, nor waiting, nor dead-lettered after every attempt of its schedule",
  phantom: "sent, but never accepted, or to an endpoint that does not want its type",
  duplicate: "sent again after a 2xx, with no unknown attempt that explains it",
  bad_signature: "the signature does not verify",
  changed_body: "the body is not the one that was accepted",
  missing_attempt: "a request, or its success, is not in the delivery's attempt log",
  early_retry: "sent again earlier than the retry schedule allows",
  wrong_app: "an event of one app reached an endpoint of another",
  out_of_order: "an ordered endpoint got an event before the one ahead of it had ended",
} as const;
export type BreachKind = keyof typeof BREACHES;

export interface Breach {
  readonly kind: BreachKind;
  readonly eventId: string;
  readonly endpoint: string;
  readonly detail: string;
}

/** A delivery as the API shows it, reduced to what the ledger asks. */
export interface DeliveryFacts {
  readonly eventId: string;
  readonly endpointId: string;
  readonly state: string;
  readonly reason: string | null;
  readonly hold: string | null;
  /** When the next attempt is due, as the API writes it; null when final or held. */
  readonly dueAt: string | null;
  readonly attempts: readonly AttemptFacts[];
}

export interface AttemptFacts {
  readonly number: number;
  readonly outcome: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
}

/** Names a pair of event and endpoint. */
export function pairKey(eventId: string, endpoint: string): string {
  return `${eventId} ${endpoint}`;
}

export function countOf(facts: DeliveryFacts | undefined, outcome: string): number {
  return facts?.attempts.filter((attempt) => attempt.outcome === outcome).length ?? 0;
}

export function describe(facts: DeliveryFacts): string {
  const outcomes = facts.attempts.map(({ outcome }) => outcome).join(", ");
  return `${facts.state}${facts.reason === null ? "" : ` (${facts.reason})`} after [${outcomes}]`;
}

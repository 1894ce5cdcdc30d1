/**
 * Judges the order of an ordered endpoint. The publisher of an ordered app waits for each answer, so its sequence is the
 * order of acceptance. A request may come only when everything ahead of it, in its lane or key, has ended; so requests
 * never run backwards. But a node that was taken for dead and wakes may still send what another one has sent since: a late
 * repeat is no breach, as often as the delivery has an `unknown` attempt. Where an event belongs says its first arrival.
 */
import { type Breach, countOf, type DeliveryFacts, pairKey } from "./breach.ts";
import type { AcceptedLine, ReceivedLine } from "./ledger.ts";
import { isSuccess } from "./pair.ts";
import { type PlannedEndpoint, wants } from "./plan.ts";

/** A lane, or the part of it that shares an ordering key. */
interface Line {
  /** What has not ended yet, in order. */
  readonly ahead: AcceptedLine[];
  furthest: number;
}

/** @param received in the order of arrival */
export function* orderBreaches(
  endpoint: PlannedEndpoint,
  accepted: readonly AcceptedLine[],
  received: readonly ReceivedLine[],
  facts: ReadonlyMap<string, DeliveryFacts>,
): Iterable<Breach> {
  const mine = accepted.filter((event) => event.app === endpoint.app && wants(endpoint, event.eventType));
  const byId = new Map(mine.map((event) => [event.eventId, event]));
  const keyOf = ({ orderingKey }: AcceptedLine) => (endpoint.ordering === "keyed" ? orderingKey : "");
  const lines = new Map<string, Line>();
  for (const [key, ahead] of Map.groupBy(
    mine.toSorted((a, b) => a.sequence - b.sequence),
    keyOf,
  ))
    lines.set(key, { ahead, furthest: -1 });
  const succeeded = new Set<string>();
  /** Late repeats that may still come, by event; an event is in it once it has arrived. */
  const repeats = new Map<string, number>();

  for (const request of received) {
    const event = request.endpoint === endpoint.name ? byId.get(request.eventId) : undefined;
    if (event === undefined) continue;
    const line = lines.get(keyOf(event))!;
    while (line.ahead[0] !== undefined && line.ahead[0].sequence < event.sequence && hasEnded(line.ahead[0]))
      line.ahead.shift();
    const detail = complaint(line, event.sequence);
    if (detail !== null && !isLateRepeat(event, line))
      yield { kind: "out_of_order", eventId: event.eventId, endpoint: endpoint.name, detail };
    line.furthest = Math.max(line.furthest, event.sequence);
    if (!repeats.has(event.eventId)) repeats.set(event.eventId, unknownsOf(event));
    if (isSuccess(request)) succeeded.add(event.eventId);
  }

  function isLateRepeat({ eventId, sequence }: AcceptedLine, { furthest }: Line): boolean {
    const left = repeats.get(eventId) ?? 0;
    if (sequence >= furthest || left === 0) return false;
    repeats.set(eventId, left - 1);
    return true;
  }

  function unknownsOf({ eventId }: AcceptedLine): number {
    return countOf(facts.get(pairKey(eventId, endpoint.name)), "unknown");
  }

  function hasEnded({ eventId }: AcceptedLine): boolean {
    return succeeded.has(eventId) || facts.get(pairKey(eventId, endpoint.name))?.state === "dead_lettered";
  }
}

function complaint(line: Line, sequence: number): string | null {
  if (sequence < line.furthest) return `number ${sequence} after number ${line.furthest}`;
  const first = line.ahead[0];
  if (first !== undefined && first.sequence < sequence)
    return `number ${sequence} before number ${first.sequence} had ended`;
  return null;
}

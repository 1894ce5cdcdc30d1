/**
 * Judges the order of an ordered endpoint. The publisher of an ordered app waits for each answer, so its sequence is the
 * order of acceptance. A request may come only when everything ahead of it, in its lane or key, has ended; so requests
 * never run backwards.
 */
import { type Breach, type DeliveryFacts, pairKey } from "./breach.ts";
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

  for (const request of received) {
    const event = request.endpoint === endpoint.name ? byId.get(request.eventId) : undefined;
    if (event === undefined) continue;
    const line = lines.get(keyOf(event))!;
    while (line.ahead[0] !== undefined && line.ahead[0].sequence < event.sequence && hasEnded(line.ahead[0]))
      line.ahead.shift();
    const detail = complaint(line, event.sequence);
    if (detail !== null)
      yield { kind: "out_of_order", eventId: event.eventId, endpoint: endpoint.name, detail };
    line.furthest = Math.max(line.furthest, event.sequence);
    if (isSuccess(request)) succeeded.add(event.eventId);
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

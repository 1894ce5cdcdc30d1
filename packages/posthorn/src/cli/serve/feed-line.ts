/** One line for what happened to a delivery. */
import { unreachable } from "../../base/errors.ts";
import type { AttemptOutcome } from "../../domain/attempt.ts";
import type { FeedEntry } from "../../engine/feed.ts";
import { colour } from "../output/output.ts";

/** null: the attempt's own line has said it. */
export function feedLine(entry: FeedEntry, now: Date = new Date()): string | null {
  const time = colour("dim", now.toISOString().slice(11, 23));
  switch (entry.kind) {
    case "attempt": {
      const { eventType, eventId, endpointId, number, outcome, durationMs } = entry;
      const took = colour("dim", `${Math.round(durationMs)} ms`);
      return `${time} ${outcomeText(outcome)} ${eventType} ${eventId} -> ${endpointId} attempt ${number} ${took}${nextText(entry.next)}`;
    }
    case "final":
      if (entry.state === "delivered") return null;
      return `${time} ${colour("red", entry.state)} ${entry.eventId} -> ${entry.endpointId} (${entry.reason ?? "-"})`;
    default:
      return unreachable(entry, "feed entry");
  }
}

function outcomeText(outcome: AttemptOutcome): string {
  switch (outcome.kind) {
    case "succeeded":
      return colour("green", `✓ ${outcome.status}`);
    case "rejected":
      return colour("red", `✗ ${outcome.status}${outcome.cause === undefined ? "" : ` ${outcome.cause}`}`);
    case "timed_out":
      return colour("red", `✗ timeout (${outcome.phase})`);
    case "unreachable":
      return colour("red", `✗ ${outcome.cause}`);
    case "invalid":
      return colour("red", "✗ invalid");
    case "unknown":
      return colour("yellow", "? unknown");
    default:
      return unreachable(outcome, "outcome");
  }
}

function nextText(next: Extract<FeedEntry, { kind: "attempt" }>["next"]): string {
  if (typeof next !== "string") return `, again in ${secondsText(next.retryInMs)}`;
  return next === "delivered" ? "" : `, ${next}`;
}

function secondsText(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

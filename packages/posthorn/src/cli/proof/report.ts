/** Shows a verdict as a table. */
import { colour, print, printTable } from "../output/output.ts";
import { BREACHES, type BreachKind } from "./breach.ts";
import type { Verdict } from "./verdict.ts";

export function printVerdict(verdict: Verdict): void {
  printTable(
    ["ledger", "count"],
    [
      ["events accepted", verdict.accepted],
      ["deliveries expected", verdict.expected],
      ["delivered", verdict.delivered],
      ["dead-lettered after every attempt", verdict.deadLettered],
      ["waiting", verdict.pending],
      ["requests received", verdict.requests],
      ["duplicates that an unknown attempt explains", verdict.duplicatesExplained],
    ],
  );
  print("");
  printTable(
    ["must be 0", "count", ""],
    (Object.entries(verdict.breaches) as [BreachKind, number][]).map(([kind, count]) => [
      kind.replaceAll("_", " "),
      count,
      count === 0 ? "" : BREACHES[kind],
    ]),
  );
  for (const { kind, eventId, endpoint, detail } of verdict.examples)
    print(`  ${kind} ${eventId} at ${endpoint}: ${detail}`);
  print("");
  print(
    verdict.ok
      ? colour("green", "Ledger: every accepted event is accounted for.")
      : colour("red", "Ledger: BROKEN."),
  );
}

// What a cluster run has found, and whether that is what it must show.
import { printTable } from "../src/cli/output/output.ts";
import { printVerdict } from "../src/cli/proof/report.ts";
import type { Verdict } from "../src/cli/proof/verdict.ts";
import type { DurabilitySettings } from "./cluster-database.ts";
import type { Fault, Recovery } from "./cluster-faults.ts";

/** Of the endpoint that has a rate limit. */
export const LIMITED_PER_SECOND = 50;

export interface ClusterRunResult {
  readonly verdict: Verdict;
  readonly quiet: boolean;
  readonly faults: Readonly<Record<Fault["kind"], number>>;
  readonly recoveries: readonly Recovery[];
  /** At the healthy endpoint. */
  readonly longestGapMs: number;
  /** Requests of the rate-limited endpoint within ten seconds, at the most. */
  readonly limitedWithin10s: number;
  readonly unanswered: number;
  readonly unavailable: number;
  /** Nodes that ended by themselves. */
  readonly exits: readonly string[];
  /** How often the nodes' logs say that leases were taken over, and that a node given up has come back. */
  readonly rescues: number;
  readonly rejoins: number;
  /** Outcomes of attempts that were told by a node given up meanwhile. */
  readonly late: number;
  /** Warnings and errors in the nodes' logs, by message. */
  readonly complaints: ReadonlyMap<string, number>;
  readonly settings: DurabilitySettings;
}

/** What a run must show, beside the verdict; a sentence for each thing that it does not. */
export function shortfalls(result: ClusterRunResult): string[] {
  const { verdict, quiet, exits, recoveries, settings } = result;
  const late = recoveries.filter(({ recoveredMs }) => recoveredMs === null || recoveredMs > 5000);
  return [
    ...(verdict.ok ? [] : ["The ledger is broken."]),
    ...(quiet && verdict.pending === 0 ? [] : [`${verdict.pending} deliveries still wait.`]),
    ...exits,
    ...late.map(({ fault }) => `After ${fault} the rate was not back within 5 s.`),
    ...(settings.fsync === "on" && settings.synchronousCommit === "on" ? [] : ["fsync was off."]),
  ];
}

export function printResult(result: ClusterRunResult): void {
  const { faults, recoveries } = result;
  const ms = (value: number | null) => (value === null ? "-" : Math.round(value));
  printTable(
    ["fault", "rate before", "away ms", "80 % of it after ms"],
    recoveries.map(({ fault, perSecond, awayMs, recoveredMs }) => [
      fault,
      ms(perSecond),
      ms(awayMs),
      ms(recoveredMs),
    ]),
  );
  console.log("");
  printTable(
    ["run", "count"],
    [
      ["nodes killed", faults.kill],
      ["nodes stopped until given up, and woken", faults.stop],
      ["database restarted", faults.restart],
      ["all connections cut", faults.terminate],
      ["log: leases taken over", result.rescues],
      ["log: nodes given up that came back", result.rejoins],
      ["attempts told late, by a node given up", result.late],
      ["publications cut off or unanswered, and repeated", result.unanswered],
      ["publications answered 503, and repeated", result.unavailable],
      ["longest gap at the healthy endpoint, ms", Math.round(result.longestGapMs)],
      [`most within 10 s at the endpoint with ${LIMITED_PER_SECOND}/s`, result.limitedWithin10s],
      ...[...result.complaints].map(([message, count]): [string, number] => [`log ${message}`, count]),
    ],
  );
  console.log("");
  printVerdict(result.verdict);
}

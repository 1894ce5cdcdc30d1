/** The bench: runs scenarios one after another and collects what they found. */
import { Workspace } from "../proof/workspace.ts";
import { type DatabaseFacts, describeDatabase } from "./database.ts";
import { calibrate, describeMachine, type Machine } from "./machine.ts";
import type { BenchOptions, Outcome, Scenario } from "./scenario.ts";
import { backlog } from "./scenarios/backlog.ts";
import { fanOut } from "./scenarios/fan-out.ts";
import { hanging } from "./scenarios/hanging.ts";
import { maximum } from "./scenarios/maximum.ts";
import { queue } from "./scenarios/queue.ts";
import { queueHeld } from "./scenarios/queue-held.ts";
import { stats } from "./scenarios/stats.ts";
import { steady } from "./scenarios/steady.ts";
import { stored } from "./scenarios/stored.ts";
import { twoNodes } from "./scenarios/two-nodes.ts";

export const SCENARIOS: readonly Scenario[] = [
  steady,
  maximum,
  twoNodes,
  fanOut,
  hanging,
  backlog,
  stats,
  queue,
  queueHeld,
  stored,
];

/** Those that can be run on this store. */
export function scenariosFor({ store }: Pick<BenchOptions, "store">): Scenario[] {
  const kind = store === null ? "sqlite" : "postgres";
  return SCENARIOS.filter(({ stores }) => stores.includes(kind));
}

/** What is chosen beside the store. */
type Chosen = Omit<BenchOptions, "say" | "store">;

export const FULL = {
  seconds: 30,
  warmUpSeconds: 10,
  connections: 32,
  dataBytes: 1024,
  backlog: 1_000_000,
  stored: { sqlite: [1_000, 10_000, 100_000, 1_000_000], postgres: [10_000, 10_000_000] },
  pairs: 7,
  holdSeconds: 300,
} as const satisfies Chosen;

/** Shows that everything works, and roughly how fast. */
export const QUICK = {
  ...FULL,
  seconds: 4,
  warmUpSeconds: 1,
  backlog: 20_000,
  stored: { sqlite: [1_000, 20_000], postgres: [1_000, 100_000] },
  pairs: 2,
  holdSeconds: 10,
} as const satisfies Chosen;

export interface ScenarioResult extends Outcome {
  readonly name: string;
  readonly description: string;
  /** Calibration just before it, microseconds. */
  readonly hmacUs: number;
  readonly seconds: number;
}

export interface BenchResult {
  readonly machine: Machine;
  /** null: SQLite. */
  readonly database: DatabaseFacts | null;
  readonly options: Chosen;
  readonly scenarios: readonly ScenarioResult[];
  /** False: something was lost or changed. Missed targets do not count. */
  readonly ok: boolean;
}

export async function runBench(
  scenarios: readonly Scenario[],
  options: BenchOptions,
  onResult: (result: ScenarioResult) => void,
): Promise<BenchResult> {
  const machine = describeMachine();
  const database = options.store === null ? null : await describeDatabase(options.store);
  const results: ScenarioResult[] = [];
  for (const scenario of scenarios) {
    options.say(`Running ${scenario.name} ...`);
    const result = await runOne(scenario, options);
    results.push(result);
    onResult(result);
  }
  const { say: _, store: __, ...told } = options;
  const ok = results.every(({ verdicts }) => verdicts.every((verdict) => verdict.ok));
  return { machine, database, options: told, scenarios: results, ok };
}

async function runOne(scenario: Scenario, options: BenchOptions): Promise<ScenarioResult> {
  const { name, description } = scenario;
  const hmacUs = calibrate();
  const startMs = performance.now();
  const workspace = new Workspace(`bench-${name}`);
  try {
    const outcome = await scenario.run(workspace, options);
    return { name, description, hmacUs, seconds: (performance.now() - startMs) / 1000, ...outcome };
  } finally {
    await workspace.close();
  }
}

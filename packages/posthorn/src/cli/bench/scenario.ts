/** A scenario of the bench: what it does, and what it found. */
import type { Verdict } from "../proof/verdict.ts";
import type { Workspace } from "../proof/workspace.ts";
import type { Figure } from "./figure.ts";

export interface BenchOptions {
  /** Measured, in all windows of a scenario together. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly connections: number;
  readonly dataBytes: number;
  /** Deliveries that wait for the dead endpoint. */
  readonly backlog: number;
  /** How many events are stored before the cost of one is measured; ascending. */
  readonly stored: Readonly<Record<StoreKind, readonly number[]>>;
  /** Pairs of windows whose ratio is told. */
  readonly pairs: number;
  /** How long an idle transaction keeps dead rows from being cleared away, before that is measured. */
  readonly holdSeconds: number;
  /** URL of a PostgreSQL server; null: SQLite, in a data directory. */
  readonly store: string | null;
  readonly say: (text: string) => void;
}

export interface Outcome {
  readonly figures: readonly Figure[];
  readonly verdicts: readonly Verdict[];
}

export type StoreKind = "sqlite" | "postgres";

export interface Scenario {
  readonly name: string;
  readonly stores: readonly StoreKind[];
  readonly description: string;
  run(workspace: Workspace, options: BenchOptions): Promise<Outcome>;
}

/** The usual: 20 apps with one endpoint each. */
export function usual({ connections, dataBytes, store }: BenchOptions) {
  return { name: "bench", apps: 20, endpointsPerApp: 1, connections, dataBytes, store };
}

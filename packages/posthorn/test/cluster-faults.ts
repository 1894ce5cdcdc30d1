// What is done to a cluster: nodes killed and stopped, the database restarted, its connections cut; at moments drawn from a seed.
import { setTimeout as wait } from "node:timers/promises";
import { terminateBackends } from "./cluster-database.ts";
import type { Meter } from "./cluster-meter.ts";
import type { Cluster } from "./cluster-nodes.ts";
import type { PostgresServer } from "./postgres-server.ts";

export type Fault =
  | { readonly kind: "kill"; readonly downMs: number }
  /** Until the others have given it up, and so much longer. */
  | { readonly kind: "stop"; readonly furtherMs: number }
  | { readonly kind: "restart"; readonly mode: "fast" | "immediate"; readonly downMs: number }
  | { readonly kind: "terminate" };

export interface FaultWishes {
  /** Nodes killed or stopped. */
  readonly faults: number;
  readonly restarts: number;
  readonly terminations: number;
}

/** How the cluster came back after a fault of the database. */
export interface Recovery {
  readonly fault: string;
  /** At the healthy endpoint, in the second and a half before. */
  readonly perSecond: number;
  /** Until the database took connections again. */
  readonly awayMs: number;
  /** From then until the rate was 80 % of what it had been; null: not within RECOVERY_MS_MAX. */
  readonly recoveredMs: number | null;
}

export interface FaultTarget {
  readonly cluster: Cluster;
  readonly postgres: PostgresServer;
  readonly meter: Meter;
  readonly random: () => number;
  /** Resolves when so large a part of the run is over. */
  reached(share: number): Promise<void>;
  readonly say: (text: string) => void;
}

const STOPPED_SHARE = 0.4;
const DOWN_MS_MAX = 1000;
const FURTHER_MS_MAX = 1000;
const FULL_RATE_SHARE = 0.8;
const RECOVERY_MS_MAX = 15_000;
/** So that there is a steady rate to come back to. */
const CALM_MS = 1500;

/** All faults of a run, shuffled. */
export function planFaults(wishes: FaultWishes, random: () => number): Fault[] {
  const { faults, restarts, terminations } = wishes;
  const stops = Math.round(faults * STOPPED_SHARE);
  const plan = [
    ...list(stops, (): Fault => ({ kind: "stop", furtherMs: random() * FURTHER_MS_MAX })),
    ...list(faults - stops, (): Fault => ({ kind: "kill", downMs: random() * DOWN_MS_MAX })),
    ...list(restarts, (index): Fault => {
      return {
        kind: "restart",
        mode: index % 2 === 0 ? "immediate" : "fast",
        downMs: random() * DOWN_MS_MAX,
      };
    }),
    ...list(terminations, (): Fault => ({ kind: "terminate" })),
  ];
  for (let last = plan.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [plan[last], plan[other]] = [plan[other]!, plan[last]!];
  }
  return plan;
}

/**
 * Spreads the faults over the run. Nodes may be down or stopped at once, as long as one is up; a fault of the database
 * waits until all are up, and the next fault until it has been measured how the cluster came back.
 */
export async function inflict(plan: readonly Fault[], target: FaultTarget): Promise<Recovery[]> {
  const { cluster, random, reached, say } = target;
  const recoveries: Recovery[] = [];
  const underWay: Promise<void>[] = [];
  const failures: unknown[] = [];
  const begin = (fault: Promise<void>) => underWay.push(fault.catch((error) => void failures.push(error)));
  for (const [index, fault] of plan.entries()) {
    await reached((index + random()) / plan.length);
    if (failures.length > 0) throw failures[0];
    switch (fault.kind) {
      case "kill": {
        const name = await anyNode(target);
        say(`kill ${name}`);
        begin(cluster.kill(name, fault.downMs));
        break;
      }
      case "stop": {
        const name = await anyNode(target);
        say(`stop ${name}`);
        begin(stopped(name, fault.furtherMs, target));
        break;
      }
      case "restart":
      case "terminate": {
        await until(() => cluster.names("up").length === cluster.size);
        await wait(CALM_MS);
        recoveries.push(await measured(fault, target));
      }
    }
  }
  await Promise.all(underWay);
  if (failures.length > 0) throw failures[0];
  return recoveries;
}

async function stopped(name: string, furtherMs: number, { cluster, say }: FaultTarget): Promise<void> {
  const givenUp = await cluster.stop(name, furtherMs);
  say(`${name} woken${givenUp ? "" : ", though nobody had given it up"}`);
}

/** One that is up, and not the last. */
async function anyNode({ cluster, random }: FaultTarget): Promise<string> {
  await until(() => cluster.names("up").length > 1);
  const up = cluster.names("up");
  return up[Math.floor(random() * up.length)]!;
}

async function measured(
  fault: Extract<Fault, { kind: "restart" | "terminate" }>,
  { postgres, meter, say }: FaultTarget,
): Promise<Recovery> {
  const perSecond = meter.rateBefore();
  const startMs = performance.now();
  const name = await breakDatabase(fault, postgres);
  const awayMs = performance.now() - startMs;
  const recoveredMs = await meter.untilAtLeast(FULL_RATE_SHARE * perSecond, RECOVERY_MS_MAX);
  const back = recoveredMs === null ? "not back in time" : `back ${Math.round(recoveredMs)} ms later`;
  say(`${name}: away for ${Math.round(awayMs)} ms, ${back} (${Math.round(perSecond)}/s before)`);
  return { fault: name, perSecond, awayMs, recoveredMs };
}

async function breakDatabase(
  fault: Extract<Fault, { kind: "restart" | "terminate" }>,
  postgres: PostgresServer,
): Promise<string> {
  if (fault.kind === "restart") {
    await postgres.halt(fault.mode);
    await wait(fault.downMs);
    await postgres.start();
    return `restart (${fault.mode})`;
  }
  return `terminate (${await terminateBackends(postgres.url)} backends)`;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await wait(50);
}

function list(count: number, make: (index: number) => Fault): Fault[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

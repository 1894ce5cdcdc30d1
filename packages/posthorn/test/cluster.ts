// npm run cluster -- --nodes 3 --events 200000 --faults 50 --restarts 5 --terminations 5 [--seed S]: several nodes on one
// PostgreSQL, killed and stopped at random moments under load, the database restarted and its connections cut; at the end
// the ledger judges.
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { deliveriesOf } from "../src/cli/proof/deliveries.ts";
import { LedgerFile, readAccepted, readReceived } from "../src/cli/proof/ledger.ts";
import { lateAttempts } from "../src/cli/proof/pair.ts";
import type { PlannedEndpoint } from "../src/cli/proof/plan.ts";
import { seededRandom } from "../src/cli/proof/random.ts";
import { type Behaviour, type Receiver, startReceiver } from "../src/cli/proof/receiver.ts";
import { createApps, createEndpoint, untilQuiet } from "../src/cli/proof/setup.ts";
import { judge, pairsToLookUp } from "../src/cli/proof/verdict.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { durabilitySettings } from "./cluster-database.ts";
import { type Fault, inflict, planFaults } from "./cluster-faults.ts";
import { longestGapMs, mostWithin, startMeter } from "./cluster-meter.ts";
import { Cluster } from "./cluster-nodes.ts";
import { type ClusterPublishing, publishToCluster } from "./cluster-publishers.ts";
import { type ClusterRunResult, LIMITED_PER_SECOND, printResult, shortfalls } from "./cluster-report.ts";
import type { Stream } from "./crash-publishers.ts";
import { startPostgres } from "./postgres-server.ts";

export interface ClusterRunOptions {
  readonly nodes: number;
  /** At least: publishing goes on until the last fault is over. */
  readonly events: number;
  /** Nodes killed or stopped. */
  readonly faults: number;
  readonly restarts: number;
  readonly terminations: number;
  readonly seed: number;
  /** Publications, at most; at least 250. */
  readonly perSecond: number;
  /** After so much silence a node is given up; it says six times as often that it lives. */
  readonly deadAfterMs: number;
  readonly say: (text: string) => void;
  /** Where the logs of the nodes are kept; null: nowhere. */
  readonly logs: string | null;
}

const TIMEOUT_MS = 1500;
const FLAKY: Behaviour = { kind: "flaky", share: 0.2, lateMs: null };
const ENDPOINTS: readonly { app: string; name: string; behaviour: Behaviour; settings?: object }[] = [
  { app: "bulk", name: "healthy", behaviour: { kind: "healthy" } },
  { app: "plain", name: "slow", behaviour: { kind: "slow", afterMs: 100 } },
  {
    app: "plain",
    name: "flaky",
    behaviour: { ...FLAKY, lateMs: TIMEOUT_MS + 300 },
    settings: { timeoutMs: TIMEOUT_MS },
  },
  { app: "fifo", name: "fifo-healthy", behaviour: { kind: "healthy" }, settings: { ordering: "fifo" } },
  { app: "fifo", name: "fifo-flaky", behaviour: FLAKY, settings: { ordering: "fifo" } },
  { app: "keyed", name: "keyed-flaky", behaviour: FLAKY, settings: { ordering: "keyed" } },
  {
    app: "limited",
    name: "limited",
    behaviour: { kind: "healthy" },
    settings: { rateLimitPerSecond: LIMITED_PER_SECOND },
  },
  // Dead-letters everything, and with it tries the breaker.
  { app: "failing", name: "failing", behaviour: { kind: "failing" }, settings: { retrySchedule: [0.1] } },
];
const APPS = [...new Set(ENDPOINTS.map(({ app }) => app))];
const RETRY_SCHEDULE = new Array<number>(30).fill(0.1);
const FLAGS = ["--breaker-probe-every-ms", "50", "--overload-delay-ms", "100"];
const QUIET_WITHIN_MS = 120_000;
const ANSWERED_WITHIN_MS = 60_000;
/** A run in which nothing moves any more must end. */
const STALLED_MS = 60_000;

export async function runCluster(options: ClusterRunOptions): Promise<ClusterRunResult> {
  const { seed, say } = options;
  const workspace = new Workspace("cluster");
  const random = seededRandom(seed);
  try {
    const postgres = await startPostgres();
    workspace.atEnd(() => postgres.destroy());
    const ledgerFile = workspace.file("received.tsv");
    const receiver = await startReceiver({ ledgerFile, random: seededRandom(seed + 1) });
    workspace.atEnd(() => receiver.close());
    const { key } = generateApiKey();
    const cluster = await Cluster.start({
      nodes: options.nodes,
      store: postgres.url,
      key,
      masterKey: randomBytes(32).toString("base64"),
      flags: [...FLAGS, ...heartbeatFlags(options.deadAfterMs)],
      dataDir: (node) => workspace.file(node),
      ...logTo(options.logs),
    });
    workspace.atEnd(() => cluster.close());
    const plan = await makeEndpoints(cluster, receiver);
    const ledger = new LedgerFile(workspace.file("accepted.tsv"));
    const publishing = publishToCluster(streamsOf(options.perSecond), {
      nodes: cluster.targets,
      key,
      ledger,
    });
    workspace.atEnd(() => publishing.abort());
    const meter = startMeter(() => receiver.counts("healthy").requests);
    workspace.atEnd(() => meter.close());

    const faults = planFaults(options, random);
    const reached = (share: number) => untilAccepted(publishing, share * options.events);
    const recoveries = await inflict(faults, { cluster, postgres, meter, random, reached, say });
    await reached(1);
    say(`${publishing.accepted()} events, all faults over. Waiting until nothing is pending ...`);
    await answered(publishing);
    ledger.close();
    const quiet = await untilQuiet(cluster.client, APPS, QUIET_WITHIN_MS);
    receiver.flush();
    say(quiet ? "Quiet. Judging ..." : "Not quiet. Judging ...");
    const accepted = readAccepted(workspace.file("accepted.tsv"));
    const received = readReceived(ledgerFile);
    const pairs = pairsToLookUp({ plan, accepted, received });
    const facts = await deliveriesOf(cluster.client, plan, pairs);
    return {
      verdict: judge({ plan, accepted, received, facts }),
      quiet,
      faults: countKinds(faults),
      recoveries,
      longestGapMs: longestGapMs(received, "healthy"),
      limitedWithin10s: mostWithin(received, "limited", 10_000),
      unanswered: publishing.unanswered(),
      unavailable: publishing.unavailable(),
      exits: cluster.exits,
      rescues: cluster.logged("deliveries.rescued"),
      rejoins: cluster.logged("node.rejoined"),
      late: [...facts.values()].reduce((sum, { attempts }) => sum + lateAttempts(attempts).length, 0),
      complaints: cluster.complaints,
      settings: await durabilitySettings(postgres.url),
    };
  } finally {
    await workspace.close();
  }
}

async function makeEndpoints(cluster: Cluster, receiver: Receiver): Promise<PlannedEndpoint[]> {
  await createApps(cluster.client, APPS);
  const plan: PlannedEndpoint[] = [];
  for (const { settings, ...wish } of ENDPOINTS) {
    const made = await createEndpoint(cluster.client, `http://127.0.0.1:${receiver.port}`, {
      ...wish,
      settings: { retrySchedule: RETRY_SCHEDULE, ...settings },
    });
    receiver.set([made.received]);
    plan.push(made.planned);
  }
  return plan;
}

function heartbeatFlags(deadAfterMs: number): string[] {
  return ["--dead-after-ms", String(deadAfterMs), "--heartbeat-ms", String(Math.round(deadAfterMs / 6))];
}

/** What order, keys and the limit bear; the rest goes to the healthy endpoint. */
function streamsOf(perSecond: number): Stream[] {
  const others: Stream[] = [
    { app: "plain", publishers: 2, perSecond: 10 },
    { app: "fifo", publishers: 1, perSecond: 20 },
    { app: "keyed", publishers: 1, perSecond: 40, orderingKeys: ["a", "b", "c", "d", "e"] },
    { app: "limited", publishers: 2, perSecond: 15 },
    { app: "failing", publishers: 1, perSecond: 3 },
  ];
  const rest = others.reduce((left, stream) => left - stream.publishers * stream.perSecond, perSecond);
  return [...others, { app: "bulk", publishers: Math.max(4, Math.round(rest / 20)), perSecond: 20 }];
}

async function untilAccepted(publishing: ClusterPublishing, events: number): Promise<void> {
  let last = { count: -1, atMs: 0 };
  while (publishing.accepted() < events) {
    const count = publishing.accepted();
    const atMs = performance.now();
    if (count > last.count) last = { count, atMs };
    if (atMs - last.atMs > STALLED_MS) throw new Error(`Nothing is accepted any more after ${count} events.`);
    await wait(20);
  }
}

/** Every publication must have its answer: one without would be neither accepted nor a phantom. */
async function answered(publishing: ClusterPublishing): Promise<void> {
  const deadline = new AbortController();
  const late = wait(ANSWERED_WITHIN_MS, "late", { signal: deadline.signal }).catch(() => "closed");
  const outcome = await Promise.race([publishing.stop(), late]);
  deadline.abort();
  if (outcome === "late") throw new Error(`A publisher got no answer for ${ANSWERED_WITHIN_MS / 1000} s.`);
}

function countKinds(faults: readonly Fault[]): Record<Fault["kind"], number> {
  const counts = { kill: 0, stop: 0, restart: 0, terminate: 0 };
  for (const { kind } of faults) counts[kind] += 1;
  return counts;
}

function logTo(directory: string | null): { onLog?: (node: string, line: string) => void } {
  if (directory === null) return {};
  mkdirSync(directory, { recursive: true });
  return { onLog: (node, line) => appendFileSync(path.join(directory, `${node}.log`), `${line}\n`) };
}

if (import.meta.main) {
  const number = (value: number) => ({ type: "string", default: String(value) }) as const;
  const { values } = parseArgs({
    options: {
      nodes: number(3),
      events: number(200_000),
      faults: number(50),
      restarts: number(5),
      terminations: number(5),
      seed: number(Math.floor(Math.random() * 2 ** 32)),
      rate: number(800),
      "dead-after-ms": number(3000),
      logs: { type: "string" },
    },
  });
  const { logs, rate, "dead-after-ms": deadAfterMs, ...counts } = values;
  const given = Object.entries(counts).map(([name, value]) => [name, Number(value)]);
  console.log(`Cluster run: ${given.map((pair) => pair.join(" ")).join(", ")}`);
  const startMs = performance.now();
  const result = await runCluster({
    ...(Object.fromEntries(given) as Record<keyof typeof counts, number>),
    perSecond: Number(rate),
    deadAfterMs: Number(deadAfterMs),
    logs: logs ?? null,
    say: (text) => console.error(`${((performance.now() - startMs) / 1000).toFixed(1)} s: ${text}`),
  });
  printResult(result);
  const missing = shortfalls(result);
  for (const sentence of missing) console.log(sentence);
  if (missing.length > 0)
    console.log(
      `The same faults again: npm run cluster -- ${given.map(([name, value]) => `--${name} ${value}`).join(" ")}`,
    );
  process.exitCode = missing.length === 0 ? 0 : 1;
}

// npm run crash -- --kills N [--seed S]: kills the server with SIGKILL at random moments under load, starts it again on the
// same data directory, and at the end lets the ledger judge.
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { allDeliveries } from "../src/cli/proof/deliveries.ts";
import { LedgerFile, readAccepted, readReceived } from "../src/cli/proof/ledger.ts";
import type { PlannedEndpoint } from "../src/cli/proof/plan.ts";
import { seededRandom } from "../src/cli/proof/random.ts";
import { type Behaviour, startReceiver } from "../src/cli/proof/receiver.ts";
import { printVerdict } from "../src/cli/proof/report.ts";
import { type ServerProcess, startServer } from "../src/cli/proof/server-process.ts";
import { createApps, createEndpoint, untilQuiet } from "../src/cli/proof/setup.ts";
import { judge, type Verdict } from "../src/cli/proof/verdict.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { publishStreams, type Stream } from "./crash-publishers.ts";

export interface CrashOptions {
  readonly kills: number;
  readonly seed: number;
  /** 1: about 120 events a second. */
  readonly load: number;
  readonly say: (text: string) => void;
}

export interface CrashResult {
  readonly verdict: Verdict;
  readonly quiet: boolean;
  readonly kills: number;
  /** Kills while it was starting. */
  readonly killsInStart: number;
  /** Publications whose answer a kill cut off; they were repeated under the same idempotency key. */
  readonly unanswered: number;
  /** From the start of the process until it listens, longest. */
  readonly startMsMax: number;
}

const FLAKY: Behaviour = { kind: "flaky", share: 0.2, lateMs: null };
const TIMEOUT_MS = 1000;
const ENDPOINTS: readonly { app: string; name: string; behaviour: Behaviour; settings?: object }[] = [
  { app: "plain", name: "healthy", behaviour: { kind: "healthy" } },
  { app: "plain", name: "slow", behaviour: { kind: "slow", afterMs: 100 } },
  { app: "plain", name: "flaky", behaviour: { ...FLAKY, lateMs: TIMEOUT_MS + 500 } },
  { app: "fifo", name: "fifo-healthy", behaviour: { kind: "healthy" }, settings: { ordering: "fifo" } },
  { app: "fifo", name: "fifo-flaky", behaviour: FLAKY, settings: { ordering: "fifo" } },
  { app: "keyed", name: "keyed-flaky", behaviour: FLAKY, settings: { ordering: "keyed" } },
  // Dead-letters everything, and with it tries the breaker.
  { app: "failing", name: "failing", behaviour: { kind: "failing" }, settings: { retrySchedule: [0.1] } },
];
const APPS = [...new Set(ENDPOINTS.map(({ app }) => app))];
const RETRY_SCHEDULE = new Array<number>(30).fill(0.1);
const FLAGS = ["--breaker-probe-every-ms", "50", "--overload-delay-ms", "100", "--log-level", "warn"];
const LIFE_MS = { least: 150, most: 1200 };
/** Share of the starts that are killed before the server listens. */
const KILLED_IN_START = 0.2;
const QUIET_WITHIN_MS = 120_000;

export async function runCrash(options: CrashOptions): Promise<CrashResult> {
  const workspace = new Workspace("crash");
  const random = seededRandom(options.seed);
  try {
    const receiver = await startReceiver({
      ledgerFile: workspace.file("received.tsv"),
      random: seededRandom(options.seed + 1),
    });
    workspace.atEnd(() => receiver.close());
    const { key } = generateApiKey();
    const dataDir = workspace.file("data");
    const { server: first, plan, port } = await firstStart(receiver, { dataDir, key });
    let server: ServerProcess = first;
    workspace.atEnd(async () => {
      server.kill("SIGKILL");
      await server.exited;
    });
    const ledger = new LedgerFile(workspace.file("accepted.tsv"));
    const publishing = publishStreams(streamsOf(options.load), { port, key, ledger });
    const result = { kills: 0, killsInStart: 0, startMsMax: 0 };
    while (result.kills < options.kills) {
      await wait(LIFE_MS.least + random() * (LIFE_MS.most - LIFE_MS.least));
      server.kill("SIGKILL");
      await server.exited;
      result.kills += 1;
      while (result.kills < options.kills && random() < KILLED_IN_START) {
        await killInStart({ dataDir, key, port, afterMs: random() * 400 });
        result.kills += 1;
        result.killsInStart += 1;
      }
      const startMs = performance.now();
      server = await startServer({ dataDir, key, port, flags: FLAGS });
      result.startMsMax = Math.max(result.startMsMax, performance.now() - startMs);
      if (result.kills % 10 === 0)
        options.say(`${result.kills} kills, ${receiver.counts().requests} requests`);
    }
    await publishing.stop();
    ledger.close();
    options.say("Waiting until nothing is pending ...");
    const quiet = await untilQuiet(server.client, APPS, QUIET_WITHIN_MS);
    receiver.flush();
    const verdict = judge({
      plan,
      accepted: readAccepted(workspace.file("accepted.tsv")),
      received: readReceived(workspace.file("received.tsv")),
      facts: await allDeliveries(server.client, plan),
    });
    return { verdict, quiet, unanswered: publishing.unanswered(), ...result };
  } finally {
    await workspace.close();
  }
}

type StartedReceiver = Awaited<ReturnType<typeof startReceiver>>;

async function firstStart(
  receiver: StartedReceiver,
  place: { dataDir: string; key: string },
): Promise<{ server: ServerProcess; plan: PlannedEndpoint[]; port: number }> {
  const server = await startServer({ ...place, flags: FLAGS });
  await createApps(server.client, APPS);
  const plan: PlannedEndpoint[] = [];
  for (const { settings, ...wish } of ENDPOINTS) {
    const made = await createEndpoint(server.client, `http://127.0.0.1:${receiver.port}`, {
      ...wish,
      settings: { retrySchedule: RETRY_SCHEDULE, timeoutMs: TIMEOUT_MS, ...settings },
    });
    receiver.set([made.received]);
    plan.push(made.planned);
  }
  return { server, plan, port: server.port };
}

async function killInStart(start: {
  dataDir: string;
  key: string;
  port: number;
  afterMs: number;
}): Promise<void> {
  let kill: (signal: NodeJS.Signals) => void = () => {};
  const { afterMs, ...place } = start;
  const starting = startServer({
    ...place,
    flags: FLAGS,
    onSpawn: (killIt) => {
      kill = killIt;
    },
  });
  const ended = starting.then(
    ({ exited }) => exited,
    () => {},
  );
  await wait(afterMs);
  kill("SIGKILL");
  await ended;
}

function streamsOf(load: number): Stream[] {
  return [
    { app: "plain", publishers: 2, perSecond: 30 * load },
    { app: "fifo", publishers: 1, perSecond: Math.min(60, 20 * load) },
    {
      app: "keyed",
      publishers: 1,
      perSecond: Math.min(100, 40 * load),
      orderingKeys: ["a", "b", "c", "d", "e"],
    },
    { app: "failing", publishers: 1, perSecond: 3 },
  ];
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "100" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
      load: { type: "string", default: "3" },
    },
  });
  const seed = Number(values.seed);
  console.log(`Crash run: ${values.kills} kills, seed ${seed}`);
  const say = (text: string) => console.error(text);
  const result = await runCrash({ kills: Number(values.kills), seed, load: Number(values.load), say });
  console.log(
    `${result.kills} kills, ${result.killsInStart} of them while starting; ${result.unanswered} publications cut off and repeated; ` +
      `longest start ${Math.round(result.startMsMax)} ms\n`,
  );
  printVerdict(result.verdict);
  const ok = result.verdict.ok && result.quiet && result.verdict.pending === 0;
  if (!result.quiet) console.log(`Not quiet: ${result.verdict.pending} deliveries still wait.`);
  if (!ok) console.log(`The same kills again: npm run crash -- --kills ${values.kills} --seed ${seed}`);
  process.exitCode = ok ? 0 : 1;
}

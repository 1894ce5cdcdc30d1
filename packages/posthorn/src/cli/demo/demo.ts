/** The demo: real GitHub payloads to three endpoints that misbehave, every signature checked by another implementation. */
import { generateApiKey } from "../../security/api-keys.ts";
import { startProgress } from "../output/progress.ts";
import { type Child, siblingModule, startChild } from "../proof/child.ts";
import { allDeliveries } from "../proof/deliveries.ts";
import { LedgerFile, nowUs, readAccepted, readReceived } from "../proof/ledger.ts";
import { isSuccess } from "../proof/pair.ts";
import { percentile } from "../proof/percentile.ts";
import type { PlannedEndpoint } from "../proof/plan.ts";
import { Publisher } from "../proof/publisher.ts";
import { type ServerProcess, startServer } from "../proof/server-process.ts";
import { createApps, createEndpoint, untilQuiet } from "../proof/setup.ts";
import { judge, type Verdict } from "../proof/verdict.ts";
import { Workspace } from "../proof/workspace.ts";
import { type DemoEvent, loadPayloads } from "./payloads.ts";
import type { DemoReceiverCalls } from "./receiver-process.ts";

export interface DemoOptions {
  readonly seed: number;
  /** Publishes only so many events; all unless given. */
  readonly events?: number;
  readonly quiet: boolean;
}

export interface DemoResult {
  readonly published: number;
  readonly delivered: number;
  readonly attempts: number;
  readonly retried: number;
  readonly identical: number;
  readonly signatureValid: number;
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly seconds: number;
  readonly verdict: Verdict;
  readonly ok: boolean;
}

const APP = "github";
const ENDPOINTS = ["first", "second", "third"];
const PUBLISHERS = 4;
/** A fifth of all requests fails: a third of it with 500, a third reset, a third answered a second after the sender gave up. */
const TIMEOUT_MS = 2000;
const FLAKY = { kind: "flaky", share: 0.2, lateMs: TIMEOUT_MS + 1000 } as const;
const RETRY_SCHEDULE = new Array<number>(10).fill(1);
const DEADLINE_MS = 55_000;

export async function runDemo({ seed, events: count, quiet }: DemoOptions): Promise<DemoResult> {
  const events = loadPayloads().slice(0, count);
  const workspace = new Workspace("demo");
  try {
    const startedUs = nowUs();
    const receiver = startChild<DemoReceiverCalls>(siblingModule(import.meta.url, "receiver-process"));
    workspace.atEnd(() => receiver.stop());
    const port = await receiver.call("start", { ledgerFile: workspace.file("received.tsv"), seed });
    const { key } = generateApiKey();
    // After a timeout the server waits at least a minute by default; the demo wants to end in one.
    const flags = ["--overload-delay-ms", "1000"];
    const server = await startServer({ dataDir: workspace.file("data"), key, flags });
    workspace.atEnd(() => server.stop());
    const plan = await setUp(server, receiver, `http://127.0.0.1:${port}`);
    await publishAll(events, { server, key, ledgerFile: workspace.file("accepted.tsv") });
    await untilDelivered(server, receiver, events.length * plan.length, quiet);
    const facts = await allDeliveries(server.client, plan);
    await receiver.call("close", null);
    const accepted = readAccepted(workspace.file("accepted.tsv"));
    const received = readReceived(workspace.file("received.tsv"));
    const verdict = judge({ plan, accepted, received, facts });

    const sentUs = new Map(accepted.map(({ eventId, intendedUs }) => [eventId, intendedUs]));
    const hashOf = new Map(accepted.map(({ eventId, bodyHash }) => [eventId, bodyHash]));
    const latencies = received
      .filter(isSuccess)
      .map(({ eventId, receivedUs }) => (receivedUs - (sentUs.get(eventId) ?? 0)) / 1000);
    const attemptsOf = [...facts.values()].map(({ attempts }) => attempts.length);
    return {
      published: accepted.length,
      delivered: verdict.delivered,
      attempts: attemptsOf.reduce((sum, attempts) => sum + attempts, 0),
      retried: attemptsOf.filter((attempts) => attempts > 1).length,
      identical: received.filter(({ eventId, bodyHash }) => hashOf.get(eventId) === bodyHash).length,
      signatureValid: received.filter(({ signatureValid }) => signatureValid).length,
      requests: received.length,
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      seconds: (nowUs() - startedUs) / 1e6,
      verdict,
      ok: verdict.ok && verdict.delivered === events.length * plan.length,
    };
  } finally {
    await workspace.close();
  }
}

async function setUp(
  { client }: ServerProcess,
  receiver: Child<DemoReceiverCalls>,
  origin: string,
): Promise<PlannedEndpoint[]> {
  await createApps(client, [APP]);
  const settings = { retrySchedule: RETRY_SCHEDULE, timeoutMs: TIMEOUT_MS };
  const made = [];
  for (const name of ENDPOINTS)
    made.push(await createEndpoint(client, origin, { name, app: APP, behaviour: FLAKY, settings }));
  await receiver.call(
    "set",
    made.map(({ received }) => received),
  );
  return made.map(({ planned }) => planned);
}

async function publishAll(
  events: readonly DemoEvent[],
  { server, key, ledgerFile }: { server: ServerProcess; key: string; ledgerFile: string },
): Promise<void> {
  const ledger = new LedgerFile(ledgerFile);
  const target = { host: "127.0.0.1", port: server.port };
  let next = 0;
  await Promise.all(
    Array.from({ length: PUBLISHERS }, async (_, index) => {
      const publisher = new Publisher({ target, key, ledger, name: `demo-${index}` });
      for (let event = events[next++]; event !== undefined; event = events[next++])
        await publisher.publish({ app: APP, ...event, sequence: next });
      publisher.close();
    }),
  );
  ledger.close();
}

/** Until each delivery is there and settled, or the time is over: then the verdict says what is missing. */
async function untilDelivered(
  { client }: ServerProcess,
  receiver: Child<DemoReceiverCalls>,
  expected: number,
  quiet: boolean,
): Promise<void> {
  const progress = startProgress("Delivered", expected, quiet);
  const endMs = performance.now() + DEADLINE_MS;
  let taken = 0;
  while (taken < expected && performance.now() < endMs) {
    ({ taken } = await receiver.call("counts", null));
    progress.set(taken);
    if (taken < expected) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  progress.end();
  await untilQuiet(client, [APP], Math.max(1000, endMs - performance.now()));
}

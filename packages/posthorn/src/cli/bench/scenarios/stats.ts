/**
 * Somebody watches: stats and deep lists are read in a loop while events are published. Once as a busy console reads
 * them, once without any rest, which takes as much of the machine as it can get.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "../../client/client.ts";
import type { Page } from "../../client/list.ts";
import { percentile } from "../../proof/percentile.ts";
import { atMost, repeated } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { acceptLatencies, type Window } from "../windows.ts";

const PER_SECOND = 1000;
/** Two reads each time: ten browsers that refresh once a second. */
const CONSOLE_EVERY_MS = 100;

export const stats: Scenario = {
  name: "stats",
  stores: ["sqlite", "postgres"],
  description: "stats and deep lists read in a loop beside 1,000 events/s",
  async run(workspace, options) {
    const rig = await Rig.build(workspace, usual(options));
    const forMs = (options.seconds * 1000) / options.pairs;
    const load = { perSecond: PER_SECOND, batch: 1, forMs };
    await rig.load({ ...load, forMs: options.warmUpSeconds * 1000 });
    const alone: Window[] = [];
    const consoles: Watched[] = [];
    const restless: Watched[] = [];
    for (let i = 0; i < options.pairs; i++) {
      alone.push(await rig.load(load));
      consoles.push(await watchedLoad(rig, load, CONSOLE_EVERY_MS));
      restless.push(await watchedLoad(rig, load, 0));
    }
    const { evidence, verdict } = await rig.finish();
    const p99 = (window: Window) => percentile(acceptLatencies(evidence.accepted, window), 0.99);
    const ratios = (watched: readonly Window[]) =>
      watched.map((window, index) => p99(window) / p99(alone[index]!));
    const perSecond = (watched: readonly Watched[]) => watched.map(({ reads }) => reads / (forMs / 1000));
    const figures = [
      repeated("publish p99, alone", "ms", alone.map(p99)),
      repeated("a console: reads", "reads/s", perSecond(consoles)),
      repeated("a console: publish p99", "ms", consoles.map(p99)),
      repeated("a console: watched / alone", "", ratios(consoles), atMost(1.1)),
      repeated("without rest: reads", "reads/s", perSecond(restless)),
      repeated("without rest: publish p99", "ms", restless.map(p99)),
      repeated("without rest: watched / alone", "", ratios(restless), atMost(1.1)),
    ];
    return { figures, verdicts: [verdict] };
  },
};

interface Watched extends Window {
  readonly reads: number;
}

async function watchedLoad(rig: Rig, load: Parameters<Rig["load"]>[0], everyMs: number): Promise<Watched> {
  const stop = new AbortController();
  const watching = watch(rig.server.client, rig.apps, everyMs, stop.signal);
  const window = await rig.load(load);
  stop.abort();
  return { ...window, reads: await watching };
}

/** One reader. Resolves with how many answers it read. */
async function watch(
  client: Client,
  apps: readonly string[],
  everyMs: number,
  signal: AbortSignal,
): Promise<number> {
  let reads = 0;
  let cursor: string | null = null;
  for (let turn = 0; !signal.aborted; turn++) {
    const app = apps[turn % apps.length]!;
    await client.get(`/v1/apps/${app}/stats`);
    const query: Record<string, string | number> = { limit: 250, ...(cursor === null ? {} : { cursor }) };
    const page: Page<unknown> = await client.get("/v1/deliveries", query);
    cursor = page.nextCursor;
    reads += 2;
    await wait(everyMs);
  }
  return reads;
}

/** Somebody watches: stats and deep lists are read in a loop while events are published. */
import type { Client } from "../../client/client.ts";
import type { Page } from "../../client/list.ts";
import { percentile } from "../../proof/percentile.ts";
import { atMost, repeated } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { acceptLatencies, type Window } from "../windows.ts";

const PER_SECOND = 1000;

export const stats: Scenario = {
  name: "stats",
  description: "stats and deep lists read in a loop beside 1,000 events/s",
  async run(workspace, options) {
    const rig = await Rig.build(workspace, usual(options));
    const forMs = (options.seconds * 1000) / options.pairs;
    const load = { perSecond: PER_SECOND, batch: 1, forMs };
    await rig.load({ ...load, forMs: options.warmUpSeconds * 1000 });
    const alone: Window[] = [];
    const watched: Window[] = [];
    let reads = 0;
    for (let i = 0; i < options.pairs; i++) {
      alone.push(await rig.load(load));
      const stop = new AbortController();
      const watching = watch(rig.server.client, rig.apps, stop.signal);
      watched.push(await rig.load(load));
      stop.abort();
      reads += await watching;
    }
    const { evidence, verdict } = await rig.finish();
    const p99 = (window: Window) => percentile(acceptLatencies(evidence.accepted, window), 0.99);
    const figures = [
      repeated("publish p99, alone", "ms", alone.map(p99)),
      repeated("publish p99, watched", "ms", watched.map(p99)),
      repeated(
        "watched / alone",
        "",
        watched.map((window, index) => p99(window) / p99(alone[index]!)),
        atMost(1.1),
      ),
      { name: "reads", value: reads / (options.seconds || 1), unit: "reads/s" },
    ];
    return { figures, verdicts: [verdict] };
  },
};

/** One reader that never rests. Resolves with how many answers it read. */
async function watch(client: Client, apps: readonly string[], signal: AbortSignal): Promise<number> {
  let reads = 0;
  let cursor: string | null = null;
  for (let turn = 0; !signal.aborted; turn++) {
    const app = apps[turn % apps.length]!;
    await client.get(`/v1/apps/${app}/stats`);
    const query: Record<string, string | number> = { limit: 250, ...(cursor === null ? {} : { cursor }) };
    const page: Page<unknown> = await client.get("/v1/deliveries", query);
    cursor = page.nextCursor;
    reads += 2;
  }
  return reads;
}

/** Does an event cost more when very many are stored already? */
import { cpuUs } from "../../proof/server-process.ts";
import { atMost, type Figure, repeated } from "../figure.ts";
import { preload } from "../preload.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { deliveredPerSecond } from "../windows.ts";

const PER_SECOND = 2000;

export const stored: Scenario = {
  name: "stored",
  description: "cost per event with 10^3 to 10^6 events stored",
  async run(workspace, options) {
    const rigs: { events: number; rig: Rig; costs: number[]; windows: { fromUs: number; toUs: number }[] }[] =
      [];
    for (const events of options.stored) {
      options.say(`Preloading ${events} delivered events ...`);
      const rig = await Rig.build(workspace, {
        ...usual(options),
        name: `stored-${events}`,
        preload: ({ dataDir, plan }) =>
          preload({ dataDir, endpoints: plan, events, dataBytes: options.dataBytes, state: "delivered" }),
      });
      rigs.push({ events, rig, costs: [], windows: [] });
    }
    const forMs = (options.seconds * 1000) / options.pairs;
    for (const { rig } of rigs) await rig.load({ perSecond: null, batch: 1, forMs });
    for (let i = 0; i < options.pairs; i++) {
      for (const { rig, costs, windows } of rigs) {
        await rig.caughtUp();
        const { pid } = rig.server;
        const beforeUs = cpuUs(pid) ?? Number.NaN;
        const { accepted } = await rig.load({ perSecond: PER_SECOND, batch: 1, forMs });
        await rig.caughtUp();
        costs.push(((cpuUs(pid) ?? Number.NaN) - beforeUs) / accepted);
        windows.push(await rig.load({ perSecond: null, batch: 1, forMs }));
      }
    }
    const ends: Awaited<ReturnType<Rig["finish"]>>[] = [];
    for (const { rig } of rigs) ends.push(await rig.finish());
    const rates = rigs.map(({ windows }, index) =>
      windows.map((window) => deliveredPerSecond(ends[index]!.evidence.received, window)),
    );
    const [least, most] = [rigs[0]!, rigs.at(-1)!];
    const figures: Figure[] = rigs.flatMap(({ events, costs }, index) => [
      repeated(`${events} stored: CPU per event`, "us", costs),
      repeated(`${events} stored: maximum rate`, "events/s", rates[index]!),
    ]);
    figures.push(
      repeated(
        `CPU per event, ${most.events} / ${least.events} stored`,
        "",
        most.costs.map((cost, index) => cost / least.costs[index]!),
        atMost(1.2),
      ),
      repeated(
        `time per event at the maximum rate, ${most.events} / ${least.events} stored`,
        "",
        rates[0]!.map((rate, index) => rate / rates.at(-1)![index]!),
        atMost(1.2),
      ),
    );
    return { figures, verdicts: ends.map(({ verdict }) => verdict) };
  },
};

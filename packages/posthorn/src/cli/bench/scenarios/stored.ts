/** Does an event cost more when very many are stored already? */
import { loadAtCost } from "../costs.ts";
import { atMost, type Figure, repeated } from "../figure.ts";
import { preload } from "../preload.ts";
import { type PreloadPlace, Rig } from "../rig.ts";
import { type BenchOptions, type Scenario, usual } from "../scenario.ts";
import { seed } from "../seed.ts";
import { deliveredPerSecond } from "../windows.ts";

/** Half of what two cores can take. */
const PER_SECOND = { sqlite: 2000, postgres: 1000 };
/** Small, so that 10^7 of them fit on a small disk (about 15 GB). */
const SEEDED_DATA_BYTES = 200;

export const stored: Scenario = {
  name: "stored",
  stores: ["sqlite", "postgres"],
  description: "cost per event with few events stored, and with very many",
  async run(workspace, options) {
    const rigs: { events: number; rig: Rig; costs: number[]; windows: { fromUs: number; toUs: number }[] }[] =
      [];
    const kind = options.store === null ? "sqlite" : "postgres";
    for (const events of options.stored[kind]) {
      options.say(`Preloading ${events} delivered events ...`);
      const rig = await Rig.build(workspace, {
        ...usual(options),
        name: `stored-${events}`,
        preload: (place) => store(place, events, options),
      });
      rigs.push({ events, rig, costs: [], windows: [] });
    }
    const forMs = (options.seconds * 1000) / options.pairs;
    for (const { rig } of rigs) await rig.load({ perSecond: null, batch: 1, forMs });
    for (let i = 0; i < options.pairs; i++) {
      for (const { rig, costs, windows } of rigs) {
        await rig.caughtUp();
        const load = { perSecond: PER_SECOND[kind], batch: 1, forMs };
        const { nodeUs, databaseUs } = (await loadAtCost(rig, load)).costs;
        costs.push(nodeUs + (rig.database === null ? 0 : databaseUs));
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

async function store(place: PreloadPlace, events: number, options: BenchOptions): Promise<void> {
  const { database, plan: endpoints } = place;
  const { dataBytes, say } = options;
  if (database === null) await preload(place, { endpoints, events, dataBytes, state: "delivered" });
  else await seed(database, { endpoints, events, dataBytes: SEEDED_DATA_BYTES, say });
}

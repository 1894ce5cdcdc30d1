/** As fast as it goes, beside a bare sender in the same minutes. */
import { type Costs, costFigures, loadAtCost } from "../costs.ts";
import { atLeast, type Figure, repeated } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { deliveredPerSecond } from "../windows.ts";

const BATCH_WINDOWS = 3;
/** On 2 cores with everything on that machine, the database too. */
const LEAST = { sqlite: 5000, postgres: 3000 };

export const maximum: Scenario = {
  name: "maximum",
  stores: ["sqlite", "postgres"],
  description: "maximum rate end to end, and as a share of a bare undici sender without storage",
  async run(workspace, options) {
    const rig = await Rig.build(workspace, usual(options));
    const windowMs = (options.seconds * 1000) / options.pairs;
    const full = { perSecond: null, batch: 1 };
    await rig.load({ ...full, forMs: options.warmUpSeconds * 1000 });
    await rig.bare(Math.min(2000, windowMs));
    const bare: number[] = [];
    const windows = [];
    const costs: Costs[] = [];
    for (let i = 0; i < options.pairs; i++) {
      await rig.caughtUp();
      bare.push(await rig.bare(Math.min(2000, windowMs)));
      const loaded = await loadAtCost(rig, { ...full, forMs: windowMs });
      windows.push(loaded.window);
      costs.push(loaded.costs);
    }
    const batched = [];
    for (let i = 0; i < BATCH_WINDOWS; i++) {
      await rig.caughtUp();
      batched.push(await rig.load({ perSecond: null, batch: 100, forMs: windowMs }));
    }
    const { evidence, verdict } = await rig.finish();
    const rates = windows.map((window) => deliveredPerSecond(evidence.received, window));
    const batchRates = batched.map((window) => deliveredPerSecond(evidence.received, window));
    const figures: Figure[] = [
      repeated(
        "end to end",
        "events/s",
        rates,
        atLeast(LEAST[rig.database === null ? "sqlite" : "postgres"]),
      ),
      { name: "end to end, best window", value: Math.max(...rates), unit: "events/s" },
      repeated("bare undici sender", "requests/s", bare),
      repeated(
        "share of the bare sender",
        "",
        rates.map((rate, index) => rate / bare[index]!),
        ...(rig.database === null ? [atLeast(0.35)] : []),
      ),
      ...costFigures(costs, "event"),
      repeated("in batches of 100, delivered", "events/s", batchRates),
      repeated(
        "in batches of 100, accepted",
        "events/s",
        batched.map(({ accepted }) => accepted / (windowMs / 1000)),
      ),
    ];
    return { figures, verdicts: [verdict] };
  },
};

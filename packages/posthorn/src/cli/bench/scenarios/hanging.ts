/** A tenth of the endpoints takes requests and never answers. */
import { percentile } from "../../proof/percentile.ts";
import { atMost, type Figure } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { receiptLatencies } from "../windows.ts";

const APPS = 100;
const HANGING = 10;
const PER_SECOND = 1000;

export const hanging: Scenario = {
  name: "hanging",
  description: "10 of 100 endpoints hang: what the other 90 notice, at 1,000 events/s",
  async run(workspace, options) {
    const rig = await Rig.build(workspace, { ...usual(options), apps: APPS });
    const load = { perSecond: PER_SECOND, batch: 1 };
    await rig.load({ ...load, forMs: options.warmUpSeconds * 1000 });
    const before = await rig.load({ ...load, forMs: options.seconds * 1000 });
    for (const { name } of rig.plan.slice(0, HANGING)) await rig.behave(name, { kind: "hanging" });
    const during = await rig.load({ ...load, forMs: options.seconds * 1000 });
    const { evidence, verdict } = await rig.finish();
    const others = new Set(rig.plan.slice(HANGING).map(({ name }) => name));
    const p99 = (window: typeof before) =>
      percentile(receiptLatencies(evidence.accepted, evidence.received, window, others), 0.99);
    const allHealthy = p99(before);
    const figures: Figure[] = [
      { name: "the others' p99, all healthy", value: allHealthy, unit: "ms" },
      {
        name: "the others' p99, 10 % hang",
        value: p99(during),
        unit: "ms",
        target: atMost(Math.max(allHealthy * 1.1, allHealthy + 10)),
      },
    ];
    return { figures, verdicts: [verdict] };
  },
};

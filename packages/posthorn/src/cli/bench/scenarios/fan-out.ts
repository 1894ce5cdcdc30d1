/** Every event goes to five endpoints. */
import { atLeast, repeated } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { deliveredPerSecond } from "../windows.ts";

const ENDPOINTS = 5;

export const fanOut: Scenario = {
  name: "fan-out",
  stores: ["sqlite", "postgres"],
  description: "each event to 5 endpoints, as fast as it goes",
  async run(workspace, options) {
    const rig = await Rig.build(workspace, { ...usual(options), endpointsPerApp: ENDPOINTS });
    const full = { perSecond: null, batch: 1 };
    await rig.load({ ...full, forMs: options.warmUpSeconds * 1000 });
    const windows = [];
    for (let i = 0; i < options.pairs; i++)
      windows.push(await rig.load({ ...full, forMs: (options.seconds * 1000) / options.pairs }));
    const { evidence, verdict } = await rig.finish();
    const rates = windows.map((window) => deliveredPerSecond(evidence.received, window));
    const figures = [repeated("delivered", "deliveries/s", rates, atLeast(8000))];
    return { figures, verdicts: [verdict] };
  },
};

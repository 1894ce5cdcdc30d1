/** As fast as it goes, beside a bare sender in the same minutes. */
import { atLeast, repeated } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { deliveredPerSecond } from "../windows.ts";

const BATCH_WINDOWS = 3;

export const maximum: Scenario = {
  name: "maximum",
  description: "maximum rate end to end, and as a share of a bare undici sender without storage",
  async run(workspace, options) {
    const rig = await Rig.build(workspace, usual(options));
    const windowMs = (options.seconds * 1000) / options.pairs;
    const full = { perSecond: null, batch: 1 };
    await rig.load({ ...full, forMs: options.warmUpSeconds * 1000 });
    await rig.bare(Math.min(2000, windowMs));
    const bare: number[] = [];
    const windows = [];
    for (let i = 0; i < options.pairs; i++) {
      await rig.caughtUp();
      bare.push(await rig.bare(Math.min(2000, windowMs)));
      windows.push(await rig.load({ ...full, forMs: windowMs }));
    }
    const batched = [];
    for (let i = 0; i < BATCH_WINDOWS; i++) {
      await rig.caughtUp();
      batched.push(await rig.load({ perSecond: null, batch: 100, forMs: windowMs }));
    }
    const { evidence, verdict } = await rig.finish();
    const rates = windows.map((window) => deliveredPerSecond(evidence.received, window));
    const batchRates = batched.map((window) => deliveredPerSecond(evidence.received, window));
    const figures = [
      repeated("end to end", "events/s", rates, atLeast(5000)),
      { name: "end to end, best window", value: Math.max(...rates), unit: "events/s" },
      repeated("bare undici sender", "requests/s", bare),
      repeated(
        "share of the bare sender",
        "",
        rates.map((rate, index) => rate / bare[index]!),
        atLeast(0.35),
      ),
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

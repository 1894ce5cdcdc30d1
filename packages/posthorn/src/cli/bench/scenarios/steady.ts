/** 1,000 events a second: how long from publish to receipt? */
import { percentile } from "../../proof/percentile.ts";
import { atMost, type Figure } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { acceptLatencies, receiptLatencies } from "../windows.ts";

const PER_SECOND = 1000;

export const steady: Scenario = {
  name: "steady",
  stores: ["sqlite", "postgres"],
  description: "latency at a steady 1,000 events/s, open loop",
  async run(workspace, options) {
    const rig = await Rig.build(workspace, usual(options));
    const load = { perSecond: PER_SECOND, batch: 1 };
    await rig.load({ ...load, forMs: options.warmUpSeconds * 1000 });
    const window = await rig.load({ ...load, forMs: options.seconds * 1000 });
    const { evidence, verdict } = await rig.finish();
    const receipts = receiptLatencies(evidence.accepted, evidence.received, window);
    const accepts = acceptLatencies(evidence.accepted, window);
    const figures: Figure[] = [
      ms("publish to receipt, p50", percentile(receipts, 0.5), 5),
      ms("publish to receipt, p99", percentile(receipts, 0.99), 50),
      ms("publish to receipt, p99.9", percentile(receipts, 0.999)),
      ms("publish to 202, p50", percentile(accepts, 0.5)),
      ms("publish to 202, p99", percentile(accepts, 0.99)),
      { name: "accepted", value: accepts.length / options.seconds, unit: "events/s" },
    ];
    return { figures, verdicts: [verdict] };
  },
};

function ms(name: string, value: number, most?: number): Figure {
  return { name, value, unit: "ms", ...(most === undefined ? {} : { target: atMost(most) }) };
}

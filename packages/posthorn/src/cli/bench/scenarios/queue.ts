/** The queue alone: deliveries that wait are claimed and settled as fast as the store can. */
import { costFigures } from "../costs.ts";
import { atLeast, repeated } from "../figure.ts";
import { type Drained, QueueRig } from "../queue-rig.ts";
import type { Scenario } from "../scenario.ts";

/** What is drained in a second or two. */
const DELIVERIES_PER_SECOND = 20_000;

export const queue: Scenario = {
  name: "queue",
  stores: ["postgres"],
  description: "claim and settle alone, at the same time, 32 lanes, without server and receiver",
  async run(workspace, options) {
    const rig = await QueueRig.build(workspace, "queue", options.store!);
    const each = Math.ceil((DELIVERIES_PER_SECOND * options.seconds) / options.pairs);
    const drained: Drained[] = [];
    // The first is the warm-up.
    for (let i = 0; i <= options.pairs; i++) {
      await rig.fill(each, options.dataBytes);
      drained.push(await rig.drain(each));
    }
    const rounds = drained.slice(1);
    const figures = [
      repeated(
        "claimed and settled",
        "deliveries/s",
        rounds.map(({ perSecond }) => perSecond),
        atLeast(20_000),
      ),
      ...costFigures(
        rounds.map(({ costs }) => costs),
        "delivery",
      ),
    ];
    return { figures, verdicts: [] };
  },
};

/** Two nodes on one database against one: the same 64 connections, in the same minutes and on the same cores. */
import { costFigures, loadAtCost } from "../costs.ts";
import { atLeast, repeated } from "../figure.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { deliveredPerSecond } from "../windows.ts";

/** For each node: what arrives together is stored together, and a node with few connections makes small batches. */
const CONNECTIONS_PER_NODE = 32;

export const twoNodes: Scenario = {
  name: "two-nodes",
  stores: ["postgres"],
  description: "two nodes that share the load and the cores, against one",
  async run(workspace, options) {
    const connections = 2 * CONNECTIONS_PER_NODE;
    const one = await Rig.build(workspace, { ...usual(options), connections, name: "one" });
    const two = await Rig.build(workspace, { ...usual(options), connections, name: "two", nodes: 2 });
    const load = { perSecond: null, batch: 1 };
    for (const rig of [one, two]) await rig.load({ ...load, forMs: options.warmUpSeconds * 1000 });
    const forMs = (options.seconds * 1000) / options.pairs;
    const pairs = [];
    for (let i = 0; i < options.pairs; i++) {
      const alone = await loadAtCost(one, { ...load, forMs });
      pairs.push({ alone, shared: await loadAtCost(two, { ...load, forMs }) });
    }
    const ends = [await one.finish(), await two.finish()] as const;
    const alone = pairs.map((pair) => deliveredPerSecond(ends[0].evidence.received, pair.alone.window));
    const shared = pairs.map((pair) => deliveredPerSecond(ends[1].evidence.received, pair.shared.window));
    const figures = [
      repeated("one node, end to end", "events/s", alone),
      repeated("two nodes, end to end", "events/s", shared),
      repeated(
        "two nodes / one",
        "",
        shared.map((rate, index) => rate / alone[index]!),
        atLeast(0.9),
      ),
      ...costFigures(
        pairs.map((pair) => pair.alone.costs),
        "event, one node",
      ),
      ...costFigures(
        pairs.map((pair) => pair.shared.costs),
        "event, two nodes",
      ),
    ];
    return { figures, verdicts: ends.map(({ verdict }) => verdict) };
  },
};

/** A tenth of the endpoints takes requests and never answers. */
import { percentile } from "../../proof/percentile.ts";
import { atMost, repeated } from "../figure.ts";
import { type Evidence, Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { receiptLatencies, type Window } from "../windows.ts";

const APPS = 100;
const HANGING = 10;
const PER_SECOND = 1000;
/** The others may get so much slower: whichever is more. */
const ALLOWED = { times: 1.1, ms: 10 };

export const hanging: Scenario = {
  name: "hanging",
  stores: ["sqlite", "postgres"],
  description: "10 of 100 endpoints hang: what the other 90 notice, at 1,000 events/s",
  async run(workspace, options) {
    const healthy = await Rig.build(workspace, { ...usual(options), name: "healthy", apps: APPS });
    const sick = await Rig.build(workspace, { ...usual(options), name: "hanging", apps: APPS });
    for (const { name } of sick.plan.slice(0, HANGING)) await sick.behave(name, { kind: "hanging" });
    const load = { perSecond: PER_SECOND, batch: 1 };
    for (const rig of [healthy, sick]) await rig.load({ ...load, forMs: options.warmUpSeconds * 500 });
    const forMs = (options.seconds * 1000) / options.pairs;
    const windows: { before: Window; during: Window }[] = [];
    for (let i = 0; i < options.pairs; i++) {
      const before = await healthy.load({ ...load, forMs });
      windows.push({ before, during: await sick.load({ ...load, forMs }) });
    }
    const ends = [await healthy.finish(), await sick.finish()] as const;
    const others = new Set(sick.plan.slice(HANGING).map(({ name }) => name));
    const p99 = ({ accepted, received }: Evidence, window: Window) =>
      percentile(receiptLatencies(accepted, received, window, others), 0.99);
    const pairs = windows.map(({ before, during }) => ({
      alone: p99(ends[0].evidence, before),
      beside: p99(ends[1].evidence, during),
    }));
    const beyond = pairs.map(
      ({ alone, beside }) => beside - Math.max(alone * ALLOWED.times, alone + ALLOWED.ms),
    );
    const figures = [
      repeated(
        "the others' p99, all healthy",
        "ms",
        pairs.map(({ alone }) => alone),
      ),
      repeated(
        "the others' p99, 10 % hang",
        "ms",
        pairs.map(({ beside }) => beside),
      ),
      repeated("beyond what is allowed (1.1 times or +10 ms)", "ms", beyond, atMost(0)),
    ];
    return { figures, verdicts: ends.map(({ verdict }) => verdict) };
  },
};

/** One endpoint is dead, and very many deliveries wait for it. */
import { nowUs } from "../../proof/ledger.ts";
import { residentBytes } from "../../proof/server-process.ts";
import { atLeast, atMost, repeated } from "../figure.ts";
import { preload } from "../preload.ts";
import { Rig } from "../rig.ts";
import { type Scenario, usual } from "../scenario.ts";
import { deliveredPerSecond } from "../windows.ts";

/** Small, so that 10^6 of them fit on a small disk. */
const WAITING_DATA_BYTES = 200;

export const backlog: Scenario = {
  name: "backlog",
  stores: ["sqlite", "postgres"],
  description: "one endpoint is dead with 1,000,000 deliveries waiting: what the others notice",
  async run(workspace, options) {
    const clean = await Rig.build(workspace, { ...usual(options), name: "clean" });
    options.say(`Preloading ${options.backlog} deliveries for a dead endpoint ...`);
    const full = await Rig.build(workspace, {
      ...usual(options),
      name: "backlog",
      dead: true,
      preload: (place) =>
        preload(place, {
          endpoints: [place.dead!],
          events: options.backlog,
          dataBytes: WAITING_DATA_BYTES,
          state: "waiting",
        }),
    });
    const atRestBytes = memory(full);
    const windowMs = (options.seconds * 1000) / options.pairs;
    const load = { perSecond: null, batch: 1 };
    for (const rig of [clean, full]) await rig.load({ ...load, forMs: (options.warmUpSeconds * 1000) / 2 });
    const pairs = [];
    let mostBytes = 0;
    let mostBytesClean = 0;
    for (let i = 0; i < options.pairs; i++) {
      await full.caughtUp();
      const without = await clean.load({ ...load, forMs: windowMs });
      await clean.caughtUp();
      const withBacklog = await full.load({ ...load, forMs: windowMs });
      mostBytes = Math.max(mostBytes, memory(full));
      mostBytesClean = Math.max(mostBytesClean, memory(clean));
      pairs.push({ without, withBacklog });
    }
    await full.caughtUp();
    const restartMs = await restart(full);
    const [cleanEnd, fullEnd] = [await clean.finish(), await full.finish()];
    const ratios = pairs.map(
      ({ without, withBacklog }) =>
        deliveredPerSecond(fullEnd.evidence.received, withBacklog) /
        deliveredPerSecond(cleanEnd.evidence.received, without),
    );
    const figures = [
      repeated(
        "other lanes, no backlog",
        "events/s",
        pairs.map(({ without }) => deliveredPerSecond(cleanEnd.evidence.received, without)),
      ),
      repeated(
        "other lanes, backlog",
        "events/s",
        pairs.map(({ withBacklog }) => deliveredPerSecond(fullEnd.evidence.received, withBacklog)),
      ),
      repeated("with / without backlog", "", ratios, atLeast(0.9)),
      { name: "SIGKILL, start, first delivery", value: restartMs, unit: "ms", target: atMost(2000) },
      {
        name: "memory (RSS), backlog, before any load",
        value: atRestBytes / 1e6,
        unit: "MB",
        target: atMost(250),
      },
      {
        name: "memory (RSS), backlog, most under full load",
        value: mostBytes / 1e6,
        unit: "MB",
        target: atMost(250),
      },
      { name: "memory (RSS), no backlog, most under full load", value: mostBytesClean / 1e6, unit: "MB" },
    ];
    return { figures, verdicts: [cleanEnd.verdict, fullEnd.verdict] };
  },
};

function memory({ server }: Rig): number {
  return residentBytes(server.pid) ?? Number.NaN;
}

/** From the start of the process to the first receipt at a healthy endpoint. */
async function restart(rig: Rig): Promise<number> {
  const { port } = rig.server;
  await rig.kill();
  const startedUs = nowUs();
  await rig.start([port]);
  await rig.load({ perSecond: null, batch: 1, forMs: 500 });
  await rig.caughtUp();
  const first = await rig.firstReceiptAfter(startedUs);
  return (first - startedUs) / 1000;
}

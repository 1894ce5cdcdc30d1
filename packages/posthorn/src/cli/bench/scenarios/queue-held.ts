/**
 * The queue while a transaction somewhere in the database stays open: no dead row of the queue can be cleared away. Beside
 * it, round by round on the same server, a queue in a database without such a transaction.
 */
import { atLeast, type Figure, repeated } from "../figure.ts";
import { type Drained, QueueRig } from "../queue-rig.ts";
import type { Scenario } from "../scenario.ts";

const DELIVERIES = 20_000;

interface Pair {
  readonly free: Drained;
  readonly held: Drained;
}

export const queueHeld: Scenario = {
  name: "queue-held",
  stores: ["postgres"],
  description: "claim and settle alone while an idle transaction keeps dead rows from being cleared away",
  async run(workspace, options) {
    const free = await QueueRig.build(workspace, "free", options.store!);
    const held = await QueueRig.build(workspace, "held", options.store!);
    const deliveries = Math.min(DELIVERIES, Math.ceil((DELIVERIES * options.seconds) / options.pairs));
    const round = async (rig: QueueRig): Promise<Drained> => {
      await rig.fill(deliveries, options.dataBytes);
      return rig.drain(deliveries);
    };
    for (const rig of [free, held]) await round(rig);

    const session = await held.database.session();
    workspace.atEnd(() => session.close());
    await session.query({
      text: "SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT pg_current_xact_id()",
    });
    const untilMs = performance.now() + options.holdSeconds * 1000;
    options.say(`Holding a transaction open for ${options.holdSeconds} s ...`);
    const pairs: Pair[] = [];
    let afterHold = 0;
    while (afterHold < options.pairs) {
      if (performance.now() >= untilMs) afterHold += 1;
      pairs.push({ free: await round(free), held: await round(held) });
    }
    const dead = await held.database.value<number>(
      "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'posthorn.deliveries'::regclass",
    );
    return { figures: figuresOf(pairs, options.pairs, dead), verdicts: [] };
  },
};

/** @param last how many pairs were measured at the end */
function figuresOf(pairs: readonly Pair[], last: number, dead: number): Figure[] {
  const first = pairs.slice(0, last);
  const end = pairs.slice(-last);
  const ratios = (some: readonly Pair[], of: (drained: Drained) => number) =>
    some.map(({ free, held }) => of(held) / of(free));
  const rate = ({ perSecond }: Drained) => perSecond;
  const databaseUs = ({ costs }: Drained) => costs.databaseUs;
  return [
    repeated(
      "claimed and settled, no transaction",
      "deliveries/s",
      end.map(({ free }) => free.perSecond),
    ),
    repeated(
      "claimed and settled, transaction held",
      "deliveries/s",
      end.map(({ held }) => held.perSecond),
    ),
    repeated("held / free, in the first rounds", "", ratios(first, rate)),
    repeated("held / free, at the end", "", ratios(end, rate), atLeast(0.8)),
    repeated("CPU of the database per delivery, held / free, at the end", "", ratios(end, databaseUs)),
    { name: "dead rows of the queue at the end", value: dead, unit: "rows" },
  ];
}

/** Mode `process`: an event is handled, and marked, before it is answered. */
import type { DedupeStore, OnceOutcome } from "../dedupe/dedupe.ts";
import { Batches } from "./batches.ts";
import type { ReceivedEvent } from "./event.ts";
import { HANDLED, type Outcome, outcomeOf, storeFailed } from "./outcome.ts";
import { Effects, letterOf, type Setup } from "./setup.ts";
import { goThrough, type Route } from "./steps.ts";

/** As many passing failures in a row mean that something is down: the rest of the batch is not tried, as it would only take its time. */
const FAILURES_IN_A_ROW = 3;

export interface Item {
  /** What it is deduplicated by. */
  readonly key: string;
  readonly event: ReceivedEvent;
}

/** Resolves to what became of the event; never rejects. */
export type HandleInProcess = (route: Route, item: Item) => Promise<Outcome>;

export function handlerInProcess(
  setup: Setup,
  store: DedupeStore<unknown>,
  signal: AbortSignal,
): HandleInProcess {
  // Over all patterns: handlers that wait for a connection of a pool that others of them hold would wait for ever.
  const calls = new Batches<() => Promise<readonly OnceOutcome[]>, readonly OnceOutcome[]>({
    sizeMax: 1,
    waitMs: 0,
    concurrencyMax: store.onceMax,
    run: (batch) => Promise.all(batch.map((call) => call())),
  });
  const once: DedupeStore<unknown>["once"] = (keys, work) => calls.add(() => store.once(keys, work));
  const queues = new Map(
    setup.routes.map((route) => {
      const { sizeMax, waitMs } = setup.batch;
      const queue = new Batches<Item, Outcome>({
        sizeMax: route.batched ? sizeMax : 1,
        waitMs: route.batched ? waitMs : 0,
        concurrencyMax: route.batched ? 1 : setup.concurrencyMax,
        run: (items) => handleBatch(route, items),
      });
      return [route, queue] as const;
    }),
  );

  async function handleBatch(route: Route, items: readonly Item[]): Promise<readonly Outcome[]> {
    const outcomes = await handleTogether(route, items);
    const [first] = outcomes;
    if (items.length === 1 || first === undefined || !failedWhole(first)) return outcomes;
    return handleOneByOne(route, items);
  }

  async function handleOneByOne(route: Route, items: readonly Item[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    let failuresInARow = 0;
    for (const item of items) {
      const isDown = failuresInARow >= FAILURES_IN_A_ROW;
      const [outcome] = isDown ? outcomes.slice(-1) : await handleTogether(route, [item]);
      if (outcome === undefined) throw new Error("the dedupe store answered nothing");
      failuresInARow = outcome.kind === "failed" ? failuresInARow + 1 : 0;
      outcomes.push(outcome);
    }
    return outcomes;
  }

  /** One transaction: the marks and what the steps write. */
  async function handleTogether(route: Route, items: readonly Item[]): Promise<readonly Outcome[]> {
    const effects = new Effects();
    const keys = items.map(({ key }) => key);
    try {
      const outcomes = await once(keys, async (transaction, fresh) => {
        const loads = fresh.map((index) => ({ event: (items[index] as Item).event }));
        await goThrough(route, loads, effects.context(transaction, signal));
      });
      effects.run(setup.report);
      return outcomes.map(ofOnce);
    } catch (error) {
      const outcome = outcomeOf(error);
      return items.map(() => outcome);
    }
  }

  /**
   * To the dead letters, then marked: between the two a crash repeats a letter and loses none. Within one call, so that an event that
   * came twice at the same time becomes one letter.
   */
  async function letGo({ key, event }: Item, outcome: Outcome & { kind: "poison" }): Promise<Outcome> {
    try {
      const [marked] = await once([key], async () => {
        await setup.deadLetters?.append(letterOf(setup, event, outcome, 1));
      });
      return marked === "done" ? outcome : ofOnce(marked as OnceOutcome);
    } catch (failed) {
      return storeFailed(failed, "dead letters");
    }
  }

  return async (route, item) => {
    const outcome = await (queues.get(route) as Batches<Item, Outcome>).add(item);
    return outcome.kind === "poison" && setup.deadLetters !== undefined ? letGo(item, outcome) : outcome;
  };
}

function ofOnce(outcome: OnceOutcome): Outcome {
  return outcome === "done" ? HANDLED : { kind: outcome };
}

/** A step threw, or the transaction did not come about: then every event of the batch has this outcome. */
function failedWhole(outcome: Outcome): boolean {
  return outcome.kind === "failed" || outcome.kind === "poison" || outcome.kind === "control";
}

/**
 * Figures of windows of time: `aggregate({ window: { kind: "tumbling", sizeMs: 60_000 }, by: "$.data.shop", values: { orders: "count",
 * revenue: { sum: "$.data.amount" } }, onWindow: (result) => ... })`. They are kept in memory; `snapshot` and `restore` carry them over
 * a restart. An event counts once its transaction has committed, and not before.
 */
import type { ReceivedEvent } from "../../receiver/event.ts";
import type { Processor } from "../processor.ts";
import { type ClosedGroup, OpenWindows, type OpenWindowsSnapshot } from "./open-windows.ts";
import { createOutlet } from "./outlet.ts";
import { columnsOf, type Measure, type Measures, type Selector, sampler, textOf } from "./sample.ts";
import { checkWindow, type Span, type Window } from "./window.ts";

export interface WindowResult<Of extends Measures = Measures> extends Span {
  /** As text, whatever it was; null: without `by`, or the event has none. */
  readonly key: string | null;
  /** This is the sum of all keys beyond `keysMax`; `key` is null. */
  readonly overflow: boolean;
  /** Events, with and without values. */
  readonly count: number;
  /** null: no event had a value (a sum is 0 then). */
  readonly values: { readonly [Name in keyof Of]: Figure<Of[Name]> };
}

type Figure<Of extends Measure> = Of extends "count" | { readonly sum: Selector } ? number : number | null;

export interface AggregateOptions<Of extends Measures> {
  readonly window: Window;
  readonly values: Of;
  readonly by?: Selector;
  /**
   * ISO 8601 with an offset, or unix seconds or milliseconds; a function may give a Date. Left out: when it occurred by a Standard
   * Webhooks payload, else when it was signed, else when it arrived.
   */
  readonly time?: Selector;
  /** How long a window waits for stragglers, measured in event time. 0 when left out. */
  readonly allowedLatenessMs?: number;
  /** An event whose time lies further ahead of its arrival is poison: it would end all windows. 24 h when left out. */
  readonly aheadMaxMs?: number;
  /** Keys of one window; what comes with others is counted together in one result with `overflow`. 10,000 when left out. */
  readonly keysMax?: number;
  /** Called one by one, the oldest window first. Throws: the result is kept, and given again before any further event is taken. */
  readonly onWindow: (result: WindowResult<Of>) => void | Promise<void>;
  /** An event came after `missed`, windows of its own, were over. It counts in those that are still open. */
  readonly onLate?: (event: ReceivedEvent, missed: readonly Span[]) => void | Promise<void>;
  /** What `close` does with windows that are not over: `emit` them (when left out), or `keep` them for a snapshot. */
  readonly atClose?: "emit" | "keep";
  /** `aggregate` when left out. */
  readonly name?: string;
}

export interface AggregateStatus {
  readonly openWindows: number;
  /** Events that missed one of their windows, or more. */
  readonly late: number;
  /** Results that `onWindow` has not taken yet. */
  readonly waiting: number;
}

/** Plain JSON. */
export interface AggregateSnapshot {
  readonly version: 1;
  /** Of the options that made it. */
  readonly shape: string;
  readonly late: number;
  readonly open: OpenWindowsSnapshot;
  readonly waiting: readonly WindowResult[];
}

export interface Aggregate extends Processor {
  /** Ends all windows now: at the end of a stream. What still comes for them is late. Rejects when `onWindow` throws. */
  flush(): Promise<void>;
  status(): AggregateStatus;
  snapshot(): AggregateSnapshot;
  /** Before the first event. @throws Error for a snapshot of other options, and when there have been events */
  restore(snapshot: AggregateSnapshot): void;
  close(): Promise<void>;
}

const OPTIONS = [
  "window",
  "values",
  "by",
  "time",
  "allowedLatenessMs",
  "aheadMaxMs",
  "keysMax",
  "onWindow",
  "onLate",
  "atClose",
  "name",
];

/** @throws RangeError, PathError for options that cannot be */
export function aggregate<const Of extends Measures>(options: AggregateOptions<Of>): Aggregate {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(`aggregate: ${unknown} is unknown; use ${OPTIONS.join(", ")}`);
  }
  const { window, allowedLatenessMs = 0, aheadMaxMs = 86_400_000, keysMax = 10_000 } = options;
  checkWindow(window, allowedLatenessMs);
  if (!Number.isSafeInteger(keysMax) || keysMax < 1)
    throw new RangeError(`keysMax is at least 1, not ${keysMax}`);
  if (!(aheadMaxMs >= 0)) throw new RangeError(`aheadMaxMs is at least 0, not ${aheadMaxMs}`);
  const columns = columnsOf(options.values);
  const figures = columns.map(({ figure }) => figure);
  const sampleOf = sampler({ ...options, aheadMaxMs }, columns);
  const shape = JSON.stringify({
    window,
    by: options.by && textOf(options.by),
    time: options.time && textOf(options.time),
    figures: columns.map(({ name, figure, from }) => [name, figure, from]),
  });
  const windows = new OpenWindows({ window, figures, allowedLatenessMs, keysMax });
  const outlet = createOutlet(options);
  let late = 0;
  let isFresh = true;

  const resultOf = ({ values, ...group }: ClosedGroup): WindowResult<Of> => ({
    ...group,
    values: Object.fromEntries(
      columns.map(({ name }, index) => [name, values[index] ?? null]),
    ) as WindowResult<Of>["values"],
  });

  function fold(event: ReceivedEvent, sample: ReturnType<typeof sampleOf>): void {
    isFresh = false;
    const missed = windows.add(sample);
    if (missed.length === 0) return;
    late += 1;
    outlet.late(event, missed);
  }

  async function flush(): Promise<void> {
    outlet.results(windows.takeAll().map(resultOf));
    await outlet.drained();
  }

  return {
    kind: "processor",
    name: options.name ?? "aggregate",

    async process(events, context) {
      await outlet.drained();
      const samples = events.map((event) => [event, sampleOf(event)] as const);
      context.onCommit(() => {
        for (const [event, sample] of samples) fold(event, sample);
        outlet.results(windows.takeClosed().map(resultOf));
        // What onWindow throws is thrown by the next call, which gives it the result again.
        outlet.drained().catch(() => undefined);
      });
    },

    flush,

    async close() {
      if (options.atClose !== "keep") return flush();
      await outlet.drained();
    },

    status: () => ({ openWindows: windows.open, late, waiting: outlet.waiting().length }),

    snapshot: () => ({
      version: 1,
      shape,
      late,
      open: windows.snapshot(),
      waiting: structuredClone(outlet.waiting()),
    }),

    restore(snapshot) {
      if (!isFresh) throw new Error("restore comes before the first event");
      if (snapshot.version !== 1 || snapshot.shape !== shape) {
        throw new Error(`this snapshot was made with other options: ${snapshot.shape}, here ${shape}`);
      }
      isFresh = false;
      late = snapshot.late;
      windows.restore(snapshot.open);
      outlet.results(structuredClone(snapshot.waiting) as WindowResult<Of>[]);
    },
  };
}

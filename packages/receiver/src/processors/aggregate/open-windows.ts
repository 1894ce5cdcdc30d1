/**
 * The windows that are not over yet. No I/O and no clock: time is the events' own, and moves with them. A window is over when the
 * watermark, the latest event time seen less the lateness that is allowed, has reached its end; whatever order events come in, as
 * long as none is later than that, each window comes out once and the same.
 */
import { addToTally, emptyTally, type Figure, resultOf, type Tally } from "./tally.ts";
import { type Span, spansAt, type Window } from "./window.ts";

export interface OpenWindowsOptions {
  readonly window: Window;
  readonly figures: readonly Figure[];
  readonly allowedLatenessMs: number;
  readonly keysMax: number;
}

/** What one event brings. */
export interface Sample {
  readonly timeMs: number;
  readonly key: string | null;
  /** One for each figure. */
  readonly values: readonly (number | null)[];
}

/** One key of one window that is over. */
export interface ClosedGroup extends Span {
  readonly key: string | null;
  /** All keys that came after the first `keysMax` of this window; `key` is null. */
  readonly overflow: boolean;
  readonly count: number;
  /** One for each figure. */
  readonly values: readonly (number | null)[];
}

interface Group {
  count: number;
  readonly tallies: readonly Tally[];
}

interface OpenWindow extends Span {
  readonly groups: Map<string | null, Group>;
  overflow: Group | null;
}

/** Plain JSON. */
export interface OpenWindowsSnapshot {
  readonly watermarkMs: number | null;
  readonly windows: readonly {
    readonly startMs: number;
    readonly groups: readonly (readonly [string | null, Group])[];
    readonly overflow: Group | null;
  }[];
}

export class OpenWindows {
  readonly #options: OpenWindowsOptions;
  #windows = new Map<number, OpenWindow>();
  #watermarkMs = Number.NEGATIVE_INFINITY;

  constructor(options: OpenWindowsOptions) {
    this.#options = options;
  }

  get open(): number {
    return this.#windows.size;
  }

  /** @returns those of its windows that it missed: they were over before */
  add(sample: Sample): Span[] {
    const { window, allowedLatenessMs } = this.#options;
    this.#watermarkMs = Math.max(this.#watermarkMs, sample.timeMs - allowedLatenessMs);
    const missed: Span[] = [];
    for (const span of spansAt(window, sample.timeMs)) {
      if (span.endMs <= this.#watermarkMs) missed.push(span);
      else this.#addTo(span, sample);
    }
    return missed;
  }

  /** Takes out the windows that are over, the oldest first, in each the keys in order and the overflow last. */
  takeClosed(): ClosedGroup[] {
    const over = [...this.#windows.values()].filter(({ endMs }) => endMs <= this.#watermarkMs);
    for (const { startMs } of over) this.#windows.delete(startMs);
    return over.sort((left, right) => left.startMs - right.startMs).flatMap(closedGroups);
  }

  /** Ends all of them now; what still comes for them is late. */
  takeAll(): ClosedGroup[] {
    for (const { endMs } of this.#windows.values()) this.#watermarkMs = Math.max(this.#watermarkMs, endMs);
    return this.takeClosed();
  }

  snapshot(): OpenWindowsSnapshot {
    return structuredClone({
      watermarkMs: Number.isFinite(this.#watermarkMs) ? this.#watermarkMs : null,
      windows: Array.from(this.#windows.values(), ({ startMs, groups, overflow }) => ({
        startMs,
        groups: [...groups],
        overflow,
      })),
    });
  }

  restore(snapshot: OpenWindowsSnapshot): void {
    const { watermarkMs, windows } = structuredClone(snapshot);
    this.#watermarkMs = watermarkMs ?? Number.NEGATIVE_INFINITY;
    const { sizeMs } = this.#options.window;
    this.#windows = new Map(
      windows.map(({ startMs, groups, overflow }) => [
        startMs,
        { startMs, endMs: startMs + sizeMs, groups: new Map(groups), overflow },
      ]),
    );
  }

  #addTo(span: Span, { key, values }: Sample): void {
    let window = this.#windows.get(span.startMs);
    if (window === undefined) {
      window = { ...span, groups: new Map(), overflow: null };
      this.#windows.set(span.startMs, window);
    }
    const group = this.#groupOf(window, key);
    group.count += 1;
    group.tallies.forEach((tally, index) => {
      addToTally(tally, values[index] ?? null);
    });
  }

  #groupOf(window: OpenWindow, key: string | null): Group {
    const known = window.groups.get(key);
    if (known !== undefined) return known;
    if (window.groups.size >= this.#options.keysMax) {
      window.overflow ??= this.#emptyGroup();
      return window.overflow;
    }
    const group = this.#emptyGroup();
    window.groups.set(key, group);
    return group;
  }

  #emptyGroup(): Group {
    return { count: 0, tallies: this.#options.figures.map(emptyTally) };
  }
}

function closedGroups({ startMs, endMs, groups, overflow }: OpenWindow): ClosedGroup[] {
  const closed = (key: string | null, { count, tallies }: Group, isOverflow: boolean): ClosedGroup => ({
    key,
    startMs,
    endMs,
    overflow: isOverflow,
    count,
    values: tallies.map(resultOf),
  });
  const inOrder = [...groups].sort(([left], [right]) => compareKeys(left, right));
  const keyed = inOrder.map(([key, group]) => closed(key, group, false));
  return overflow === null ? keyed : [...keyed, closed(null, overflow, true)];
}

function compareKeys(left: string | null, right: string | null): number {
  if (left === right) return 0;
  if (left === null) return -1;
  if (right === null) return 1;
  return left < right ? -1 : 1;
}

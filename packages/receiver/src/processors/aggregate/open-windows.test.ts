import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ClosedGroup, OpenWindows, type Sample } from "./open-windows.ts";
import { spansAt, type Window } from "./window.ts";

const figures = [
  { kind: "count" },
  { kind: "sum" },
  { kind: "avg" },
  { kind: "min" },
  { kind: "max" },
  { kind: "percentile", percentile: 90 },
] as const;

const windows: fc.Arbitrary<Window> = fc.oneof(
  fc.record({ kind: fc.constant("tumbling" as const), sizeMs: fc.integer({ min: 1, max: 50 }) }),
  fc
    .record({
      kind: fc.constant("sliding" as const),
      sizeMs: fc.integer({ min: 1, max: 50 }),
      everyMs: fc.integer({ min: 1, max: 50 }),
    })
    .filter(({ sizeMs, everyMs }) => everyMs <= sizeMs),
);

const samples: fc.Arbitrary<Sample[]> = fc.array(
  fc
    .record({
      timeMs: fc.integer({ min: -200, max: 200 }),
      key: fc.constantFrom(null, "a", "b"),
      value: fc.option(fc.integer({ min: -50, max: 50 }), { nil: null }),
    })
    .map(({ timeMs, key, value }) => ({ timeMs, key, values: figures.map(() => value) })),
  { maxLength: 60 },
);

/** Over all events at once, in order: what is in each window, by looking at every window there might be. */
function naive(window: Window, all: readonly Sample[]): ClosedGroup[] {
  const stepMs = window.kind === "sliding" ? window.everyMs : window.sizeMs;
  const results: ClosedGroup[] = [];
  for (let startMs = Math.floor(-300 / stepMs) * stepMs; startMs <= 200; startMs += stepMs) {
    const endMs = startMs + window.sizeMs;
    for (const key of [null, "a", "b"]) {
      const inside = all.filter((one) => one.key === key && startMs <= one.timeMs && one.timeMs < endMs);
      if (inside.length === 0) continue;
      const numbers = inside.flatMap(({ values: [value] }) => (value == null ? [] : [value]));
      const sum = numbers.reduce((left, right) => left + right, 0);
      const isEmpty = numbers.length === 0;
      const ranked = numbers.toSorted((left, right) => left - right)[Math.ceil(numbers.length * 0.9) - 1];
      results.push({
        key,
        startMs,
        endMs,
        overflow: false,
        count: inside.length,
        values: [
          inside.length,
          sum,
          isEmpty ? null : sum / numbers.length,
          isEmpty ? null : Math.min(...numbers),
          isEmpty ? null : Math.max(...numbers),
          ranked ?? null,
        ],
      });
    }
  }
  return results;
}

/** Percentiles may be 1 % off, the rest is exact. */
function assertSame(found: readonly ClosedGroup[], expected: readonly ClosedGroup[]): void {
  const exact = (groups: readonly ClosedGroup[]) =>
    groups.map(({ values, ...group }) => ({ ...group, values: values.slice(0, -1) }));
  assert.deepEqual(exact(found), exact(expected));
  found.forEach((group, index) => {
    const [is, should] = [group.values.at(-1), expected[index]?.values.at(-1)];
    if (is == null || should == null) assert.equal(is, should);
    else assert.ok(Math.abs(is - should) <= Math.abs(should) * 0.010001, `${is} for ${should}`);
  });
}

test("each window comes out once and whole, in whatever order events come within the lateness", () => {
  const property = fc.property(
    windows,
    samples,
    fc.integer({ min: 0, max: 100 }),
    fc.infiniteStream(fc.integer({ min: 0, max: 1_000 })),
    (window, all, allowedLatenessMs, noise) => {
      // Moved by at most the lateness: so none comes more than that after a later one.
      const jittered = all.map((sample) => {
        const jitterMs = (noise.next().value as number) % (allowedLatenessMs + 1);
        return { sample, atMs: sample.timeMs + jitterMs };
      });
      const inOrder = jittered.sort((left, right) => left.atMs - right.atMs).map(({ sample }) => sample);
      const open = new OpenWindows({ window, figures, allowedLatenessMs, keysMax: 3 });
      const closed = inOrder.flatMap((sample) => {
        assert.deepEqual(open.add(sample), []);
        return open.takeClosed();
      });
      closed.push(...open.takeAll());
      assertSame(closed, naive(window, all));
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test("whatever comes late, each event is either in a window or reported as missing it", () => {
  const property = fc.property(windows, samples, fc.integer({ min: 0, max: 20 }), (window, all, lateness) => {
    const open = new OpenWindows({ window, figures, allowedLatenessMs: lateness, keysMax: 3 });
    let missed = 0;
    let counted = 0;
    const seen = new Set<string>();
    const take = (groups: readonly ClosedGroup[]) => {
      for (const { key, startMs, count } of groups) {
        assert.ok(!seen.has(`${key} ${startMs}`), "a window came out twice");
        seen.add(`${key} ${startMs}`);
        counted += count;
      }
    };
    for (const sample of all) {
      missed += open.add(sample).length;
      take(open.takeClosed());
    }
    take(open.takeAll());
    const places = all.reduce((sum, { timeMs }) => sum + spansAt(window, timeMs).length, 0);
    assert.equal(missed + counted, places);
  });
  fc.assert(property, { numRuns: 200 });
});

test("a snapshot taken anywhere changes nothing", () => {
  const property = fc.property(windows, samples, fc.nat({ max: 60 }), (window, all, at) => {
    const options = { window, figures, allowedLatenessMs: 20, keysMax: 1 };
    const steady = new OpenWindows(options);
    let restarted = new OpenWindows(options);
    all.forEach((sample, index) => {
      if (index === at) {
        const snapshot = JSON.parse(JSON.stringify(restarted.snapshot()));
        restarted = new OpenWindows(options);
        restarted.restore(snapshot);
      }
      assert.deepEqual(restarted.add(sample), steady.add(sample));
      assert.deepEqual(restarted.takeClosed(), steady.takeClosed());
    });
    assert.deepEqual(restarted.takeAll(), steady.takeAll());
  });
  fc.assert(property, { numRuns: 100 });
});

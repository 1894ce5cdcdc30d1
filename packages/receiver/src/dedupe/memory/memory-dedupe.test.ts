import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { exerciseDedupe } from "../dedupe.conformance.ts";
import { memoryDedupe } from "./memory-dedupe.ts";
import { MemoryMarks } from "./memory-marks.ts";

exerciseDedupe(
  "memory",
  () => {
    const written: string[] = [];
    mock.timers.enable({ apis: ["Date"], now: 1_700_000_000_000 });
    return {
      open: async (options) => memoryDedupe(options),
      async write(_: undefined, row) {
        written.push(row);
      },
      written: async () => written,
      marks: async () => assert.fail("not countable"),
      advance: async (ms) => mock.timers.tick(ms),
      destroy: async () => mock.timers.reset(),
    };
  },
  { isTransactional: false, isShared: false, isCountable: false, meanwhile: "waits" },
);

describe("marks in memory", () => {
  beforeEach(() => mock.timers.enable({ apis: ["Date"], now: 0 }));
  afterEach(() => mock.timers.reset());

  test("are bounded: the oldest go first", () => {
    const marks = new MemoryMarks(1000, 3);
    for (const key of ["a", "b", "c", "d", "e"]) marks.add(key);
    assert.deepEqual(
      ["a", "b", "c", "d", "e"].map((key) => marks.has(key)),
      [false, false, true, true, true],
    );
    assert.equal(marks.size, 3);
  });

  test("that are over go as new ones come, two for one", () => {
    const marks = new MemoryMarks(1000, 1000);
    for (let index = 0; index < 100; index += 1) marks.add(`old ${index}`);
    mock.timers.tick(1000);
    for (let index = 0; index < 40; index += 1) marks.add(`new ${index}`);
    assert.equal(marks.size, 60);
    for (let index = 40; index < 100; index += 1) marks.add(`new ${index}`);
    assert.equal(marks.size, 100);
    assert(marks.has("new 0"));
  });

  test("that are set again count from then on", () => {
    const marks = new MemoryMarks(1000, 3);
    for (const key of ["a", "b", "c"]) marks.add(key);
    mock.timers.tick(1000);
    marks.add("a");
    assert.deepEqual([marks.has("a"), marks.has("b"), marks.size], [true, false, 1]);
    for (const key of ["d", "e"]) marks.add(key);
    assert.deepEqual(
      ["a", "d", "e"].map((key) => marks.has(key)),
      [true, true, true],
    );
    marks.add("f");
    assert.deepEqual([marks.has("a"), marks.has("d"), marks.size], [false, true, 3]);
  });

  test("refuse options that make no sense", () => {
    for (const entriesMax of [0, 1.5, Number.NaN]) {
      assert.throws(() => memoryDedupe({ entriesMax }), /entriesMax is/);
    }
    for (const windowMs of [0, -1, 0.5, Number.POSITIVE_INFINITY]) {
      assert.throws(() => memoryDedupe({ windowMs }), /windowMs is/);
    }
  });
});

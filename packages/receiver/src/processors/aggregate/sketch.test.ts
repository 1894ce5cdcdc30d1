import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addToSketch, percentileOf, type Sketch } from "./sketch.ts";

function sketchOf(values: readonly number[]): Sketch {
  const sketch: Sketch = {};
  for (const value of values) addToSketch(sketch, value);
  return sketch;
}

test("a percentile is within 1 % of the value of that rank, whatever the values", () => {
  const values = fc.array(fc.double({ min: -1e15, max: 1e15, noNaN: true }), {
    minLength: 1,
    maxLength: 200,
  });
  const property = fc.property(values, fc.double({ min: 0.1, max: 100, noNaN: true }), (all, percentile) => {
    const ranked = all.toSorted((left, right) => left - right);
    const exact = ranked[Math.max(1, Math.ceil((percentile / 100) * all.length)) - 1]!;
    const found = percentileOf(sketchOf(all), percentile)!;
    assert.ok(Math.abs(found - exact) <= Math.abs(exact) * 0.010001 + 1e-9, `${found} for ${exact}`);
  });
  fc.assert(property, { numRuns: 300 });
});

test("no values have no percentile", () => {
  assert.equal(percentileOf({}, 50), null);
});

test("values over all sizes take a bounded number of buckets, and what gives way is nearest to zero", () => {
  const all = Array.from({ length: 3_000 }, (_, index) => 10 ** (-9 + (index * 300) / 3_000));
  const sketch = sketchOf(all);
  assert.ok(Object.keys(sketch).length <= 2_050, `${Object.keys(sketch).length} buckets`);
  const high = percentileOf(sketch, 99)!;
  assert.ok(Math.abs(high / all[2_969]! - 1) < 0.0101);
  assert.equal(percentileOf(sketch, 1), 0);
});

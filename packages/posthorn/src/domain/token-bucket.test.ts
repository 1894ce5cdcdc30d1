import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { TokenBucket } from "./token-bucket.ts";

/** How many of the tries at these times are let through. */
function taken(bucket: TokenBucket, triesAtMs: readonly number[]): number {
  return triesAtMs.filter((atMs) => {
    if (bucket.waitMs(atMs) > 0) return false;
    bucket.take();
    return true;
  }).length;
}

describe("a bucket of tokens", () => {
  test("holds one second's worth, and at least one", () => {
    assert.equal(taken(new TokenBucket(5, 0), Array(20).fill(0)), 5);
    assert.equal(taken(new TokenBucket(0.1, 0), Array(20).fill(0)), 1);
  });

  test("says how long the next one takes, and is right", () => {
    const bucket = new TokenBucket(4, 1000);
    assert.equal(taken(bucket, Array(4).fill(1000)), 4);
    assert.equal(bucket.waitMs(1000), 250);
    assert.equal(bucket.waitMs(1100), 150);
    assert.equal(bucket.waitMs(1250), 0);
    assert.equal(bucket.left(1500), 2);
    assert.equal(bucket.fullInMs(1500), 500);
  });

  test("fills no further than that, however long nobody comes", () => {
    const bucket = new TokenBucket(3, 0);
    bucket.take();
    assert.equal(bucket.left(1e9), 3);
    bucket.giveBack();
    assert.equal(bucket.left(1e9), 3);
  });

  test("takes over another rate without giving anything away", () => {
    const bucket = new TokenBucket(10, 0);
    assert.equal(taken(bucket, Array(10).fill(0)), 10);
    bucket.setRate(100, 0);
    assert.equal(bucket.left(0), 0);
    assert.equal(bucket.left(500), 50);
    bucket.setRate(2, 500);
    assert.equal(bucket.left(500), 2);
  });

  test("over any time lets through the rate and one burst, whatever comes when", () => {
    const gaps = fc.array(fc.double({ min: 0, max: 400, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(fc.double({ min: 0.05, max: 500, noNaN: true }), gaps, (perSecond, gapsMs) => {
        let nowMs = 0;
        const triesAtMs = gapsMs.map((gapMs) => (nowMs += gapMs));
        const allowed = Math.max(1, perSecond) + (perSecond * nowMs) / 1000 + 1e-6;
        assert.ok(taken(new TokenBucket(perSecond, 0), triesAtMs) <= allowed);
      }),
      { numRuns: 100 },
    );
  });
});

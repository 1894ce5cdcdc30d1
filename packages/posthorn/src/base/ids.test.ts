import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isId, locatorOf, newAppId, newId, timeOf } from "./ids.ts";

const KINDS = ["app", "ep", "evt", "dlv", "att", "rpl", "key", "inc", "pub", "req"] as const;

describe("ids", () => {
  test("a prefix and 30 characters without dots or look-alikes", () => {
    for (const kind of KINDS) {
      const id = newId(kind, 65_535);
      assert.match(id, new RegExp(`^${kind}_[0-9a-hjkmnp-tv-z]{30}$`));
      assert.ok(isId(kind, id));
    }
  });

  test("nothing else has the form of an id", () => {
    const id = newId("evt");
    const others = [
      "",
      id.slice(0, -1),
      `${id}0`,
      id.toUpperCase(),
      ` ${id}`,
      `${id}\n`,
      `${id.slice(0, -1)}u`,
    ];
    for (const other of [...others, newId("ep"), id.slice(4), null, undefined, 7, [id]]) {
      assert.ok(!isId("evt", other), String(other));
    }
  });

  test("carry the locator and the millisecond", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_535 }), (locator) => {
        const before = Date.now();
        const id = newId("dlv", locator);
        assert.equal(locatorOf(id), locator);
        assert.ok(timeOf(id) >= before && timeOf(id) <= Date.now());
      }),
    );
  });

  test("100,000 made in a row are all different", () => {
    const ids = new Set<string>();
    for (let i = 0; i < 100_000; i++) ids.add(newId("evt", 7));
    assert.equal(ids.size, 100_000);
  });

  test("60 bits are random: any character may stand at any of their places", () => {
    const seen = Array.from({ length: 12 }, () => new Set<string>());
    for (let i = 0; i < 2000; i++) {
      const random = newId("evt").slice(-12);
      for (const [place, characters] of seen.entries()) characters.add(random.charAt(place));
    }
    assert.deepEqual(
      seen.map(({ size }) => size),
      Array(12).fill(32),
    );
  });

  test("those of one app sort in the order in which they were made, within a millisecond too", () => {
    const ids = Array.from({ length: 20_000 }, () => newId("evt", 7));
    assert.deepEqual(ids.toSorted(), ids);
  });

  test("apps spread over the locators", () => {
    const locators = new Set(Array.from({ length: 500 }, () => locatorOf(newAppId())));
    assert.ok(locators.size > 450, `${locators.size} of 500`);
    assert.ok(Math.max(...locators) > 32_768 && Math.min(...locators) < 32_768);
  });

  test("sort by time, and never run backwards when the wall clock does", (context) => {
    context.mock.timers.enable({ apis: ["Date"], now: Date.now() + 60_000 });
    const first = newId("evt");
    context.mock.timers.setTime(Date.now() - 50_000);
    const second = newId("evt");
    assert.equal(timeOf(second), timeOf(first));
    context.mock.timers.setTime(Date.now() + 50_001);
    const third = newId("evt");
    assert.equal(timeOf(third), timeOf(first) + 1);
    assert.ok(third > first && third > second);
  });
});

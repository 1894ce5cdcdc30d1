import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { newAppId } from "../base/ids.ts";
import { OwnershipPace } from "./ownership-pace.ts";

const APART_MS = 5000;
const [SHOP, OTHER] = [newAppId(), newAppId()];

describe("the pace of questions", () => {
  let nowMs = 0;
  let pace: OwnershipPace;
  beforeEach(() => {
    nowMs = 0;
    pace = new OwnershipPace(APART_MS, () => nowMs);
  });
  const take = (url: string, appId = SHOP) => pace.take({ appId, url, verification: null });
  /** How many of so many may go out. */
  const taken = (count: number, urlOf: (nth: number) => string, appId = SHOP) =>
    Array.from({ length: count }, (_, nth) => take(urlOf(nth), appId)).filter((waitMs) => waitMs === null)
      .length;

  test("one app asks one host five times in 25 s, whatever it asks there, and is told how long to wait", () => {
    const urls = (nth: number) =>
      `http${nth % 2 ? "s" : ""}://Victim.example${nth % 3 ? "" : "."}:${8080 + nth}/${nth}`;
    assert.equal(taken(100, urls), 5);
    nowMs = 24_000;
    assert.equal(take("https://victim.example/"), 1000);
    nowMs = 25_000;
    assert.equal(taken(100, urls), 5);
  });

  test("one app asks 20 hosts in 20 s, and others are not in its way", () => {
    assert.equal(
      taken(100, (nth) => `https://host${nth}.example/`),
      20,
    );
    assert.equal(take("https://host0.example/", OTHER), null);
    nowMs = 20_000;
    assert.equal(take("https://host99.example/"), null);
  });

  test("a host that many apps share is asked 20 times in 20 s, and one app cannot use that up", () => {
    const shared = () => "https://shared.example/";
    assert.equal(taken(100, shared), 5);
    const apps = Array.from({ length: 50 }, () => newAppId());
    const counts = apps.map((app) => taken(1, shared, app));
    assert.equal(counts.filter((count) => count === 1).length, 15);
  });

  test("what may not go out counts nowhere", () => {
    assert.equal(
      taken(100, () => "https://victim.example/"),
      5,
    );
    assert.equal(
      taken(100, (nth) => `https://host${nth}.example/`),
      15,
      "of 20 that the app has",
    );
  });

  test("an endpoint that was asked just now has to wait, and counts nowhere either", () => {
    const verification = {
      policy: "challenge",
      verifiedAtMs: null,
      checkedAtMs: Date.now(),
      checks: 0,
      problem: null,
      origin: null,
      grantedPerMinute: null,
      callback: null,
    } as const;
    const url = "https://victim.example/";
    for (let nth = 0; nth < 10; nth++) {
      const waitMs = pace.take({ appId: SHOP, url, verification }) ?? 0;
      assert.ok(waitMs > 4000 && waitMs <= APART_MS, String(waitMs));
    }
    assert.equal(
      taken(10, () => url),
      5,
    );
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { laneOf, readyOf } from "../../test/lanes.ts";
import type { DeliveryClass } from "../domain/delivery.ts";
import type { Lane } from "./lane.ts";
import { Rings } from "./ring.ts";

/** A lane with so many deliveries of each class waiting. */
function laneWith(...waiting: number[]): Lane {
  const lane = laneOf();
  for (const [deliveryClass, count] of waiting.entries()) {
    for (let i = 0; i < count; i++) lane.push(readyOf(lane, deliveryClass as DeliveryClass));
  }
  return lane;
}

/** Serves as the dispatcher does: one delivery of the next lane, which then stands at the end again. */
function serve(rings: Rings, times: number): { lane: Lane; deliveryClass: DeliveryClass }[] {
  const served: { lane: Lane; deliveryClass: DeliveryClass }[] = [];
  while (served.length < times) {
    const next = rings.next();
    if (next === undefined) break;
    assert.equal(next.lane.take(next.deliveryClass)?.class, next.deliveryClass);
    served.push(next);
    rings.add(next.lane);
  }
  return served;
}

function countByClass(served: readonly { deliveryClass: DeliveryClass }[]): number[] {
  return [0, 1, 2].map((wanted) => served.filter(({ deliveryClass }) => deliveryClass === wanted).length);
}

describe("fair between lanes", () => {
  test("lanes are served in turn, a long one no more than a short one", () => {
    const rings = new Rings();
    const [long, short, other] = [laneWith(1000), laneWith(2), laneWith(3)];
    for (const lane of [long, short, other]) rings.add(lane);
    assert.deepEqual(
      serve(rings, 9).map(({ lane }) => lane),
      [long, short, other, long, short, other, long, other, long],
    );
  });

  test("a lane stands in the ring of a class once, however often it is added", () => {
    const rings = new Rings();
    const [one, other] = [laneWith(3), laneWith(3)];
    for (const lane of [one, one, other, one]) rings.add(lane);
    assert.deepEqual(
      serve(rings, 4).map(({ lane }) => lane),
      [one, other, one, other],
    );
  });

  test("a lane without work stands in none", () => {
    const rings = new Rings();
    rings.add(laneWith());
    assert.equal(rings.next(), undefined);
    rings.add(laneWith(0, 1));
    assert.deepEqual(countByClass(serve(rings, 9)), [0, 1, 0]);
  });
});

describe("the shares of the classes", () => {
  test("80 first attempts, 15 retries and 5 replays of each 100 while all wait", () => {
    const rings = new Rings();
    for (let i = 0; i < 3; i++) rings.add(laneWith(200, 200, 200));
    for (let round = 0; round < 3; round++) assert.deepEqual(countByClass(serve(rings, 100)), [80, 15, 5]);
  });

  test("a share that nobody uses passes on", () => {
    for (const [waiting, shares] of [
      [
        [500, 0, 0],
        [100, 0, 0],
      ],
      [
        [0, 0, 500],
        [0, 0, 100],
      ],
      [
        [0, 500, 500],
        [0, 75, 25],
      ],
    ] as const) {
      const rings = new Rings();
      rings.add(laneWith(...waiting));
      assert.deepEqual(countByClass(serve(rings, 100)), shares);
    }
  });

  test("a flood of first attempts does not keep a replay waiting for ever, nor the other way round", () => {
    const rings = new Rings();
    rings.add(laneWith(10_000));
    rings.add(laneWith(0, 0, 1));
    assert.deepEqual(countByClass(serve(rings, 100)), [99, 0, 1]);
    rings.add(laneWith(0, 0, 10_000));
    serve(rings, 50);
    rings.add(laneWith(1));
    assert.ok(serve(rings, 6).some(({ deliveryClass }) => deliveryClass === 0));
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Fifo } from "./fifo.ts";

describe("a first-in first-out queue", () => {
  test("gives back in the order of what came, whatever is pushed, taken and drained between", () => {
    const moves = fc.array(fc.constantFrom("push", "push", "push", "take", "take", "pick", "drain"), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(moves, fc.nat(120), (steps, filled) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        let next = 0;
        const push = (): void => {
          fifo.push(next);
          model.push(next);
          next += 1;
        };
        for (let i = 0; i < filled; i++) push();
        for (const step of steps) {
          if (step === "push") push();
          else if (step === "take") assert.equal(fifo.take(), model.shift());
          else if (step === "drain") assert.deepEqual(fifo.drain(), model.splice(0));
          else {
            const even = (item: number) => item % 2 === 0;
            assert.deepEqual(fifo.takeWhere(even), model.filter(even));
            model.splice(0, model.length, ...model.filter((item) => !even(item)));
          }
          assert.equal(fifo.length, model.length);
        }
      }),
    );
  });

  test("takes from a queue of 200,000 as quickly as from a short one", () => {
    const fifo = new Fifo<number>();
    for (let i = 0; i < 200_000; i++) fifo.push(i);
    const startedAt = performance.now();
    for (let i = 0; i < 200_000; i++) assert.equal(fifo.take(), i);
    assert.equal(fifo.take(), undefined);
    assert.ok(performance.now() - startedAt < 1000);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { runCrash } from "./crash.ts";

test("ten kills under load: nothing lost, changed or invented, order kept, duplicates only where the log says so", async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  context.diagnostic(`npm run crash -- --kills 10 --load 1 --seed ${seed}`);
  const { verdict, quiet, kills, unanswered } = await runCrash({ kills: 10, seed, load: 1, say: () => {} });
  assert.deepEqual(verdict.examples, []);
  assert.ok(verdict.ok);
  assert.ok(quiet && verdict.pending === 0, `${verdict.pending} deliveries still wait`);
  assert.equal(kills, 10);
  // The kills must have hit something, or the test has shown nothing.
  assert.ok(unanswered > 0 && verdict.accepted > 100, `${verdict.accepted} accepted, ${unanswered} cut off`);
});

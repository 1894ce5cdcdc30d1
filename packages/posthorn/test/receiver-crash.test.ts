import assert from "node:assert/strict";
import { test } from "node:test";
import { runReceiverCrash } from "./receiver-crash.ts";

test("a receiver that is killed again and again has each accepted event in its table exactly once", async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  context.diagnostic(
    `npm run receiver-crash -- --store sqlite --mode process --events 300 --kills 3 --seed ${seed}`,
  );
  const options = { store: "sqlite", mode: "process", events: 300, kills: 3, seed, say: () => {} } as const;
  const { accepted, rows, lost, repeated, invented, attemptsAgain, quiet } = await runReceiverCrash(options);
  assert.ok(quiet, "deliveries still wait");
  assert.deepEqual(
    { accepted, rows, lost, repeated, invented },
    { ...NOTHING_WRONG, accepted: 300, rows: 300 },
  );
  // The kills must have hit something, or the test has shown nothing.
  assert.ok(attemptsAgain > 0, "no event was sent again");
});

const NOTHING_WRONG = { lost: 0, repeated: 0, invented: 0 };

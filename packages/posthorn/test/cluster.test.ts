import assert from "node:assert/strict";
import { test } from "node:test";
import { runCluster } from "./cluster.ts";
import { LIMITED_PER_SECOND, shortfalls } from "./cluster-report.ts";

test("three nodes on one PostgreSQL, killed, stopped, and cut off from it: every accepted event is accounted for", async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const counts = { nodes: 3, events: 1500, faults: 4, restarts: 1, terminations: 1, seed };
  context.diagnostic(
    `npm run cluster -- --rate 300 --dead-after-ms 2000 ${Object.entries(counts)
      .map(([name, value]) => `--${name} ${value}`)
      .join(" ")}`,
  );
  const result = await runCluster({
    ...counts,
    perSecond: 300,
    deadAfterMs: 2000,
    say: () => {},
    logs: null,
  });
  assert.deepEqual(result.verdict.examples, []);
  assert.deepEqual(shortfalls(result), []);
  assert.deepEqual(result.faults, { kill: 2, stop: 2, restart: 1, terminate: 1 });
  // The faults must have hit something, or the test has shown nothing.
  assert.ok(result.verdict.accepted >= 1500 && result.unanswered > 0, `${result.unanswered} unanswered`);
  assert.ok(result.rescues > 0 && result.rejoins > 0, `${result.rescues} rescues, ${result.rejoins} rejoins`);
  // What a limit lets through in ten seconds, and a little where the lane went from one node to another.
  assert.ok(
    result.limitedWithin10s <= LIMITED_PER_SECOND * 10 * 1.05,
    `${result.limitedWithin10s} within 10 s`,
  );
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { QUICK, runBench, SCENARIOS } from "../src/cli/bench/bench.ts";

/** No figure is judged here: the machine may be busy. What was accepted must arrive. */
const SHORT = {
  ...QUICK,
  seconds: 0.3,
  warmUpSeconds: 0.1,
  backlog: 2000,
  stored: { sqlite: [100, 1000], postgres: [100, 1000] },
  store: null,
  pairs: 1,
  say: () => {},
};

/** The others are `npm run bench -- --quick`; starting their servers takes too long for here. */
const CHOSEN = ["maximum", "hanging", "backlog"];

describe("the bench in short: a scenario ends with a ledger in which nothing is lost or changed", () => {
  for (const scenario of SCENARIOS.filter(({ name }) => CHOSEN.includes(name))) {
    test(scenario.name, async () => {
      const { scenarios, ok } = await runBench([scenario], SHORT, () => {});
      const [result] = scenarios;
      assert.ok(result !== undefined && result.verdicts.length > 0);
      for (const verdict of result.verdicts) {
        assert.deepEqual(verdict.examples, []);
        assert.ok(verdict.accepted > 0);
      }
      assert.ok(ok);
      for (const { name, value } of result.figures) assert.ok(Number.isFinite(value), `${name} was measured`);
    });
  }
});

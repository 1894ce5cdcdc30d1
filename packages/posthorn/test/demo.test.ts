import assert from "node:assert/strict";
import { test } from "node:test";
import { runDemo } from "../src/cli/demo/demo.ts";

test("the demo in short: real payloads arrive at three unreliable endpoints, identical and validly signed", async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  context.diagnostic(`posthorn demo --events 25 --seed ${seed}`);
  const result = await runDemo({ seed, events: 25, quiet: true });
  assert.deepEqual(result.verdict.examples, []);
  assert.ok(result.ok);
  assert.equal(result.delivered, 75);
  assert.equal(result.identical, result.requests);
  assert.equal(result.signatureValid, result.requests);
  assert.ok(result.retried > 0, "one request in five fails, so some deliveries were retried");
});

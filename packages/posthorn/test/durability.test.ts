import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runDurability, UNSAFE } from "./durability.ts";

describe("PostgreSQL is shut down at once, right after publications were accepted", () => {
  test("as it is set up by default, none of them is missing", async () => {
    const run = { settings: {}, publications: 500, shutdowns: 1 };
    const { settings, accepted, lost, readiness } = await runDurability(run);
    assert.deepEqual(settings, { fsync: "on", synchronousCommit: "on" });
    assert.equal(lost, 0);
    assert.ok(accepted >= 500);
    assert.match(readiness, /"warnings":\[\]/);
  });

  test("with synchronous_commit off some are: the run sees loss, and the node has said so", async () => {
    const run = { settings: UNSAFE, publications: 100, shutdowns: 1 };
    const { settings, accepted, lost, readiness } = await runDurability(run);
    assert.equal(settings.synchronousCommit, "off");
    assert.ok(lost > 0, `${accepted} accepted, none lost`);
    assert.match(readiness, /"warnings":\["synchronous_commit=off/);
  });
});

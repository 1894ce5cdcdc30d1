import assert from "node:assert/strict";
import { test } from "node:test";
import type { FailureKind } from "./connections.ts";
import { failureOf } from "./failure.ts";

test("what an error of the database means, by its SQLSTATE", () => {
  const kinds: Readonly<Record<string, FailureKind>> = {
    "40P01": "again", // deadlock_detected
    "53100": "full", // disk_full
    "53200": "unavailable", // out_of_memory: it passes, and refuses nobody's event for good
    "58030": "unavailable", // io_error
    "57P01": "lost", // admin_shutdown
    "23505": "other", // unique_violation
  };
  for (const [code, kind] of Object.entries(kinds))
    assert.equal(failureOf(Object.assign(new Error(code), { code })), kind, code);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { aligned } from "./table.ts";

test("columns stand under each other, numbers to the right", () => {
  assert.deepEqual(
    aligned([
      ["name", "count"],
      ["shop", 7],
      ["a longer one", 12_345],
    ]),
    ["name          count", "shop              7", "a longer one  12345"],
  );
});

test("other people's text cannot break its line or steer the terminal", () => {
  assert.deepEqual(aligned([["a\nb", "\u001b[2J\u009b31mred"]]), ["a b   [2J 31mred"]);
});

test("what is not there is a dash", () => {
  assert.deepEqual(aligned([[null, "x"]]), ["-  x"]);
});

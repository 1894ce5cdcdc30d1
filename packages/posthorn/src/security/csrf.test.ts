import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";
import { isCsrfToken, makeCsrfToken } from "./csrf.ts";

const key = randomBytes(32);

test("a token is good for its session and its key, and nothing else is", () => {
  const token = makeCsrfToken(key, "ses_a");
  assert.ok(isCsrfToken(key, "ses_a", token));
  assert.ok(!isCsrfToken(key, "ses_b", token), "of another session");
  assert.ok(!isCsrfToken(randomBytes(32), "ses_a", token), "under another key");
  const flipped = (at: number) => token.slice(0, at) + (token[at] === "0" ? "1" : "0") + token.slice(at + 1);
  for (const at of [0, 63, 65, token.length - 1])
    assert.ok(!isCsrfToken(key, "ses_a", flipped(at)), `at ${at}`);
  for (const nonsense of ["", ".", token.slice(1), `${token}0`, token.toUpperCase(), token.replace(".", "")])
    assert.ok(!isCsrfToken(key, "ses_a", nonsense), nonsense);
});

test("two tokens of one session differ, and both are good", () => {
  const [one, other] = [makeCsrfToken(key, "ses_a"), makeCsrfToken(key, "ses_a")];
  assert.notEqual(one, other);
  assert.ok(isCsrfToken(key, "ses_a", one) && isCsrfToken(key, "ses_a", other));
});

test("it is what the cheat sheet says", () => {
  const [signature, random = ""] = makeCsrfToken(key, "ses_a").split(".");
  assert.equal(random.length, 128);
  const expected = createHmac("sha256", key).update(`5!ses_a!128!${random}`).digest("hex");
  assert.equal(signature, expected);
});

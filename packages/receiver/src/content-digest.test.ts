import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { contentDigest, verifyContentDigest } from "./index.ts";

// RFC 9530 B.1, and A: the body ends with a line feed.
const BODY = '{"hello": "world"}\n';
const SHA_256 = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
const digest = (algorithm: string) =>
  `sha-${algorithm.slice(3)}=:${createHash(algorithm).update(BODY).digest("base64")}:`;
const OTHER = SHA_256.replace("RK", "RL");

describe("content-digest", () => {
  test("is that of the RFC, from text and from bytes", () => {
    assert.equal(contentDigest(BODY), SHA_256);
    assert.equal(contentDigest(Buffer.from(BODY)), SHA_256);
  });
  test("either algorithm will do, beside others that are not looked at", () => {
    const weak = "md5=:AAAA:, unixsum=30637";
    for (const header of [
      SHA_256,
      digest("sha512"),
      `${SHA_256}, ${digest("sha512")}`,
      `${weak}, ${SHA_256}`,
    ]) {
      verifyContentDigest(header, BODY);
      assert.throws(() => verifyContentDigest(header, BODY.trim()), { code: "digest_mismatch" });
    }
  });
  for (const [what, header] of [
    ["one of two that is wrong", `${OTHER}, ${digest("sha512")}`],
    ["only algorithms that prove nothing", `md5=:${createHash("md5").update(BODY).digest("base64")}:`],
    ["none", ""],
    ["a digest cut short", "sha-256=:RK/0:"],
    ["an empty one", "sha-256=::"],
    ["text in place of bytes", 'sha-256="RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="'],
    ["a list in place of bytes", `sha-256=(${SHA_256.slice(8)})`],
    ["no value", "sha-256"],
  ] as const) {
    test(`${what} is refused`, () => {
      assert.throws(() => verifyContentDigest(header, BODY), { code: "digest_mismatch" });
    });
  }
  test("the same algorithm twice, and what is no structured field, is refused", () => {
    for (const header of [
      `${SHA_256}, ${SHA_256}`,
      `${OTHER}, ${SHA_256}`,
      `SHA-256=${SHA_256.slice(8)}`,
      SHA_256.slice(0, -1),
    ]) {
      assert.throws(() => verifyContentDigest(header, BODY), { code: "invalid_header" });
    }
  });
});

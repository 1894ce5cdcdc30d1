import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { loadMasterKey } from "./master-key.ts";

describe("the master key", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "posthorn-key-"));
  after(() => rmSync(directory, { recursive: true }));

  test("is made at the first start, readable by its owner only, and the same ever after", () => {
    const file = path.join(directory, "master.key");
    const key = loadMasterKey({ file });
    assert.equal(key.length, 32);
    if (process.platform !== "win32") assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(loadMasterKey({ file }), key);
    assert.deepEqual(readdirSync(directory), ["master.key"]);
  });

  test("comes from the environment first, in base64, base64url or hex, and then touches no file", () => {
    const file = path.join(directory, "never-made.key");
    const key = randomBytes(32);
    for (const encoding of ["base64", "base64url", "hex"] as const) {
      assert.deepEqual(loadMasterKey({ fromEnvironment: key.toString(encoding), file }), key);
    }
    assert.equal(readdirSync(directory).includes("never-made.key"), false);
  });

  test("of a wrong form is refused by name, and neither shown nor overwritten", () => {
    const file = path.join(directory, "wrong.key");
    for (const content of [
      "",
      "secret-but-short",
      `${randomBytes(31).toString("base64")}\n`,
      "g".repeat(64),
    ]) {
      writeFileSync(file, content);
      assert.throws(
        () => loadMasterKey({ file }),
        (error: Error) => error.message.includes(file) && !error.message.includes(content.trim() || "\0"),
      );
      assert.equal(readFileSync(file, "utf8"), content);
    }
    assert.throws(
      () => loadMasterKey({ fromEnvironment: "abc", file }),
      /POSTHORN_MASTER_KEY must hold 32 bytes/,
    );
  });

  test("in a directory that is not there fails with the system's error", () => {
    assert.throws(() => loadMasterKey({ file: path.join(directory, "none", "master.key") }), {
      code: "ENOENT",
    });
  });
});

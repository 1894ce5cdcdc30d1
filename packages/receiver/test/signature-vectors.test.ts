// The whole corpus of published and made vectors, and the command that runs it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { faultOf, runVectors } from "./run-vectors.ts";
import { readVectors } from "./signature-vectors.ts";
import { CHECKS, type Vector } from "./vector-checks.ts";

const vectors = readVectors(new URL("data/signature-vectors.json", import.meta.url));
const checked = vectors.filter(({ scheme }) => CHECKS.has(scheme));
const runner = fileURLToPath(new URL("signature-vectors.ts", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "posthorn-vectors-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("the vectors", () => {
  test("each scheme has some, and the whole has enough of the good and the bad", () => {
    assert.deepEqual(new Set(checked.map(({ scheme }) => scheme)), new Set(CHECKS.keys()));
    assert.equal(checked.filter(({ valid }) => valid).length, 48);
    assert.equal(checked.filter(({ valid }) => !valid).length, 52);
  });
  for (const vector of checked) {
    test(`${vector.scheme}: ${vector.id} is ${vector.valid ? "accepted" : "refused"}`, () => {
      const check = CHECKS.get(vector.scheme);
      assert.ok(check);
      assert.equal(faultOf(vector, check), undefined);
      // The same vector with the other verdict is a fault, so the check can fail.
      assert.notEqual(faultOf({ ...vector, valid: !vector.valid }, check), undefined);
    });
  }
  test("what a decryption should read is compared too", () => {
    const vector = checked.find(({ scheme }) => scheme === "jwe-ecdh-es") as Vector;
    const tally = runVectors([{ ...vector, expect: "something else" }], () => {});
    assert.equal(tally.failed, 1);
  });
});

describe("the command", () => {
  const run = async (content: unknown, ...flags: string[]) => {
    const file = path.join(folder, "vectors.json");
    writeFileSync(file, JSON.stringify(content));
    const environment = { ...process.env, NODE_OPTIONS: "" };
    return promisify(execFile)(process.execPath, [runner, file, ...flags], { env: environment }).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        ...{ code, stdout, stderr },
      }),
    );
  };
  const find = (id: string) => vectors.find((vector) => vector.id === id) as Vector;

  test("names the wrong ones, says what it left out, closes with the sums and ends with 1", async () => {
    const wrong = { ...find("sw-v1a-ok"), valid: false };
    const unknown = { ...find("sw-v1a-ok"), scheme: "tarot" };
    const { code, stdout } = await run({ vectors: [find("sw-v1-ok"), wrong, unknown, unknown] });
    assert.deepEqual(stdout.trimEnd().split("\n"), [
      "WRONG sw-v1a-ok (standard-webhooks): is not valid, and was accepted",
      "SKIPPED tarot: 2 (there is no check for it yet)",
      "1 passed, 1 failed, 2 skipped",
    ]);
    assert.equal(code, 1);
  });
  test("--schemes takes some, and refuses a name that nothing has", async () => {
    const all = { vectors: [find("sw-v1-ok"), find("rfc9530-sha256-empty")] };
    const [some, none] = await Promise.all([
      run(all, "--schemes", "content-digest"),
      run(all, "--schemes", "tarot"),
    ]);
    assert.match(
      some.stdout,
      /^SKIPPED standard-webhooks: 1 \(not asked for\)\n1 passed, 0 failed, 1 skipped\n$/,
    );
    assert.equal(some.code, 0);
    assert.match(none.stderr, /there is no scheme tarot/);
    assert.equal(none.code, 2);
  });
});

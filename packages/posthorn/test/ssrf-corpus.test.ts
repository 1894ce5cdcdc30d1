// Every row of data/ssrf-cases.tsv, and the command that judges such files.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { judge, readCases } from "./ssrf-cases.ts";

const rows = readCases(readFileSync(new URL("data/ssrf-cases.tsv", import.meta.url), "utf8"));

describe("the corpus of URLs that reach for what is not theirs", () => {
  test("holds rows of both verdicts", () => {
    assert.ok(rows.filter(({ verdict }) => verdict === "block").length > 100);
    assert.ok(rows.filter(({ verdict }) => verdict === "allow").length >= 20);
    assert.ok(rows.every(({ verdict }) => verdict === "block" || verdict === "allow"));
  });

  for (const row of rows) {
    test(`${row.verdict} ${JSON.stringify(row.url)}: ${row.note}`, async () => {
      const { verdict, why } = await judge(row);
      assert.equal(verdict, row.verdict, why);
    });
  }

  test("the command prints each wrong row, counts, and fails", (context) => {
    const folder = mkdtempSync(path.join(tmpdir(), "posthorn-ssrf-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, "cases.tsv");
    const lines = [
      "https://1.1.1.1/\tallow\tright",
      "http://127.0.0.1/\tallow\twrong",
      "https://a.example.com/\tblock\twrong [dns 93.184.215.14]",
      "\\thttp://127.0.0.1/\tblock\tright",
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    const command = fileURLToPath(new URL("ssrf-cases.ts", import.meta.url));
    const { stdout, status } = spawnSync(process.execPath, [command, file], { encoding: "utf8" });
    assert.deepEqual(stdout.match(/^wrong: "[^"]+"/gm), [
      'wrong: "http://127.0.0.1/"',
      'wrong: "https://a.example.com/"',
    ]);
    assert.match(stdout, /\n2 passed, 2 failed\n$/);
    assert.equal(status, 1);
  });
});

// docs/receiving/command-line.md as a reader follows it: its flags, its file, and what its commands print.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { Command } from "commander";
import * as receive from "../src/cli/commands/receive.ts";
import { signCommand } from "../src/cli/commands/sign.ts";
import { verifyCommand } from "../src/cli/commands/verify.ts";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { readSettings } from "../src/cli/receive/settings.ts";
import { repository } from "./floors.ts";

const run = promisify(execFile);
const page = readFileSync(path.join(repository, "docs/receiving/command-line.md"), "utf8");
const folder = mkdtempSync(path.join(tmpdir(), "posthorn-command-line-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The part of the page below a heading. */
function partOf(heading: string): string {
  const [, part = ""] = page.split(new RegExp(`^## ${heading}$`, "m"));
  return part.split(/^## /m)[0] ?? "";
}

function blockOf(part: string, language: string): string {
  return (
    new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms").exec(part)?.[1] ?? assert.fail(`no ${language}`)
  );
}

test("every flag of the three commands is told, and no other", () => {
  const commands = [receive.fill(new Command("receive")), signCommand(), verifyCommand()];
  const flags = new Set(commands.flatMap(({ options }) => options.map(({ long }) => long)));
  const rows = [...partOf("posthorn receive").matchAll(/^\| (`--.*?) \|/gm)].map(([, cell = ""]) => cell);
  const told = rows.join().match(/--[a-z-]+/g) ?? [];
  const ofReceive = commands[0]?.options.map(({ long }) => long);
  assert.deepEqual(told.toSorted(), ofReceive?.toSorted());
  const unknown = [...page.matchAll(/(?<=[`\s])--[a-z-]+/g)].filter(([flag]) => !flags.has(flag));
  assert.deepEqual(unknown.map(String), []);
});

test("its file is one", () => {
  const file = path.join(folder, "receive.json");
  writeFileSync(file, blockOf(page, "json receive\\.json"));
  const { handlers, store } = readSettings(file, {});
  assert.deepEqual([Object.keys(handlers), store], [["order.*", "*"], "sqlite:shop.db"]);
});

test("sign and verify print what it says", async () => {
  for (const name of ["sign", "verify"]) {
    const part = partOf(`posthorn ${name}`);
    assert.equal(await said(blockOf(part, "sh")), blockOf(part, "text"));
  }
});

async function said(command: string): Promise<string> {
  const main = path.join(repository, "packages/posthorn/src/cli/main.ts");
  const shown = [process.execPath, ...NODE_ARGUMENTS, main].map((word) => `'${word}'`).join(" ");
  const { stdout } = await run("sh", ["-ec", command.replace(/^posthorn/gm, shown)], { cwd: folder });
  return stdout;
}

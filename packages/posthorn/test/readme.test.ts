// The README as a reader follows it: each snippet as printed, in order, in a folder of its own, beside a server that runs what
// `npm start` runs. Only ports are changed, because those of the README may be in use on this machine.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { repository } from "./floors.ts";
import { freePort } from "./free-port.ts";
import { type Snippet, snippetsOf } from "./snippets.ts";

const run = promisify(execFile);
const snippets = snippetsOf("README.md");
const folder = mkdtempSync(path.join(tmpdir(), "posthorn-readme-"));
const running: ChildProcess[] = [];
/** What the running processes have said, for when something goes wrong. */
let log = "";

after(async () => {
  await Promise.all(running.map(stop));
  rmSync(folder, { recursive: true, force: true });
});

test("README.zh-CN.md has the same snippets", () => {
  assert.ok(snippets.length >= 8);
  assert.deepEqual(snippetsOf("README.zh-CN.md"), snippets);
});

test("each snippet of the README works as printed", { timeout: 60_000 }, async () => {
  layFolder();
  const [serverPort, receiverPort, hooksPort] = [await freePort(), await freePort(), await freePort()];
  const environment = readersEnvironment({ POSTHORN_URL: `http://127.0.0.1:${serverPort}` });
  const asPrinted = (snippet: Snippet) =>
    snippet.text
      .replaceAll("8071", String(serverPort))
      .replaceAll("3000", String(receiverPort))
      .replaceAll("9000", String(hooksPort));
  let said = "";
  let received = "";

  for (const snippet of snippets) {
    const text = asPrinted(snippet);
    if (snippet.file !== undefined) {
      writeFileSync(path.join(folder, snippet.file), text);
    } else if (text === "npm start\n") {
      await start(startCommand(), { ...environment, POSTHORN_PORT: String(serverPort) }, /http:\/\/127/);
    } else if (text.endsWith("receiver.mjs\n")) {
      const receiver = await start(["sh", "-ec", text], environment, /listening/);
      receiver.stdout?.on("data", (chunk) => {
        received += chunk;
      });
    } else if (text.includes("posthorn receive ")) {
      await start(["sh", "-ec", text], environment, /listens on http/);
    } else {
      const { stdout } = await run("sh", ["-ec", text], { cwd: folder, env: environment }).catch((error) => {
        throw new Error(`${error.message}\nThe server and the receiver said:\n${log}`);
      });
      said += stdout;
    }
  }

  assert.match(said, /^id +app_/m, "the app was made");
  assert.match(said, /^id +ep_/m, "the endpoint was made");
  assert.match(said, /^dlv_\w+ +order\.created .* delivered +1 /m, "the delivery is shown as delivered");
  assert.match(said, /\{"id":"evt_\w+","duplicate":false,"deliveries":1,"fanOut":"done"\}/, "curl published");
  assert.match(said, /kind: 'succeeded', status: 200/, "the embedded engine delivered");
  assert.match(said, /^HTTP\/1\.1 200 OK/m, "posthorn receive took what was signed");
  for (const data of ['{"order": 1, "total": 12.50}', '{"order": 2, "total": 7.00}', '{"order":3}']) {
    assert.ok(received.includes(`"data":${data}}`), `the receiver got ${data} byte for byte: ${received}`);
  }
});

/** As in the clone: its node_modules and its .npmrc, so that `npx` finds the same commands; nothing else of it. */
function layFolder(): void {
  symlinkSync(path.join(repository, "node_modules"), path.join(folder, "node_modules"), "junction");
  copyFileSync(path.join(repository, ".npmrc"), path.join(folder, ".npmrc"));
  writeFileSync(path.join(folder, "package.json"), `{"private":true,"type":"module"}`);
}

/** What the script `start` of package.json runs. */
function startCommand(): string[] {
  const { scripts } = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8"));
  const [node, file, ...rest] = (scripts.start as string).split(" ");
  assert.equal(node, "node");
  return [process.execPath, path.join(repository, file ?? ""), ...rest];
}

/** A reader's shell: nothing of what npm and this test run have set, and no configuration of Posthorn. */
function readersEnvironment(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_|POSTHORN_|INIT_CWD|FORCE_COLOR)/i.test(name),
  );
  const outside = (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((one) => !one.includes("node_modules"));
  return { ...Object.fromEntries(kept), PATH: outside.join(path.delimiter), NO_COLOR: "1", ...more };
}

/** Starts a command in the folder, in a process group of its own, and waits until it says `sign`. */
async function start(
  [command = "", ...rest]: string[],
  env: NodeJS.ProcessEnv,
  sign: RegExp,
): Promise<ChildProcess> {
  const child = spawn(command, rest, { cwd: folder, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  running.push(child);
  let output = "";
  await new Promise<void>((started, failed) => {
    const listen = (chunk: Buffer): void => {
      output += chunk;
      log += chunk;
      if (sign.test(output)) started();
    };
    child.stdout?.on("data", listen);
    child.stderr?.on("data", listen);
    child.once("error", failed);
    child.once("exit", (code) =>
      failed(new Error(`${command} ${rest.join(" ")} ended with ${code}: ${output}`)),
    );
  });
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  process.kill(-child.pid, "SIGTERM");
  await exited;
}

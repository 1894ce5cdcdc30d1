// npm run trace: a kill does not test the disk, because the page cache survives it. So this reads the server's system calls
// and asserts that the write-ahead log was synced between a publication's write and its 202; and that the same check fails
// when SQLite syncs less (synchronous=NORMAL), so that it is known to be able to fail.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startServer } from "../src/cli/proof/server-process.ts";
import { createApps } from "../src/cli/proof/setup.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { judgeTrace } from "./trace-reading.ts";

const MARK = "posthorn-trace-mark";
const CALLS = "openat,close,pwrite64,pwritev,write,writev,sendto,sendmsg,fsync,fdatasync";

/** What the server did from the publication on, as strace wrote it. */
async function tracePublication(environment: Readonly<Record<string, string>>): Promise<string> {
  const workspace = new Workspace("trace");
  const file = workspace.file("trace.txt");
  const { key } = generateApiKey();
  try {
    const server = await startServer({
      dataDir: workspace.file("data"),
      key,
      environment,
      // -D: the process started is the server, and strace its grandchild, so that signals reach the server.
      // -yy names files and sockets, -s shows enough of what is written.
      under: [
        "strace",
        "-D",
        "-f",
        "-yy",
        "-s",
        "5000",
        "-e",
        `trace=${CALLS}`,
        "-e",
        "signal=none",
        "-o",
        file,
      ],
    });
    workspace.atEnd(() => server.kill("SIGKILL"));
    await createApps(server.client, ["traced"]);
    await server.client.post("/v1/events", { app: "traced", type: MARK, data: {} });
    await server.stop();
    return await wholeTrace(file, server.pid);
  } finally {
    await workspace.close();
  }
}

/** strace writes its last line after the server has ended. */
async function wholeTrace(file: string, pid: number): Promise<string> {
  const end = new RegExp(`^${pid} +\\+\\+\\+ exited with`, "m");
  for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 20) {
    const trace = readFileSync(file, "utf8");
    if (end.test(trace)) return trace;
    await wait(20);
  }
  throw new Error("strace did not finish its trace.");
}

/** Makes SQLite sync less, and hides it from the server's own check at the start. Only this file can do that. */
function weakened(directory: string): Record<string, string> {
  const preload = `${directory}/weaken.mjs`;
  writeFileSync(
    preload,
    `import { DatabaseSync } from "node:sqlite";
const { exec, prepare } = DatabaseSync.prototype;
DatabaseSync.prototype.exec = function (sql) {
  return exec.call(this, sql.replace("synchronous = FULL", "synchronous = NORMAL"));
};
DatabaseSync.prototype.prepare = function (sql) {
  return prepare.call(this, sql === "PRAGMA synchronous" ? "SELECT 2" : sql);
};
`,
  );
  return { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${preload}` };
}

function stop(line: string): never {
  console.error(line);
  process.exit(1);
}

if (spawnSync("strace", ["--version"]).status !== 0) {
  if (process.env.CI) stop("strace is missing, and in CI it must not be.");
  console.log(`skipped: ${fileURLToPath(import.meta.url)} needs strace (apt-get install strace)`);
  process.exit(0);
}

const full = judgeTrace(await tracePublication({}), MARK);
console.log(`synchronous=FULL:   ${full.text}`);
if (full.kind !== "synced") stop("A 202 left before the log was synced.");

const scratch = new Workspace("trace-weakened");
const normal = judgeTrace(await tracePublication(weakened(scratch.directory)), MARK);
await scratch.close();
console.log(`synchronous=NORMAL: ${normal.text}`);
if (normal.kind !== "not_synced")
  stop("The check does not notice a log that is not synced, so it proves nothing.");
console.log("Traced: the log is synced before the 202, and the check can fail.");

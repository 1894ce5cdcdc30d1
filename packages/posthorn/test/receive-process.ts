// `posthorn receive` as a process, for tests.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";

export interface ReceiveProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Sends the signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<{ code: number | null; out: string; err: string }>;
}

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

function start(args: readonly string[], directory: string): ChildProcess {
  return spawn(process.execPath, [...NODE_ARGUMENTS, MAIN, "receive", ...args], {
    cwd: directory,
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Resolves once it listens, on a free port. @throws Error with what it said when it ends before that */
export async function startReceive(args: readonly string[], directory: string): Promise<ReceiveProcess> {
  const child = start([...args, "--port", "0"], directory);
  const ended = once(child, "exit");
  let [out, err] = ["", ""];
  const url = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const [, found] = /listens on (http\S+)/.exec(out + err) ?? [];
      if (found !== undefined) resolve(found);
    };
    child.stdout?.on("data", (chunk) => {
      out += chunk;
      look();
    });
    child.stderr?.on("data", (chunk) => {
      err += chunk;
      look();
    });
    child.once("exit", (code) => reject(new Error(`posthorn receive ended with ${code}:\n${out}${err}`)));
  });
  return {
    url,
    child,
    async end(signal = "SIGTERM") {
      child.kill(signal);
      const [code] = await ended;
      return { code, out, err };
    },
  };
}

/** For one that cannot start. */
export async function runReceive(args: readonly string[], directory: string) {
  const child = start(args, directory);
  const [err, [code]] = await Promise.all([text(child.stderr!), once(child, "exit")]);
  return { code: code as number, err };
}

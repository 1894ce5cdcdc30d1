/** A child process of our own that answers calls over its IPC channel. It ends with its parent. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

type Calls = Readonly<Record<string, (argument: never) => unknown>>;
type Argument<Call> = Call extends (argument: infer Value) => unknown ? Value : never;
type Result<Call> = Call extends (argument: never) => infer Value ? Awaited<Value> : never;

interface Question {
  readonly number: number;
  readonly name: string;
  readonly argument: unknown;
}
interface Reply {
  readonly number: number;
  readonly result?: unknown;
  readonly error?: string;
}

export interface Child<Handlers extends Calls> {
  readonly process: ChildProcess;
  call<Name extends keyof Handlers & string>(
    name: Name,
    argument: Argument<Handlers[Name]>,
  ): Promise<Result<Handlers[Name]>>;
  /** Ends the process and waits for it. */
  stop(): Promise<void>;
}

/** The file of a module beside the caller: .ts in the clone, .js where the package is installed. */
export function siblingModule(callerUrl: string, name: string): string {
  const extension = callerUrl.endsWith(".ts") ? ".ts" : ".js";
  return fileURLToPath(new URL(name + extension, callerUrl));
}

/** What Node itself is told: inside the clone, that packages are taken from their source. */
export const NODE_ARGUMENTS: readonly string[] = import.meta.url.endsWith(".ts")
  ? ["--conditions=posthorn-source"]
  : [];

export function startChild<Handlers extends Calls>(file: string): Child<Handlers> {
  const child = fork(file, [], {
    execArgv: [...NODE_ARGUMENTS],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const waiting = new Map<number, (reply: Reply) => void>();
  let calls = 0;
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      for (const [number, answer] of waiting) answer({ number, error: `${file} ended (${signal ?? code}).` });
      resolve();
    });
  });
  child.on("message", (reply: Reply) => {
    waiting.get(reply.number)?.(reply);
    waiting.delete(reply.number);
  });
  return {
    process: child,
    call(name, argument) {
      calls += 1;
      const number = calls;
      return new Promise((resolve, reject) => {
        waiting.set(number, ({ result, error }) =>
          error === undefined ? resolve(result as never) : reject(new Error(error)),
        );
        child.send({ number, name, argument } satisfies Question, (error) => {
          if (error !== null) reject(error);
        });
      });
    },
    async stop() {
      if (child.connected) child.disconnect();
      const timer = setTimeout(() => child.kill("SIGKILL"), 2000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** The child's side. Handlers clean up in `calls.close`, if there is one, when the parent hangs up. */
export function answerCalls(calls: Calls): void {
  process.on("message", async ({ number, name, argument }: Question) => {
    const reply = await answerOne(calls, name, argument);
    process.send?.({ number, ...reply } satisfies Reply);
  });
  process.on("disconnect", () => process.exit(0));
  // A Ctrl-C reaches the whole group; the parent ends this process in its own time.
  process.on("SIGINT", () => {});
}

async function answerOne(calls: Calls, name: string, argument: unknown): Promise<Omit<Reply, "number">> {
  try {
    const handler = calls[name];
    if (handler === undefined) throw new Error(`No call ${name}.`);
    return { result: await handler(argument as never) };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** A worker thread as the main thread sees it: messages go in, answers come back in the same order. */
import { Worker } from "node:worker_threads";
import type { SqliteSettings } from "./options.ts";
import { type Answer, type Call, type FromWorker, type ToWorker, uncarry } from "./wire.ts";

/** Messages die young and are small; the default lets each thread keep three times as much for them. */
const YOUNG_GENERATION_MB = 8;

interface Waiting {
  resolve(answers: readonly Answer[]): void;
  reject(error: Error): void;
}

export class WorkerThread<Verb extends string> {
  /** Rejects when the worker could not start. */
  readonly ready: Promise<void>;
  #worker: Worker;
  #waiting: Waiting[] = [];
  #exited: Promise<void>;
  #ended: Error | undefined;

  /** `entry` is the .ts file; where this file is compiled, its .js stands beside it. */
  constructor(entry: URL, settings: SqliteSettings, onFatal: (error: Error) => void) {
    const compiled = import.meta.url.endsWith(".js");
    const file = compiled ? new URL(entry.href.replace(/\.ts$/, ".js")) : entry;
    this.#worker = new Worker(file, {
      name: "posthorn-store",
      workerData: settings,
      // Flags of the main program (--input-type, --test) are not for this thread; it needs none.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    let started = false;
    const end = (error: Error): void => {
      if (this.#ended !== undefined) return;
      this.#ended = error;
      reject(error);
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
      if (started) onFatal(error);
    };
    this.#worker.on("message", (message: FromWorker) => {
      switch (message.kind) {
        case "ready":
          started = true;
          resolve();
          break;
        case "answers":
          this.#waiting.shift()?.resolve(message.answers);
          break;
        case "fatal":
          end(uncarry(message.error));
          break;
      }
    });
    this.#worker.on("error", (error: unknown) =>
      end(error instanceof Error ? error : new Error(String(error))),
    );
    this.#exited = new Promise((exited) => {
      this.#worker.once("exit", () => {
        end(new Error("The store's thread has ended."));
        exited();
      });
    });
  }

  /** Rejects when the worker ends before it has answered. */
  send(calls: readonly Call<Verb>[], transferList: ArrayBuffer[]): Promise<readonly Answer[]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage({ calls } satisfies ToWorker<Verb>, transferList);
    });
  }

  /** Lets the worker finish what it was sent, and end. */
  async close(): Promise<void> {
    if (this.#ended === undefined) {
      this.#ended = new Error("The store is closed.");
      this.#worker.postMessage("close" satisfies ToWorker<Verb>);
    }
    await this.#exited;
  }
}

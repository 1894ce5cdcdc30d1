/** The heartbeat of one node, as the main thread sees it. */
import { Worker } from "node:worker_threads";
import { messageOf } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { Beat } from "../store.ts";
import { NOT_ALIVE } from "./beat.ts";
import type { FromHeartbeat, HeartbeatSettings, ToHeartbeat } from "./heartbeat-thread.ts";
import { Pulse } from "./pulse.ts";

export interface HeartbeatOptions extends Omit<HeartbeatSettings, "memory"> {
  readonly logger: Logger;
  /** What is true from enlisting on, until the first beat. */
  readonly first: Beat;
  readonly advancedMs: number;
}

/** The thread keeps nothing but a connection. */
const OLD_GENERATION_MB = 32;
const YOUNG_GENERATION_MB = 2;
const END_MS_MAX = 1000;

export class Heartbeat {
  #pulse = new Pulse();
  #worker: Worker;
  #exited: Promise<void>;
  #waiting: (() => void)[] = [];

  constructor({ first, advancedMs, logger, ...settings }: HeartbeatOptions) {
    this.#pulse.beat = first;
    this.#pulse.advancedMs = advancedMs;
    this.#worker = new Worker(new URL("./heartbeat-thread.ts", import.meta.url), {
      name: "posthorn-heartbeat",
      workerData: { ...settings, memory: this.#pulse.memory } satisfies HeartbeatSettings,
      execArgv: [],
      resourceLimits: {
        maxOldGenerationSizeMb: OLD_GENERATION_MB,
        maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
      },
    });
    this.#worker.on("message", (_: FromHeartbeat) => this.#waiting.shift()?.());
    this.#worker.on("error", (error) => logger.error({ error: messageOf(error) }, "store.heartbeat_failed"));
    this.#exited = new Promise((exited) => {
      this.#worker.once("exit", () => {
        // The others give up whose heart has stopped.
        this.#pulse.beat = NOT_ALIVE;
        exited();
      });
    });
  }

  /** As of the last beat that came through. */
  get beat(): Beat {
    return this.#pulse.beat;
  }

  /** For tests: the clock moves, and the next beat says so. */
  async advanceTo(ms: number): Promise<void> {
    this.#pulse.advancedMs = ms;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    this.#worker.postMessage("beat" satisfies ToHeartbeat);
    await Promise.race([promise, this.#exited]);
  }

  /** At most a second: a thread that waits for a database that is away has nothing to end. */
  async end(): Promise<void> {
    this.#worker.postMessage("end" satisfies ToHeartbeat);
    const timer = setTimeout(() => void this.#worker.terminate(), END_MS_MAX);
    await this.#exited;
    clearTimeout(timer);
  }
}

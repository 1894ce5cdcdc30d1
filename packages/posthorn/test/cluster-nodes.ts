// The nodes of a cluster run: `posthorn serve` several times on one database, each to be killed, stopped and woken.
import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "../src/cli/client/client.ts";
import type { Target } from "../src/cli/proof/http-connection.ts";
import { type ServerProcess, startServer } from "../src/cli/proof/server-process.ts";
import { isMember as isMemberOf } from "./cluster-database.ts";

export interface ClusterOptions {
  readonly nodes: number;
  /** URL of the database. */
  readonly store: string;
  readonly key: string;
  readonly masterKey: string;
  readonly flags: readonly string[];
  /** Where a node would keep something, if it kept anything. */
  dataDir(node: string): string;
  /** Gets each line of each node's log. */
  onLog?(node: string, line: string): void;
}

interface Node {
  readonly name: string;
  server: ServerProcess;
  state: "up" | "stopped" | "down";
}

const GIVEN_UP_WITHIN_MS = 20_000;
const REJOINED_WITHIN_MS = 10_000;

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #nodes: Node[] = [];
  readonly #entries = new Map<string, number>();
  readonly #exits: string[] = [];
  #closing = false;

  private constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** The first one makes the schema, the others come at once. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    const add = async (number: number): Promise<void> => {
      const name = `node-${number}`;
      const node: Node = { name, server: await cluster.#start(name, 0), state: "up" };
      cluster.#nodes.push(node);
      cluster.#watch(node);
    };
    try {
      await add(1);
      await Promise.all(Array.from({ length: options.nodes - 1 }, (_, index) => add(index + 2)));
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** To the first node. */
  get client(): Client {
    return this.#nodes[0]!.server.client;
  }

  get targets(): [Target, ...Target[]] {
    return this.#nodes.map(({ server }) => ({ host: "127.0.0.1", port: server.port })) as [
      Target,
      ...Target[],
    ];
  }

  /** How often a log has said this, on all nodes together. */
  logged(message: string): number {
    return this.#entries.get(message) ?? 0;
  }

  /** Warnings and errors by their message, on all nodes together. */
  get complaints(): ReadonlyMap<string, number> {
    return new Map([...this.#entries].filter(([name]) => name.startsWith("! ")));
  }

  /** Of nodes that ended though nobody had killed them: none should. */
  get exits(): readonly string[] {
    return this.#exits;
  }

  get size(): number {
    return this.#nodes.length;
  }

  names(state: Node["state"]): string[] {
    return this.#nodes.filter((node) => node.state === state).map(({ name }) => name);
  }

  /** SIGKILL, and a new start `downMs` later. Resolves when it listens. */
  async kill(name: string, downMs: number): Promise<void> {
    const node = this.#node(name);
    node.state = "down";
    const { port } = node.server;
    node.server.kill("SIGKILL");
    await node.server.exited;
    await wait(downMs);
    node.server = await this.#start(name, port);
    node.state = "up";
    this.#watch(node);
  }

  /**
   * SIGSTOP, and SIGCONT `furtherMs` after the other nodes have given it up; resolves when it has joined them again. False:
   * they have not given it up in good time.
   */
  async stop(name: string, furtherMs: number): Promise<boolean> {
    const node = this.#node(name);
    const isMember = (): Promise<boolean> => isMemberOf(this.#options.store, name);
    node.state = "stopped";
    node.server.kill("SIGSTOP");
    const isGivenUp = await within(GIVEN_UP_WITHIN_MS, async () => !(await isMember()));
    await wait(furtherMs);
    node.server.kill("SIGCONT");
    await within(REJOINED_WITHIN_MS, isMember);
    node.state = "up";
    return isGivenUp;
  }

  async close(): Promise<void> {
    this.#closing = true;
    for (const { server } of this.#nodes) server.kill("SIGKILL");
    await Promise.all(this.#nodes.map(({ server }) => server.exited));
  }

  #node(name: string): Node {
    const node = this.#nodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(`There is no ${name}.`);
    return node;
  }

  async #start(name: string, port: number): Promise<ServerProcess> {
    const { store, key, masterKey, flags, dataDir, onLog } = this.#options;
    const server = await startServer({
      dataDir: dataDir(name),
      store,
      key,
      port,
      flags: [...flags, "--node-name", name],
      environment: { POSTHORN_MASTER_KEY: masterKey },
      onLog: (line) => {
        this.#count(line);
        onLog?.(name, line);
      },
    });
    if (this.#closing) server.kill("SIGKILL");
    return server;
  }

  #watch(node: Node): void {
    const { server } = node;
    void server.exited.then(({ code, signal }) => {
      if (!this.#closing && node.state !== "down") this.#exits.push(`${node.name} ended (${signal ?? code})`);
    });
  }

  #count(line: string): void {
    const entry = parsed(line);
    if (entry === null) return;
    const { level, msg } = entry;
    const keys = [msg];
    if (level === "warn" || level === "error") keys.push(`! ${level} ${msg}`);
    for (const key of keys) this.#entries.set(key, (this.#entries.get(key) ?? 0) + 1);
  }
}

async function within(ms: number, holds: () => Promise<boolean>): Promise<boolean> {
  const latestMs = performance.now() + ms;
  while (performance.now() < latestMs) {
    if (await holds()) return true;
    await wait(50);
  }
  return false;
}

interface Entry {
  readonly level: string;
  readonly msg: string;
}

/** null: not a line of the log, but something said to people. */
function parsed(line: string): Entry | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return null;
  }
}

/** What a scenario works with: a server or several, a receiver and a load generator, each a process of its own. */
import { randomBytes } from "node:crypto";
import { generateApiKey } from "../../security/api-keys.ts";
import { type Child, siblingModule, startChild } from "../proof/child.ts";
import { deliveriesOf } from "../proof/deliveries.ts";
import { type AcceptedLine, type ReceivedLine, readAccepted, readReceived } from "../proof/ledger.ts";
import type { LoadReport, LoadRun } from "../proof/load.ts";
import type { LoadCalls } from "../proof/load-process.ts";
import type { Plan, PlannedEndpoint } from "../proof/plan.ts";
import type { Behaviour } from "../proof/receiver.ts";
import type { ReceiverCalls } from "../proof/receiver-process.ts";
import { cpuUs, type ServerProcess, startServer } from "../proof/server-process.ts";
import { createApps, createEndpoint } from "../proof/setup.ts";
import { judge, pairsToLookUp, type Verdict } from "../proof/verdict.ts";
import type { Workspace } from "../proof/workspace.ts";
import type { BareCalls } from "./bare-process.ts";
import { BenchDatabase } from "./database.ts";
import type { StorePlace } from "./preload.ts";

export interface RigOptions {
  readonly name: string;
  readonly apps: number;
  readonly endpointsPerApp: number;
  readonly dataBytes: number;
  readonly connections: number;
  /** URL of a PostgreSQL server; null: SQLite in a data directory. */
  readonly store: string | null;
  /** How many servers share the load. More than one needs a store that they can share. Default 1. */
  readonly nodes?: number;
  /** Makes one more app, whose endpoint nobody listens at. It is not in the plan. */
  readonly dead?: boolean;
  /** Runs on the store after the endpoints were made and before the server takes load. */
  readonly preload?: (place: PreloadPlace) => Promise<void>;
}

export interface PreloadPlace extends StorePlace {
  readonly database: BenchDatabase | null;
  readonly plan: Plan;
  readonly dead: PlannedEndpoint | undefined;
}

export interface Evidence {
  readonly accepted: readonly AcceptedLine[];
  readonly received: readonly ReceivedLine[];
}

/** The endpoint of the bare sender. It is nobody's, so the ledger does not judge it. */
const BARE = "bare";
const DEAD = "dead";
const SEED = 1;
/** Nothing came for so long: what is missing goes to endpoints that do not answer. */
const STILL_MS = 1000;
const CATCH_UP_MS = 30_000;

export class Rig {
  readonly #options: RigOptions;
  readonly #workspace: Workspace;
  readonly #key = generateApiKey().key;
  /** Of all nodes: they share what they sealed. */
  readonly #masterKey = randomBytes(32).toString("base64");
  readonly #database: BenchDatabase | null;
  #servers: ServerProcess[] = [];
  #receiver: Child<ReceiverCalls>;
  #load: Child<LoadCalls>;
  #bare: Child<BareCalls> | undefined;
  #origin = "";
  #expected = 0;
  #dead: PlannedEndpoint | undefined;
  plan: PlannedEndpoint[] = [];

  private constructor(workspace: Workspace, options: RigOptions, database: BenchDatabase | null) {
    this.#options = options;
    this.#workspace = workspace;
    this.#database = database;
    this.#receiver = startChild<ReceiverCalls>(siblingModule(import.meta.url, "../proof/receiver-process"));
    this.#load = startChild<LoadCalls>(siblingModule(import.meta.url, "../proof/load-process"));
    workspace.atEnd(() => this.#receiver.stop());
    workspace.atEnd(() => this.#load.stop());
  }

  static async build(workspace: Workspace, options: RigOptions): Promise<Rig> {
    const { name, store, preload } = options;
    const database = store === null ? null : await BenchDatabase.make(workspace, store, name);
    const rig = new Rig(workspace, options, database);
    const port = await rig.#receiver.call("start", { ledgerFile: rig.#file("received"), seed: SEED });
    rig.#origin = `http://127.0.0.1:${port}`;
    workspace.atEnd(() => rig.kill());
    await rig.start();
    await rig.#setUp();
    if (preload !== undefined) {
      for (const server of rig.#servers) await server.stop();
      await preload({ ...rig.#place, database, plan: rig.plan, dead: rig.#dead });
      await rig.start(rig.#servers.map((server) => server.port));
    }
    await rig.#startLoads();
    return rig;
  }

  get server(): ServerProcess {
    const [first] = this.#servers;
    if (first === undefined) throw new Error("The server does not run.");
    return first;
  }

  /** null: the store is SQLite. */
  get database(): BenchDatabase | null {
    return this.#database;
  }

  get key(): string {
    return this.#key;
  }

  get dataDir(): string {
    return this.#workspace.file(`${this.#options.name}-data`);
  }

  get apps(): string[] {
    return [...new Set(this.plan.map(({ app }) => app))];
  }

  /** On these ports, or on free ones. */
  async start(ports: readonly number[] = new Array(this.#options.nodes ?? 1).fill(0)): Promise<void> {
    const { dataDir, storeUrl } = this.#place;
    const common = {
      dataDir,
      key: this.#key,
      environment: { POSTHORN_MASTER_KEY: this.#masterKey },
      ...(storeUrl === null ? {} : { store: storeUrl }),
    };
    this.#servers = [];
    for (const port of ports) this.#servers.push(await startServer({ ...common, port }));
  }

  /** At once: nothing of a bench run is kept, and hanging endpoints would make a graceful stop wait for them. */
  async kill(): Promise<void> {
    for (const server of this.#servers) server.kill("SIGKILL");
    await Promise.all(this.#servers.map((server) => server.exited));
  }

  /** CPU time of all nodes so far, microseconds; NaN where the system does not tell. */
  cpuUs(): number {
    return this.#servers.reduce((sum, { pid }) => sum + (cpuUs(pid) ?? Number.NaN), 0);
  }

  /** Publishes to all apps of the plan, unless told otherwise; to each node its share. */
  async load(run: Omit<LoadRun, "apps"> & { apps?: readonly string[] }): Promise<LoadReport> {
    const nodes = this.#servers.length;
    const perSecond = run.perSecond === null ? null : run.perSecond / nodes;
    const share = { ...run, perSecond, apps: run.apps ?? this.apps };
    const names = this.#servers.map((_, index) => this.#loadName(index));
    const reports = await Promise.all(names.map((name) => this.#load.call("run", { name, run: share })));
    const report = together(reports);
    this.#expected += report.accepted * this.#options.endpointsPerApp;
    return report;
  }

  /** What a bare sender reaches with the same receiver, requests a second. */
  async bare(forMs: number): Promise<number> {
    if (this.#bare === undefined) {
      const bare = startChild<BareCalls>(siblingModule(import.meta.url, "bare-process"));
      this.#bare = bare;
      this.#workspace.atEnd(() => bare.stop());
    }
    const { connections, dataBytes } = this.#options;
    const { secret } = this.plan[0]!;
    const sent = { origin: this.#origin, path: `/${BARE}`, secret, connections, dataBytes, forMs };
    const before = await this.#receiver.call("counts", null);
    const { perSecond } = await this.#bare.call("run", sent);
    const after = await this.#receiver.call("counts", null);
    this.#expected += after.taken - before.taken;
    return perSecond;
  }

  async behave(name: string, behaviour: Behaviour): Promise<void> {
    const { secret } = this.plan.find((endpoint) => endpoint.name === name)!;
    await this.#receiver.call("set", [{ name, secret, behaviour }]);
  }

  /** Until the receiver has everything that was accepted, or nothing more comes. */
  async caughtUp(): Promise<void> {
    const endMs = performance.now() + CATCH_UP_MS;
    let most = -1;
    let movedMs = performance.now();
    while (performance.now() < endMs && performance.now() - movedMs < STILL_MS) {
      const { taken } = await this.#receiver.call("counts", null);
      if (taken >= this.#expected) return;
      if (taken > most) movedMs = performance.now();
      most = Math.max(most, taken);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** When the first request came after a moment, in microseconds. Call it when the receiver has caught up. */
  async firstReceiptAfter(us: number): Promise<number> {
    await this.#receiver.call("flush", null);
    const line = readReceived(this.#file("received")).find(({ receivedUs }) => receivedUs >= us);
    return line?.receivedUs ?? Number.NaN;
  }

  /** Ends load and receiver, and judges. */
  async finish(): Promise<{ evidence: Evidence; verdict: Verdict }> {
    await this.caughtUp();
    const ledgers = this.#servers.map((_, index) => this.#file(this.#loadName(index)));
    for (const index of this.#servers.keys()) await this.#load.call("close", { name: this.#loadName(index) });
    await this.#receiver.call("close", null);
    const evidence = {
      accepted: ledgers.flatMap((file) => readAccepted(file)),
      received: readReceived(this.#file("received")).filter(({ endpoint }) => endpoint !== BARE),
    };
    const pairs = pairsToLookUp({ plan: this.plan, ...evidence });
    const facts = await deliveriesOf(this.server.client, this.plan, pairs);
    return { evidence, verdict: judge({ plan: this.plan, ...evidence, facts }) };
  }

  async #setUp(): Promise<void> {
    const { apps, endpointsPerApp } = this.#options;
    const { client } = this.server;
    const uids = Array.from({ length: apps }, (_, index) => `app-${index + 1}`);
    await createApps(client, uids);
    const received = [];
    for (const app of uids) {
      for (let i = 1; i <= endpointsPerApp; i++) {
        const wish = { name: `${app}-${i}`, app, behaviour: { kind: "healthy" } } as const;
        const made = await createEndpoint(client, this.#origin, wish);
        this.plan.push(made.planned);
        received.push(made.received);
      }
    }
    if (this.#options.dead === true) {
      await createApps(client, [DEAD]);
      // Port 1 of this machine refuses at once.
      const wish = {
        name: DEAD,
        app: DEAD,
        behaviour: { kind: "healthy" },
        url: "http://127.0.0.1:1/",
      } as const;
      this.#dead = (await createEndpoint(client, this.#origin, wish)).planned;
    }
    const { secret } = this.plan[0]!;
    received.push({ name: BARE, secret, behaviour: { kind: "healthy" } } as const);
    await this.#receiver.call("set", received);
  }

  async #startLoads(): Promise<void> {
    const { connections, dataBytes } = this.#options;
    for (const [index, { port }] of this.#servers.entries()) {
      const name = this.#loadName(index);
      const options = {
        target: { host: "127.0.0.1", port },
        key: this.#key,
        ledgerFile: this.#file(name),
        connections: Math.ceil(connections / this.#servers.length),
        dataBytes,
        eventType: "bench.event",
      };
      await this.#load.call("start", { name, options });
    }
  }

  get #place(): StorePlace {
    return { dataDir: this.dataDir, storeUrl: this.#database?.url ?? null };
  }

  #loadName(node: number): string {
    return `accepted-${node + 1}`;
  }

  #file(what: string): string {
    return this.#workspace.file(`${this.#options.name}-${what}.tsv`);
  }
}

/** What several loads of the same minute reported. */
function together(reports: readonly LoadReport[]): LoadReport {
  const refused: Record<string, number> = {};
  for (const report of reports) {
    for (const [reason, count] of Object.entries(report.refused))
      refused[reason] = (refused[reason] ?? 0) + count;
  }
  return {
    fromUs: Math.min(...reports.map(({ fromUs }) => fromUs)),
    toUs: Math.max(...reports.map(({ toUs }) => toUs)),
    accepted: reports.reduce((sum, { accepted }) => sum + accepted, 0),
    refused,
  };
}

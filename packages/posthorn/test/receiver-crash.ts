// npm run receiver-crash -- [--events N] [--kills N] [--store sqlite,postgres] [--mode process,ack-then-process] [--seed S]: events through a
// running Posthorn into a table, by `posthorn receive`, which is killed with SIGKILL at random moments and started again. The table has no
// unique key that could hide a repeat: each accepted event has to stand in it exactly once, because its mark (or its place in the inbox) and
// its row are one commit.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import type { Client } from "../src/cli/client/client.ts";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { seededRandom } from "../src/cli/proof/random.ts";
import { startServer } from "../src/cli/proof/server-process.ts";
import { createApps, untilQuiet } from "../src/cli/proof/setup.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { AnswerGate } from "./answer-gate.ts";
import { freePort } from "./free-port.ts";
import { startPostgres } from "./postgres-server.ts";

export interface ReceiverCrashOptions {
  readonly store: "sqlite" | "postgres";
  readonly mode: "process" | "ack-then-process";
  readonly events: number;
  readonly kills: number;
  readonly seed: number;
  readonly say: (text: string) => void;
}

export interface ReceiverCrashResult {
  readonly accepted: number;
  readonly rows: number;
  /** Accepted, and not in the table. */
  readonly lost: number;
  /** In the table more than once. */
  readonly repeated: number;
  /** In the table, and never accepted. */
  readonly invented: number;
  /** Attempts beyond the first of an event: what a kill made the sender repeat. */
  readonly attemptsAgain: number;
  readonly kills: number;
  readonly quiet: boolean;
}

const APP = "shop";
const TABLE = "events";
const CREATE = `CREATE TABLE ${TABLE} (event_id text NOT NULL, number integer NOT NULL)`;
const SERVER_FLAGS = ["--breaker-probe-every-ms", "50", "--overload-delay-ms", "100", "--log-level", "warn"];
const RETRY_SCHEDULE = new Array<number>(40).fill(0.1);
const BATCH = 10;
const LIFE_MS = { least: 50, most: 450 };
const QUIET_WITHIN_MS = 240_000;
const PROCESSED_WITHIN_MS = 30_000;
/** How long a kill waits for an answer that it can lose: there may be nothing to answer any more. */
const ANSWER_WITHIN_MS = 500;

/** Where the rows go, and how they are counted. */
interface Table {
  /** As `posthorn receive` takes it. */
  readonly url: string;
  rows(): Promise<readonly string[]>;
}

export async function runReceiverCrash(options: ReceiverCrashOptions): Promise<ReceiverCrashResult> {
  const workspace = new Workspace("receiver-crash");
  try {
    const table = options.store === "sqlite" ? sqliteTable(workspace) : await postgresTable(workspace);
    const { key } = generateApiKey();
    const server = await startServer({ dataDir: workspace.file("data"), key, flags: SERVER_FLAGS });
    workspace.atEnd(() => server.stop());
    const port = await freePort();
    const gate = await AnswerGate.listen(port);
    workspace.atEnd(() => gate.close());
    const secret = await createEndpoint(server.client, gate.port);
    const start = receiverStarter(workspace, { port, secret, table, mode: options.mode });
    const publishing = publish(server.client, options);
    publishing.catch(() => {});
    const kills = await killAgainAndAgain(start, options, gate);
    const accepted = new Set(await publishing);
    options.say("Waiting until nothing is pending ...");
    const quiet = await untilQuiet(server.client, [APP], QUIET_WITHIN_MS);
    const attempts = await attemptsOf(server.client);
    // What was acknowledged first is processed later.
    if (options.mode === "ack-then-process") await untilFull(table, accepted.size);
    return { ...judged(accepted, await table.rows()), attemptsAgain: attempts - accepted.size, kills, quiet };
  } finally {
    await workspace.close();
  }
}

/** Waits no longer than a lost event is worth: the judge counts what is missing. */
async function untilFull(table: Table, rows: number): Promise<void> {
  const endMs = performance.now() + PROCESSED_WITHIN_MS;
  while ((await table.rows()).length < rows && performance.now() < endMs) await wait(100);
}

function judged(accepted: ReadonlySet<string>, rows: readonly string[]) {
  const stored = new Set(rows);
  return {
    accepted: accepted.size,
    rows: rows.length,
    lost: accepted.difference(stored).size,
    repeated: rows.length - stored.size,
    invented: stored.difference(accepted).size,
  };
}

function sqliteTable(workspace: Workspace): Table {
  const file = workspace.file("orders.db");
  const database = new DatabaseSync(file);
  database.exec(CREATE);
  database.close();
  return {
    url: `sqlite:${file}`,
    async rows() {
      const reader = new DatabaseSync(file, { readOnly: true });
      const rows = reader.prepare(`SELECT event_id FROM ${TABLE}`).all();
      reader.close();
      return rows.map(({ event_id }) => String(event_id));
    },
  };
}

async function postgresTable(workspace: Workspace): Promise<Table> {
  const database = await startPostgres();
  workspace.atEnd(() => database.destroy());
  const query = async (text: string) => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      return await client.query(text);
    } finally {
      await client.end();
    }
  };
  await query(CREATE);
  return {
    url: database.url,
    async rows() {
      const { rows } = await query(`SELECT event_id FROM ${TABLE}`);
      return rows.map(({ event_id }) => event_id);
    },
  };
}

async function createEndpoint(client: Client, port: number): Promise<string> {
  await createApps(client, [APP]);
  const settings = { retrySchedule: RETRY_SCHEDULE, timeoutMs: 5000 };
  const made = await client.post<{ id: string }>(`/v1/apps/${APP}/endpoints`, {
    url: `http://127.0.0.1:${port}/`,
    ...settings,
  });
  const { secret } = await client.get<{ secret: string }>(`/v1/apps/${APP}/endpoints/${made.id}/secret`);
  return secret;
}

/** Spread over the time of the kills, so that each meets events on their way. Returns the ids of the accepted ones. */
async function publish(client: Client, { events, kills }: ReceiverCrashOptions): Promise<string[]> {
  const pauseMs = (kills * (LIFE_MS.least + LIFE_MS.most)) / 2 / Math.ceil(events / BATCH);
  const ids: string[] = [];
  for (let first = 0; first < events; first += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, events - first) }, (_, index) => ({
      app: APP,
      type: "order.created",
      data: { number: first + index },
    }));
    const { results } = await client.post<{ results: { id?: string }[] }>("/v1/events", batch);
    for (const { id } of results) if (id !== undefined) ids.push(id);
    await wait(pauseMs);
  }
  return ids;
}

type Start = () => Promise<ChildProcess>;

/** `posthorn receive` with a file of settings, always on the same port. */
function receiverStarter(
  workspace: Workspace,
  {
    table,
    secret,
    ...settings
  }: { table: Table; secret: string; port: number; mode: ReceiverCrashOptions["mode"] },
): Start {
  const secretFile = workspace.file("secret");
  writeFileSync(secretFile, secret, { mode: 0o600 });
  const configFile = workspace.file("receive.json");
  const columns = { event_id: "$.id", number: "$.data.number" };
  const insert = { into: table.url, table: TABLE, columns, upsertKey: [] };
  const config = {
    ...{ scheme: "standard", secretFiles: [secretFile], store: table.url, ...settings },
    ...{ deadLetters: workspace.file("dead-letters.ndjson"), handlers: { "*": [{ insert }] } },
  };
  writeFileSync(configFile, JSON.stringify(config), { mode: 0o600 });
  const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
  return async () => {
    const flags = [...NODE_ARGUMENTS, main, "receive", "--config", configFile];
    const child = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "pipe"] });
    workspace.atEnd(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    });
    await listening(child);
    return child;
  };
}

/** Resolves with the line that names the address; what it says later is read and dropped. */
function listening(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    child.once("exit", (code, signal) =>
      reject(
        new Error(`posthorn receive ended with ${signal ?? code} before it listened:\n${said.join("\n")}`),
      ),
    );
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream! }).on("line", (line) => {
        if (said.length < 50) said.push(line);
        if (/listens on http/.test(line)) resolve();
      });
    }
  });
}

/**
 * Leaves one running. Every second kill comes at whatever moment; the others come when the receiver has answered an event, and take the
 * answer with them, so that the event comes again. They go on after the last event was published, as long as there are some to do.
 */
async function killAgainAndAgain(
  start: Start,
  { kills, seed, say }: ReceiverCrashOptions,
  gate: AnswerGate,
): Promise<number> {
  const random = seededRandom(seed);
  for (let kill = 1; kill <= kills; kill += 1) {
    const child = await start();
    await wait(LIFE_MS.least + random() * (LIFE_MS.most - LIFE_MS.least));
    if (kill % 2 === 1) await Promise.race([gate.loseAnswers(), wait(ANSWER_WITHIN_MS)]);
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    gate.letThrough();
    if (kill % 5 === 0) say(`${kill} kills`);
  }
  await start();
  return kills;
}

async function attemptsOf(client: Client): Promise<number> {
  let attempts = 0;
  let cursor: string | undefined;
  do {
    const page = await client.get<{ data: { attemptCount: number }[]; nextCursor: string | null }>(
      "/v1/deliveries",
      { app: APP, limit: 250, ...(cursor === undefined ? {} : { cursor }) },
    );
    for (const delivery of page.data) attempts += delivery.attemptCount;
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return attempts;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      events: { type: "string", default: "10000" },
      kills: { type: "string", default: "20" },
      store: { type: "string", default: "sqlite,postgres" },
      mode: { type: "string", default: "process,ack-then-process" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    },
  });
  const { store, mode, ...numbers } = values;
  const wish = {
    events: Number(numbers.events),
    kills: Number(numbers.kills),
    seed: Number(numbers.seed),
    say: (text: string) => console.error(text),
  };
  const pairs = store.split(",").flatMap((one) => mode.split(",").map((other) => [one, other] as const));
  for (const [one, other] of pairs) {
    console.log(`${one}, ${other}: ${wish.events} events, ${wish.kills} kills, seed ${wish.seed}`);
    const place = { store: one, mode: other } as Pick<ReceiverCrashOptions, "store" | "mode">;
    const result = await runReceiverCrash({ ...wish, ...place });
    const { accepted, rows, lost, repeated, invented, attemptsAgain, quiet } = result;
    console.log(
      `${accepted} accepted, ${rows} rows: ${lost} lost, ${repeated} repeated, ${invented} invented; ` +
        `${attemptsAgain} attempts were made again${quiet ? "" : "; NOT QUIET: deliveries still wait"}`,
    );
    if (!quiet || lost + repeated + invented > 0 || accepted !== wish.events) process.exitCode = 1;
  }
}

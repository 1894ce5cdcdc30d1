// node packages/posthorn/test/durability.ts: PostgreSQL is shut down at once, as by a crash, right after publications were
// accepted. As the server is set up by default none of them may be missing afterwards. With synchronous_commit off some are:
// so the run would see it.
import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Page } from "../src/cli/client/list.ts";
import { LedgerFile, readAccepted } from "../src/cli/proof/ledger.ts";
import { Publisher } from "../src/cli/proof/publisher.ts";
import { type ServerProcess, startServer } from "../src/cli/proof/server-process.ts";
import { createApps } from "../src/cli/proof/setup.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { ask, type DurabilitySettings, durabilitySettings } from "./cluster-database.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

export interface DurabilityOptions {
  /** Of PostgreSQL, beside the test's own; none: its defaults. */
  readonly settings: Readonly<Record<string, string>>;
  /** Publications accepted before each shutdown, at least. */
  readonly publications: number;
  readonly shutdowns: number;
}

export interface DurabilityResult {
  /** As the database says. */
  readonly settings: DurabilitySettings;
  /** What /readyz of the node says. */
  readonly readiness: string;
  readonly accepted: number;
  /** Accepted, and not there after a shutdown. */
  readonly lost: number;
}

/** The longest that PostgreSQL allows. */
export const UNSAFE = { synchronous_commit: "off", wal_writer_delay: "10s" };
const APP = "durability";
const PUBLISHERS = 8;
const BACK_WITHIN_MS = 30_000;

export async function runDurability(options: DurabilityOptions): Promise<DurabilityResult> {
  const workspace = new Workspace("durability");
  try {
    const postgres = await startPostgres({ settings: options.settings });
    workspace.atEnd(() => postgres.destroy());
    const { key } = generateApiKey();
    const server = await startServer({
      dataDir: workspace.file("data"),
      store: postgres.url,
      key,
      environment: { POSTHORN_MASTER_KEY: randomBytes(32).toString("base64") },
    });
    workspace.atEnd(async () => {
      server.kill("SIGKILL");
      await server.exited;
    });
    await createApps(server.client, [APP]);
    const readiness = await (await fetch(new URL("/readyz", server.url))).text();
    let accepted = 0;
    let lost = 0;
    for (let shutdown = 1; shutdown <= options.shutdowns; shutdown++) {
      const file = workspace.file(`accepted-${shutdown}.tsv`);
      await publishUntilShutdown({ postgres, server, key, file, publications: options.publications });
      await postgres.start();
      const there = await eventIds(server);
      const ids = readAccepted(file).map(({ eventId }) => eventId);
      accepted += ids.length;
      lost += ids.filter((id) => !there.has(id)).length;
    }
    return { settings: await durabilitySettings(postgres.url), readiness, accepted, lost };
  } finally {
    await workspace.close();
  }
}

/** Publishes from several sides, and takes the database away in the middle of it. */
async function publishUntilShutdown(run: {
  postgres: PostgresServer;
  server: ServerProcess;
  key: string;
  file: string;
  publications: number;
}): Promise<void> {
  const { postgres, server, key, file, publications } = run;
  // What was set up before must not be what gets lost.
  await ask(postgres.url, "CHECKPOINT");
  const ledger = new LedgerFile(file);
  const away = new AbortController();
  const target = { host: "127.0.0.1", port: server.port };
  let accepted = 0;
  let enough = () => {};
  const reached = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const publishers = Array.from(
    { length: PUBLISHERS },
    (_, index) => new Publisher({ target, key, ledger, name: `${file}-${index}` }),
  );
  const publishing = publishers.map(async (publisher) => {
    for (let sequence = 1; !away.signal.aborted; sequence++) {
      const event = { app: APP, eventType: "durability.event", data: `{"number":${sequence}}`, sequence };
      if ((await publisher.publish(event, away.signal)) !== undefined) accepted += 1;
      if (accepted >= publications) enough();
    }
  });
  await reached;
  await postgres.halt("immediate");
  away.abort();
  // What is unanswered now was not accepted; the node would go on trying for it.
  for (const publisher of publishers) publisher.close();
  await Promise.all(publishing);
  ledger.close();
}

/** Of every event that the node has. Waits while it finds its way back to the database. */
async function eventIds({ client }: ServerProcess): Promise<Set<string>> {
  const ids = new Set<string>();
  const deadlineMs = performance.now() + BACK_WITHIN_MS;
  let cursor: string | null | undefined;
  while (cursor !== null) {
    try {
      const query = { app: APP, limit: 250, cursor };
      const page: Page<{ id: string }> = await client.get("/v1/events", query);
      for (const { id } of page.data) ids.add(id);
      cursor = page.nextCursor;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await wait(100);
    }
  }
  return ids;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      publications: { type: "string", default: "2000" },
      shutdowns: { type: "string", default: "3" },
    },
  });
  const publications = Number(values.publications);
  const shutdowns = Number(values.shutdowns);
  const safe = await runDurability({ settings: {}, publications, shutdowns });
  console.log(
    `By default (fsync ${safe.settings.fsync}, synchronous_commit ${safe.settings.synchronousCommit}):`,
  );
  console.log(`  ${safe.accepted} accepted, ${safe.lost} lost in ${shutdowns} immediate shutdowns.`);
  const unsafe = await runDurability({ settings: UNSAFE, publications: 200, shutdowns: 1 });
  console.log(`With synchronous_commit=off: ${unsafe.accepted} accepted, ${unsafe.lost} lost in one.`);
  console.log(`  The node itself says: ${unsafe.readiness}`);
  process.exitCode = safe.lost === 0 && unsafe.lost > 0 ? 0 : 1;
}

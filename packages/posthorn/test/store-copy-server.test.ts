// The whole way: a server under load, `posthorn store copy` killed and repeated, the old server stopped, a node started.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { allDeliveries } from "../src/cli/proof/deliveries.ts";
import { LedgerFile, readAccepted, readReceived } from "../src/cli/proof/ledger.ts";
import type { PlannedEndpoint } from "../src/cli/proof/plan.ts";
import { type Receiver, startReceiver } from "../src/cli/proof/receiver.ts";
import { type ServerProcess, startServer } from "../src/cli/proof/server-process.ts";
import { createApps, createEndpoint, untilQuiet } from "../src/cli/proof/setup.ts";
import { judge } from "../src/cli/proof/verdict.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { publishStreams } from "./crash-publishers.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

const MAIN = new URL("../src/cli/main.ts", import.meta.url).pathname;

describe("a server that is moved to PostgreSQL under load", () => {
  const { key } = generateApiKey();
  const workspace = new Workspace("store-copy");
  const dataDir = workspace.file("data");
  let database: TestDatabase;
  let receiver: Receiver;
  let server: ServerProcess;
  const plan: PlannedEndpoint[] = [];

  const copy = (...more: string[]) =>
    spawn(
      process.execPath,
      [...NODE_ARGUMENTS, MAIN, "store", "copy", "--from", `sqlite:${dataDir}`, "--url", server.url, ...more],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, POSTHORN_STORE: database.url, POSTHORN_KEY: key },
      },
    );

  before(async () => {
    database = await openTestDatabase({ empty: true });
    workspace.atEnd(() => database.drop());
    receiver = await startReceiver({ ledgerFile: workspace.file("received.tsv"), random: Math.random });
    workspace.atEnd(() => receiver.close());
    server = await startServer({ dataDir, key });
    workspace.atEnd(() => server.kill("SIGKILL"));
    await createApps(server.client, ["plain", "ordered"]);
    for (const wish of [
      { name: "quick", app: "plain", behaviour: { kind: "healthy" } },
      { name: "slow", app: "plain", behaviour: { kind: "slow", afterMs: 200 } },
      {
        name: "fifo",
        app: "ordered",
        behaviour: { kind: "slow", afterMs: 20 },
        settings: { ordering: "fifo" },
      },
    ] as const) {
      const made = await createEndpoint(server.client, `http://127.0.0.1:${receiver.port}`, wish);
      receiver.set([made.received]);
      plan.push(made.planned);
    }
  });
  after(() => workspace.close());

  test("loses nothing, and keeps the order", async () => {
    const ledger = new LedgerFile(workspace.file("accepted.tsv"));
    const streams = [
      { app: "plain", publishers: 4, perSecond: 50 },
      { app: "ordered", publishers: 1, perSecond: 60 },
    ];
    const publishing = publishStreams(streams, { port: server.port, key, ledger });
    while (receiver.counts().taken < 200) await new Promise((resolve) => setTimeout(resolve, 10));

    const killed = copy();
    await once(killed.stderr, "data");
    killed.kill("SIGKILL");
    await once(killed, "exit");

    // As whoever stops services does: it has to be able to give the server back.
    const interrupted = copy();
    await once(interrupted.stderr, "data");
    interrupted.kill("SIGTERM");
    assert.deepEqual(await once(interrupted, "exit"), [130, null]);

    const whole = copy("--json");
    const [stdout, stderr, [code]] = await Promise.all([
      text(whole.stdout),
      text(whole.stderr),
      once(whole, "exit"),
    ]);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr + stdout, new RegExp(new URL(database.url).password));
    const { equal, held } = JSON.parse(stdout) as { equal: boolean; held: boolean };
    assert.ok(equal && held);
    const refused = await server.client
      .post("/v1/events", { app: "plain", type: "a", data: 1 })
      .catch((error: Error) => error);
    assert.match(String(refused), /held/);
    await server.stop();

    const port = server.port;
    server = await startServer({
      dataDir: workspace.file("node"),
      key,
      port,
      store: database.url,
      environment: { POSTHORN_MASTER_KEY: readFileSync(`${dataDir}/master.key`, "utf8").trim() },
    });
    const before = readAccepted(workspace.file("accepted.tsv")).length;
    while (readAccepted(workspace.file("accepted.tsv")).length < before + 50)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await publishing.stop();
    ledger.close();
    assert.ok(await untilQuiet(server.client, ["plain", "ordered"], 20_000));
    receiver.flush();

    const accepted = readAccepted(workspace.file("accepted.tsv"));
    const received = readReceived(workspace.file("received.tsv"));
    const facts = await allDeliveries(server.client, plan);
    const { breaches, delivered, expected } = judge({ plan, accepted, received, facts });
    assert.deepEqual(
      Object.entries(breaches).filter(([, count]) => count > 0),
      [],
    );
    assert.equal(delivered, expected);
    assert.ok(expected > 300);
  });
});

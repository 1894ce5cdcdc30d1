import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { allDeliveries } from "../src/cli/proof/deliveries.ts";
import { LedgerFile, readAccepted, readReceived } from "../src/cli/proof/ledger.ts";
import type { PlannedEndpoint } from "../src/cli/proof/plan.ts";
import { type Receiver, startReceiver } from "../src/cli/proof/receiver.ts";
import { type ServerProcess, startServer } from "../src/cli/proof/server-process.ts";
import { createApps, createEndpoint, untilQuiet } from "../src/cli/proof/setup.ts";
import { judge } from "../src/cli/proof/verdict.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { type Publishing, publishStreams } from "./crash-publishers.ts";

const SLOW_MS = 300;

describe("SIGTERM under load", () => {
  const { key } = generateApiKey();
  let workspace: Workspace;
  let receiver: Receiver;
  let server: ServerProcess;
  let plan: PlannedEndpoint[];
  let publishing: Publishing;
  let ledger: LedgerFile;
  let logged: string[];

  beforeEach(async () => {
    workspace = new Workspace("stop");
    logged = [];
    receiver = await startReceiver({ ledgerFile: workspace.file("received.tsv"), random: Math.random });
    workspace.atEnd(() => receiver.close());
    server = await startServer({ dataDir: workspace.file("data"), key, onLog: (line) => logged.push(line) });
    workspace.atEnd(() => server.kill("SIGKILL"));
    await createApps(server.client, ["plain"]);
    plan = [];
    for (const [name, afterMs] of [
      ["slow", SLOW_MS],
      ["quick", 1],
    ] as const) {
      const behaviour = { kind: "slow", afterMs } as const;
      const origin = `http://127.0.0.1:${receiver.port}`;
      const made = await createEndpoint(server.client, origin, { name, app: "plain", behaviour });
      receiver.set([made.received]);
      plan.push(made.planned);
    }
    ledger = new LedgerFile(workspace.file("accepted.tsv"));
    const streams = [{ app: "plain", publishers: 2, perSecond: 50 }];
    publishing = publishStreams(streams, { port: server.port, key, ledger });
    await taken(40);
  });
  afterEach(() => workspace.close());

  /** Until the receiver has answered so many: the slow endpoint has several requests in hand by then. */
  async function taken(count: number): Promise<void> {
    while (receiver.counts().taken < count) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  test("drains, exits 0, sends nothing twice, and what was answered is settled", async () => {
    const startMs = performance.now();
    const { port } = server;
    assert.equal(await server.stop(), 0, logged.join("\n"));
    assert.ok(performance.now() - startMs < 20_000, "within the longest attempt and 5 s");

    server = await startServer({ dataDir: workspace.file("data"), key, port });
    await publishing.stop();
    ledger.close();
    assert.ok(await untilQuiet(server.client, ["plain"], 20_000));
    receiver.flush();
    const facts = await allDeliveries(server.client, plan);
    const verdict = judge({
      plan,
      accepted: readAccepted(workspace.file("accepted.tsv")),
      received: readReceived(workspace.file("received.tsv")),
      facts,
    });
    assert.deepEqual(verdict.examples, []);
    assert.equal(verdict.requests, verdict.expected, "one request each");
    assert.ok(
      [...facts.values()].every(({ attempts }) => attempts.length === 1),
      "one attempt each",
    );
  });

  test("a second SIGTERM ends it at once", async () => {
    server.kill("SIGTERM");
    while (!logged.some((line) => line.startsWith("Stopping")))
      await new Promise((resolve) => setTimeout(resolve, 5));
    server.kill("SIGTERM");
    assert.deepEqual(await server.exited, { code: 143, signal: null });
    // Nobody is there to answer the publishers any more.
    server = await startServer({ dataDir: workspace.file("data"), key, port: server.port });
    await publishing.stop();
    ledger.close();
  });
});

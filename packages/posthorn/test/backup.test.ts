import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { allDeliveries } from "../src/cli/proof/deliveries.ts";
import { LedgerFile, nowUs, readAccepted, readReceived } from "../src/cli/proof/ledger.ts";
import type { PlannedEndpoint } from "../src/cli/proof/plan.ts";
import { type Receiver, startReceiver } from "../src/cli/proof/receiver.ts";
import { type ServerProcess, startServer } from "../src/cli/proof/server-process.ts";
import { createApps, createEndpoint, untilQuiet } from "../src/cli/proof/setup.ts";
import { judge } from "../src/cli/proof/verdict.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { generateApiKey } from "../src/security/api-keys.ts";
import { publishStreams } from "./crash-publishers.ts";

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

/** The load of this process goes on meanwhile. */
async function posthorn(...args: string[]): Promise<{ code: number; stderr: string }> {
  const child = spawn(process.execPath, [...NODE_ARGUMENTS, MAIN, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  return { code, stderr };
}

describe("a backup under load, restored elsewhere", () => {
  const { key } = generateApiKey();
  const workspace = new Workspace("backup");
  const dataDir = workspace.file("data");
  const restored = workspace.file("restored");
  const file = workspace.file("backup.db");
  let receiver: Receiver;
  let server: ServerProcess;
  let plan: PlannedEndpoint[];
  /** Everything answered before this must be in the backup. */
  let backedUpUs: number;

  before(async () => {
    receiver = await startReceiver({ ledgerFile: workspace.file("received.tsv"), random: Math.random });
    workspace.atEnd(() => receiver.close());
    server = await startServer({ dataDir, key });
    workspace.atEnd(() => server.kill("SIGKILL"));
    await createApps(server.client, ["plain"]);
    plan = [];
    for (const [name, behaviour] of [
      ["quick", { kind: "healthy" }],
      ["slow", { kind: "slow", afterMs: 200 }],
    ] as const) {
      const origin = `http://127.0.0.1:${receiver.port}`;
      const made = await createEndpoint(server.client, origin, { name, app: "plain", behaviour });
      receiver.set([made.received]);
      plan.push(made.planned);
    }
    const ledger = new LedgerFile(workspace.file("accepted.tsv"));
    const streams = [{ app: "plain", publishers: 4, perSecond: 100 }];
    const publishing = publishStreams(streams, { port: server.port, key, ledger });
    while (receiver.counts().taken < 200) await new Promise((resolve) => setTimeout(resolve, 10));
    backedUpUs = nowUs();
    const { code, stderr } = await posthorn("backup", file, "--data-dir", dataDir);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /keep .*master\.key too/);
    await publishing.stop();
    ledger.close();
    // The machine is lost: nothing after the backup counts.
    server.kill("SIGKILL");
    await server.exited;
  });
  after(() => workspace.close());

  test("never overwrites a file", async () => {
    const { code, stderr } = await posthorn("backup", file, "--data-dir", dataDir);
    assert.equal(code, 5);
    assert.match(stderr, /is there already/);
  });

  test("is not restored over another data directory, nor from what is no backup", async () => {
    assert.equal((await posthorn("restore", file, "--data-dir", dataDir)).code, 5);
    const noBackup = await posthorn("restore", MAIN, "--data-dir", workspace.file("nothing"));
    assert.equal(noBackup.code, 1);
    assert.match(noBackup.stderr, /is not a database/);
  });

  test("starts, and explains every event that was accepted before it", async () => {
    const masterKey = `${dataDir}/master.key`;
    const { code, stderr } = await posthorn(
      "restore",
      file,
      "--data-dir",
      restored,
      "--master-key",
      masterKey,
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      readdirSync(restored)
        .filter((name) => !name.includes("lock"))
        .sort(),
      ["master.key", "posthorn.db"],
    );

    server = await startServer({ dataDir: restored, key });
    assert.ok(await untilQuiet(server.client, ["plain"], 20_000));
    receiver.flush();
    const everything = readAccepted(workspace.file("accepted.tsv"));
    const accepted = everything.filter(({ answeredUs }) => answeredUs < backedUpUs);
    const before = new Set(accepted.map(({ eventId }) => eventId));
    const received = readReceived(workspace.file("received.tsv")).filter(({ eventId }) =>
      before.has(eventId),
    );
    assert.ok(
      accepted.length > 50 && accepted.length < everything.length,
      "the load went on around the backup",
    );

    const facts = await allDeliveries(server.client, plan);
    const { breaches, delivered, expected } = judge({ plan, accepted, received, facts });
    assert.equal(facts.size >= expected, true);
    assert.equal(delivered, expected);
    // What the lost machine delivered after the backup is delivered again: its log is gone with it.
    const { duplicate: _again, missing_attempt: _log, ...mustBeNone } = breaches;
    assert.deepEqual(
      Object.values(mustBeNone).filter((count) => count > 0),
      [],
    );
  });
});

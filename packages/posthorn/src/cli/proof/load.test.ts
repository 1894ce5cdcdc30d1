import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { acceptLatencies } from "../bench/windows.ts";
import { bodyHash, readAccepted } from "./ledger.ts";
import { type Load, startLoad } from "./load.ts";
import { Workspace } from "./workspace.ts";

describe("the load side", () => {
  let workspace: Workspace;
  let server: Server;
  let load: Load;
  let bodies: string[];
  /** Milliseconds from the first request in which the server answers nobody. */
  let stall: { fromMs: number; toMs: number } | null;
  let statuses: number[];

  beforeEach(async () => {
    workspace = new Workspace("load");
    bodies = [];
    stall = null;
    statuses = [];
    let firstMs: number | undefined;
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        bodies.push(body);
        firstMs ??= performance.now();
        const sinceMs = performance.now() - firstMs;
        const stalled = stall !== null && sinceMs >= stall.fromMs && sinceMs < stall.toMs;
        const events = [JSON.parse(body)].flat() as unknown[];
        const results = events.map((_, index) => ({ id: `evt_${bodies.length}_${index}` }));
        const answer = JSON.stringify(body.startsWith("[") ? { results } : results[0]);
        const send = () =>
          response.writeHead(statuses.shift() ?? 202, { "content-length": answer.length }).end(answer);
        if (stalled) setTimeout(send, (stall?.toMs ?? 0) - sinceMs);
        else send();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    load = startLoad({
      target: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
      key: "phk_test",
      ledgerFile: workspace.file("accepted.tsv"),
      connections: 2,
      dataBytes: 100,
      eventType: "load.event",
    });
  });
  afterEach(async () => {
    load.close();
    server.closeAllConnections();
    server.close();
    await workspace.close();
  });

  test("cannot be made to wait by a server that stalls: latency counts from when each event was due", async () => {
    stall = { fromMs: 100, toMs: 300 };
    const report = await load.run({ apps: ["a"], perSecond: 200, forMs: 500, batch: 1 });
    assert.equal(report.accepted, 100, "every event of the schedule was sent");
    const slow = acceptLatencies(readAccepted(workspace.file("accepted.tsv")), report).filter(
      (ms) => ms > 50,
    );
    assert.ok(slow.length >= 25, `a stall of 200 ms must show in about 30 events, not in 2: ${slow.length}`);
  });

  test("writes what was sent: the hash is that of the payload a receiver must get", async () => {
    await load.run({ apps: ["a", "b"], perSecond: null, forMs: 30, batch: 1 });
    const [line] = readAccepted(workspace.file("accepted.tsv"));
    const sent = bodies.find((body) => body.includes(`"app":"${line?.app}"`)) ?? "";
    const payload = `{${sent.slice(sent.indexOf('"type"'))}`;
    assert.equal(line?.bodyHash, bodyHash(Buffer.from(payload)));
    assert.deepEqual(
      new Set(readAccepted(workspace.file("accepted.tsv")).map(({ app }) => app)),
      new Set(["a", "b"]),
    );
  });

  test("counts a refused batch as refused, and only what was answered 202 as accepted", async () => {
    statuses = [503];
    const report = await load.run({ apps: ["a"], perSecond: null, forMs: 100, batch: 10 });
    assert.deepEqual(report.refused, { "503": 10 });
    assert.equal(report.accepted, (bodies.length - 1) * 10);
    assert.equal(readAccepted(workspace.file("accepted.tsv")).length, report.accepted);
  });
});

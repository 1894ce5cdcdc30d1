import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { signedParts, type TestEvent } from "@posthorn/receiver/testing";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { runReceive, startReceive } from "./receive-process.ts";

const ARTICLE = fileURLToPath(new URL("../../receiver/test/data/article-sender.py", import.meta.url));
const SECRET = "It's a Secret to Everybody";

describe("posthorn receive", () => {
  const workspace = new Workspace("receive");
  after(() => workspace.close());
  const secretFile = workspace.file("secret");
  writeFileSync(secretFile, SECRET, { mode: 0o600 });

  async function receive(...args: string[]) {
    const process = await startReceive(args, workspace.directory);
    workspace.atEnd(() => process.child.kill("SIGKILL"));
    return process;
  }

  function send(url: string, event: TestEvent): Promise<Response> {
    const { headers, body } = signedParts("github", SECRET, event, { url });
    return fetch(url, { method: "POST", headers, body: Buffer.from(body) });
  }

  function rows(file: string, table: string): Record<string, unknown>[] {
    const database = new DatabaseSync(workspace.file(file));
    try {
      return database.prepare(`SELECT * FROM ${table} ORDER BY 1`).all();
    } finally {
      database.close();
    }
  }

  test("--scheme none takes what the article's sender sends, with exactly 200; --json says each request in a line", async () => {
    const { url, end } = await receive("--scheme", "none", "--json");
    assert.match(await rawAnswer(url), /^HTTP\/1\.1 200 OK\r\n/);
    await fetch(url, { method: "POST", body: "{not json" });
    await fetch(url);
    const { code, out, err } = await end();
    assert.equal(code, 0, err);
    const [taken, refused, asked, counters] = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      { ...taken, at: 0, tookMs: 0 },
      { at: 0, type: "none", id: null, status: 200, tookMs: 0 },
    );
    assert.deepEqual([refused.status, refused.type, refused.code], [400, null, "invalid_payload"]);
    assert.deepEqual([asked.status, asked.code], [405, "method_not_allowed"]);
    assert.deepEqual(counters.counters.refused, { invalid_payload: 1, method_not_allowed: 1 });
    assert.match(err, /Nothing is done with the events: .*--insert, --append or --forward/);
    assert.doesNotMatch(err, /Remembers/);
    assert.match(err, /the scheme none checks nothing/);
  });

  test("the article's own sender prints that it was sent", { skip: whyNoPython() }, async () => {
    const { url, end } = await receive("--scheme", "none", "--quiet");
    const env = { ...process.env, NO_PROXY: "*", PYTHONIOENCODING: "utf-8" };
    const { stdout } = await promisify(execFile)("python3", [ARTICLE, url], { env });
    assert.equal(stdout.trim(), "数据发送成功");
    await end();
  });

  test("--insert: killed and started again, a repeat makes no second row; while the database refuses, 503 and Retry-After", async () => {
    const flags = ["--scheme", "github", "--secret-file", secretFile, "--insert", "sqlite:hooks.db#events"];
    const event = { id: "d-1", type: "issues.opened", data: { action: "opened", n: 1 } };
    const first = await receive(...flags);
    assert.equal((await send(first.url, event)).status, 200);
    await first.end("SIGKILL");

    const { url, end } = await receive(...flags);
    assert.equal((await send(url, event)).status, 200);
    assert.deepEqual(
      rows("hooks.db", "events").map(({ received_at: _, ...row }) => row),
      [{ event_id: "d-1", event_type: "issues.opened", data: '{"action":"opened","n":1}' }],
    );
    const other = new DatabaseSync(workspace.file("hooks.db"));
    other.exec("ALTER TABLE events RENAME TO away");
    const refused = await send(url, { ...event, id: "d-2" });
    assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "30"]);
    other.exec("ALTER TABLE away RENAME TO events");
    other.close();
    assert.equal((await send(url, { ...event, id: "d-2" })).status, 200);
    assert.equal(rows("hooks.db", "events").length, 2);

    const { code, out, err } = await end("SIGINT");
    assert.equal(code, 0);
    assert.match(err, /Remembers what it handled in sqlite:hooks\.db, in one commit with the rows\./);
    assert.match(err, /✗ insert events: .*table/);
    assert.match(
      out,
      /✓ 200 issues\.opened d-1 duplicate \d+ ms\n.*✗ 503 issues\.opened d-2 unavailable \d+ ms\n.*✓ 200 issues\.opened d-2 \d+ ms/,
    );
    assert.match(out, /3 received: 1 handled, 1 duplicate, 1 failed, 1 refused \(unavailable\)\n$/);
  });

  test("SIGTERM waits for what is under way", async () => {
    const held = Promise.withResolvers<ServerResponse>();
    const target = createServer((_request, response) => held.resolve(response)).listen(0, "127.0.0.1");
    workspace.atEnd(() => target.close());
    await once(target, "listening");
    const forward = `http://127.0.0.1:${(target.address() as AddressInfo).port}/next`;
    const { url, child, end } = await receive(
      ...["--scheme", "github", "--secret-file", secretFile, "--forward", forward, "--types", "push"],
    );
    assert.equal((await send(url, { type: "ping", data: {} })).status, 200, "not one of the types");
    const answer = send(url, { type: "push", data: {} });
    const response = await held.promise;
    const stopping = new Promise((resolve) => child.stderr?.once("data", resolve));
    const ended = end("SIGTERM");
    assert.match(String(await stopping), /Stopping: requests under way end first/);
    response.end();
    assert.equal((await answer).status, 200);
    const { code, out } = await ended;
    assert.equal(code, 0);
    assert.match(out, /2 received: 1 handled, 1 of no type that is handled\n$/);
  });

  test("what is wrong is said with its name, never with a secret, and ends with 2", async () => {
    const config = workspace.file("receive.json");
    writeFileSync(config, JSON.stringify({ scheme: "github", secrets: [SECRET], handlerz: {} }), {
      mode: 0o644,
    });
    const { code, err } = await runReceive(["--config", config], workspace.directory);
    assert.equal(code, 2);
    assert.match(err, /receive\.json can be read by everyone on this machine/);
    assert.match(err, /receive\.json: \/handlerz is not a field known here/);
    assert.ok(!err.includes(SECRET));
    const wrong = await runReceive(["--port", "99999"], workspace.directory);
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /--port <port>.*99999.*0 to 65535/);
  });
});

/** Byte for byte what the requests library sends for the article's order. */
async function rawAnswer(url: string): Promise<string> {
  const { port, host } = new URL(url);
  const body = '{"order_id": "12345", "status": "created"}';
  const socket = connect(Number(port), "127.0.0.1");
  socket.end(
    `POST / HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n` +
      `Connection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  return text(socket);
}

function whyNoPython(): string | false {
  const { status } = spawnSync("python3", ["-c", "import requests"], { stdio: "ignore" });
  return status === 0 ? false : "python3 with requests is not installed here";
}

// The audit log from outside: the API shows it, and `posthorn audit verify` finds whatever someone changed in the database.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openPosthorn } from "../src/app/open.ts";
import { followChain } from "../src/cli/audit-chain.ts";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { type AuditEntry, auditHash } from "../src/domain/audit.ts";
import { assertProblem } from "./api-fixture.ts";
import { ADMIN_KEY, startTestServer, type TestServer } from "./api-server-fixture.ts";

let server: TestServer;
let database: DatabaseSync;

before(async () => {
  server = await startTestServer();
  for (const name of ["a", "b", "c", "d"])
    await server.call("POST", "/v1/event-types", { name: `order.${name}` });
  database = new DatabaseSync(path.join(server.dataDir, "posthorn.db"));
});
after(async () => {
  database.close();
  await server.end();
});

async function posthorn(...args: string[]): Promise<{ code: number; out: string; talk: string }> {
  const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
  const env = { ...process.env, NO_COLOR: "1", POSTHORN_URL: server.url, POSTHORN_KEY: ADMIN_KEY };
  return promisify(execFile)(process.execPath, [...NODE_ARGUMENTS, main, ...args], { env }).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, talk: stderr }),
    ({ code, stdout, stderr }) => ({ code, out: stdout, talk: stderr }),
  );
}

/** As the command does it, in small pages. */
function follow(notedHash?: string) {
  return followChain(async (cursor) => {
    const after = cursor === undefined ? "" : `&cursor=${cursor}`;
    return (await server.call("GET", `/v1/audit?order=oldest&limit=2${after}`)).json;
  }, notedHash);
}

describe("the audit log", () => {
  test("shows who did what to what", async () => {
    const { json } = await server.call("GET", "/v1/audit?order=oldest");
    const made = json.data.filter(({ action }: { action: string }) => action === "event_type.create");
    assert.equal(made.length, 4);
    const [first] = made;
    assert.deepEqual([first.actor.kind, first.actor.role, first.address], ["key", "admin", "127.0.0.1"]);
    assert.match(first.requestId, /^req_/);
    assert.deepEqual((await server.call("GET", `/v1/audit/${first.id}`)).json, first);
    assertProblem(await server.call("GET", "/v1/audit/aud_nothing"), "not_found");
    assertProblem(await server.call("GET", "/v1/audit?order=random"), "invalid_field");
    const line = server.log.map((text) => JSON.parse(text)).find(({ id }) => id === first.id);
    assert.deepEqual(
      [line.msg, line.action, line.actor, line.requestId],
      ["audit", first.action, first.actor, first.requestId],
    );
    assert.ok(!("after" in line));
  });

  test("is whole, and its head is to be kept elsewhere", async () => {
    const { code, out } = await posthorn("audit", "verify");
    assert.equal(code, 0);
    const { json } = await server.call("GET", "/v1/audit?limit=1");
    const [{ number, hash }] = json.data;
    assert.equal(out, `${number} entries, each as it was written.\nHead: ${number} ${hash}\n`);
    assert.deepEqual(await follow(hash), {
      entries: number,
      head: { number, hash },
      fault: null,
      noted: true,
    });
  });

  test("tells of an entry that someone changed, took out, or put elsewhere", async () => {
    const columns =
      "id, at_ms, actor, action, target, app_id, before, after, address, request_id, previous_hash, hash";
    // Whoever has the file has its triggers, too.
    const triggers = database.prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_log'",
    );
    assert.throws(() => database.exec("UPDATE audit_log SET action = 'x' WHERE number = 3"), /never changes/);
    for (const { name } of triggers.all()) database.exec(`DROP TRIGGER ${name}`);
    database.exec("CREATE TABLE kept AS SELECT * FROM audit_log");
    const tampered = async (sql: string) => {
      database.exec(sql);
      const { fault } = await follow();
      database.exec("DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept");
      return fault;
    };
    const changed = { kind: "changed", number: 3 };
    assert.deepEqual(
      await tampered("UPDATE audit_log SET action = 'event_type.update' WHERE number = 3"),
      changed,
    );
    assert.deepEqual(await tampered("UPDATE audit_log SET at_ms = at_ms + 1 WHERE number = 3"), changed);
    assert.deepEqual(
      await tampered(`UPDATE audit_log SET actor = '{"kind":"system"}' WHERE number = 3`),
      changed,
    );
    assert.deepEqual(await tampered("UPDATE audit_log SET address = NULL WHERE number = 3"), changed);
    assert.deepEqual(await tampered("DELETE FROM audit_log WHERE number = 3"), {
      kind: "gap",
      expected: 3,
      found: 4,
    });
    assert.deepEqual(await tampered("DELETE FROM audit_log WHERE number = 1"), {
      kind: "gap",
      expected: 1,
      found: 2,
    });
    const swap = `DELETE FROM audit_log WHERE number IN (3, 4);
      INSERT INTO audit_log (number, ${columns}) SELECT 7 - number, ${columns} FROM kept WHERE number IN (3, 4)`;
    assert.deepEqual(await tampered(swap), changed);
    // With a hash of its own, a forged entry passes; the next one does not follow on it.
    const {
      previousHash,
      hash: _,
      ...entry
    } = (await server.engine.audit.list({ oldestFirst: true })).data[2] as AuditEntry;
    const forged = auditHash({ ...entry, previousHash, address: "192.0.2.1" });
    const forgery = `UPDATE audit_log SET address = '192.0.2.1', hash = '${forged}' WHERE number = 3`;
    assert.deepEqual(await tampered(forgery), { kind: "broken_chain", number: 4 });
    assert.equal((await follow()).fault, null);
  });

  test("tells by an earlier head that it was cut off; the command ends with 1 and says where", async () => {
    const { head } = await follow();
    database.exec("DELETE FROM audit_log WHERE number = (SELECT max(number) FROM audit_log)");
    const cut = await follow(head?.hash);
    assert.deepEqual([cut.fault, cut.noted], [null, false]);
    const withHead = await posthorn("audit", "verify", "--head", head?.hash ?? "");
    assert.equal(withHead.code, 1);
    assert.match(withHead.talk, /cut off/);
    database.exec("UPDATE audit_log SET action = 'nothing' WHERE number = 2");
    const broken = await posthorn("audit", "verify");
    assert.equal(broken.code, 1);
    assert.match(broken.talk, /entry 2 is not what was written/);
    assert.equal(broken.out, "");
  });
});

test("what an embedding program does is done by the library", async () => {
  await using posthorn = await openPosthorn({ dataDir: path.join(server.dataDir, "embedded") });
  await posthorn.eventTypes.create({ name: "order.created" });
  const { data } = await posthorn.audit.list();
  assert.deepEqual([data[0]?.action, data[0]?.actor], ["event_type.create", { kind: "library" }]);
});

// Refused publications through the HTTP API and the command line.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { ADMIN_KEY, startTestServer, type TestServer } from "./api-server-fixture.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const run = promisify(execFile);

describe("refused publications", () => {
  let database: TestDatabase;
  let server: TestServer;
  let client: pg.Client;
  before(async () => {
    database = await openTestDatabase();
    server = await startTestServer({ store: database.url, strictTypes: true });
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await server.call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
  });
  after(async () => {
    await client.end();
    await server.end();
    await database.drop();
  });

  const data = '{"2":1,"1":2,"n":9007199254740993}';
  /** Published in SQL, and refused since: its type is not registered. */
  const refused = async (): Promise<string> => {
    const call = "SELECT posthorn.publish('shop', 'order.created', $1, uid => gen_random_uuid()::text) AS id";
    const { id } = (await client.query(call, [data])).rows[0];
    while ((await server.call("GET", `/v1/publications/${id}`)).json.state !== "refused")
      await client.query("SELECT pg_sleep(0.01)");
    return id;
  };
  const posthorn = async (...args: string[]): Promise<string> => {
    const env = { ...process.env, NO_COLOR: "1", POSTHORN_URL: server.url, POSTHORN_KEY: ADMIN_KEY };
    return (await run(process.execPath, [...NODE_ARGUMENTS, MAIN, "publications", ...args], { env })).stdout;
  };

  test("the API shows them, takes them again and forgets them", async () => {
    const id = await refused();
    const { json, text } = await server.call("GET", `/v1/publications/${id}`);
    assert.ok(text.endsWith(`,"data":${data}}`), "byte for byte");
    const { data: _, ...view } = json;
    assert.equal(view.problem.code, "unknown_event_type");
    assert.equal(view.dataBytes, data.length);
    assert.deepEqual((await server.call("GET", "/v1/publications?app=shop")).json, {
      data: [view],
      nextCursor: null,
    });
    assert.equal((await server.call("GET", "/v1/publications?app=operator")).json.data.length, 0);

    await server.call("POST", "/v1/event-types", { name: "order.created" });
    const retried = await server.call("POST", `/v1/publications/${id}/retry`);
    assert.deepEqual([retried.status, retried.json], [202, { id }]);
    while ((await server.call("GET", "/v1/events?app=shop")).json.data.length === 0)
      await client.query("SELECT pg_sleep(0.01)");
    const [event] = (await server.call("GET", "/v1/events?app=shop")).json.data;
    assert.equal(event.uid, view.uid);
    for (const [method, action] of [
      ["GET", ""],
      ["POST", "/retry"],
      ["DELETE", ""],
    ] as const) {
      const { status, json } = await server.call(method, `/v1/publications/${id}${action}`);
      assert.deepEqual([status, json.code], [404, "not_found"]);
    }

    await server.call("DELETE", "/v1/event-types/order.created");
    const other = await refused();
    assert.equal((await server.call("DELETE", `/v1/publications/${other}`)).status, 204);
    assert.equal((await server.call("GET", "/v1/publications")).json.data.length, 0);
  });

  test("the command line does the same", async () => {
    const id = await refused();
    const table = await posthorn("list", "--app", "shop");
    assert.match(table, new RegExp(`${id} .*order\\.created .*unknown_event_type`));
    assert.ok((await posthorn("get", id)).includes(data));
    assert.ok((await posthorn("get", id, "--json")).endsWith(`${data}}\n`));
    assert.deepEqual(JSON.parse(await posthorn("delete", id, "--json")), { deleted: id });
    await assert.rejects(posthorn("retry", id), {
      code: 4,
      stderr: new RegExp(`There is no publication "${id}"`),
    });
  });
});

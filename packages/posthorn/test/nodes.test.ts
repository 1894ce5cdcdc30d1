// Nodes as they are seen from outside: /v1/nodes, `posthorn nodes`, and what a node without the role `api` answers.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { assertProblem } from "./api-fixture.ts";
import { ADMIN_KEY, startTestServer, type TestServer } from "./api-server-fixture.ts";

describe("a node on SQLite", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer({ nodeName: "harbour" });
  });
  after(() => server.end());

  async function posthorn(...args: string[]): Promise<string> {
    const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
    const env = { ...process.env, NO_COLOR: "1", POSTHORN_URL: server.url, POSTHORN_KEY: ADMIN_KEY };
    const { stdout } = await promisify(execFile)(process.execPath, [...NODE_ARGUMENTS, main, ...args], {
      env,
    });
    return stdout;
  }

  test("is the one that /v1/nodes shows", async () => {
    const { status, json } = await server.call("GET", "/v1/nodes");
    assert.equal(status, 200);
    const [node, ...more] = json.data;
    assert.deepEqual(more, []);
    const { name, state, roles, version, leased, ownedLanes, lagMs } = node;
    assert.deepEqual(
      { name, state, roles, version, leased, ownedLanes, lagMs },
      {
        name: "harbour",
        state: "alive",
        roles: ["api", "dispatch", "sources"],
        version: server.version,
        leased: 0,
        ownedLanes: 0,
        lagMs: null,
      },
    );
    assert.deepEqual((await server.call("GET", `/v1/nodes/${node.id}`)).json.id, node.id);
    assertProblem(await server.call("GET", "/v1/nodes/inc_nothing"), "not_found");
    assertProblem(await server.call("GET", "/v1/nodes", undefined, { authorization: "" }), "unauthorized");
  });

  test("is in the table of `posthorn nodes`", async () => {
    const table = await posthorn("nodes");
    assert.match(table, /^inc_\w+ +harbour +alive +api,dispatch,sources /m);
    const { data } = JSON.parse(await posthorn("nodes", "--json"));
    assert.equal(data[0].name, "harbour");
  });

  test("says at /readyz what its store is and does", async () => {
    const { json } = await server.call("GET", "/readyz");
    assert.deepEqual(json.warnings, []);
    assert.equal(json.store.kind, "sqlite");
    assert.match(json.store.durability, /full/i);
  });
});

test("a node without the role `api` answers how it is, and nothing else", async () => {
  const server = await startTestServer({ roles: ["dispatch"] });
  try {
    for (const path of ["/healthz", "/readyz", "/metrics"])
      assert.equal((await server.call("GET", path)).status, 200, path);
    for (const [method, path] of [
      ["POST", "/v1/events"],
      ["GET", "/v1/apps"],
      ["GET", "/docs"],
    ] as const) {
      const problem = assertProblem(await server.call(method, path), "not_found");
      assert.match(problem.detail, /without the role "api"/);
    }
  } finally {
    await server.end();
  }
});

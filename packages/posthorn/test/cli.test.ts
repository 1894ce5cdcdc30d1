import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { type Inbound, listen, type Responder } from "../src/cli/proof/http-responder.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The command line as a stranger uses it: a server on a new directory, and commands that find its key by themselves. */
describe("the command line", () => {
  const workspace = new Workspace("cli");
  const dataDir = workspace.file("data");
  let server: ChildProcess;
  let url: string;
  let receiver: Responder;
  let requests: Inbound[];
  let arrived: () => void = () => {};
  let serverOut = "";

  async function posthorn(
    args: string[],
    { input = "", environment = {} as Record<string, string> } = {},
  ): Promise<Ran> {
    const child = spawn(process.execPath, [...NODE_ARGUMENTS, MAIN, ...args], {
      env: { ...process.env, NO_COLOR: "1", POSTHORN_URL: url, POSTHORN_DATA_DIR: dataDir, ...environment },
    });
    child.stdin.end(input);
    const [out, err, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "exit"),
    ]);
    return { code, out, err };
  }

  async function succeed(...args: string[]): Promise<string> {
    const { code, out, err } = await posthorn(args);
    assert.equal(code, 0, err);
    return out;
  }

  before(async () => {
    requests = [];
    receiver = await listen((request) => {
      requests.push(request);
      arrived();
      return { kind: "status", status: 200 };
    });
    workspace.atEnd(() => receiver.close());
    server = spawn(process.execPath, [...NODE_ARGUMENTS, MAIN, "dev", "--port", "0", "--data-dir", dataDir], {
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    workspace.atEnd(() => server.kill("SIGKILL"));
    const { promise, resolve } = Promise.withResolvers<string>();
    server.stdout?.on("data", (chunk) => {
      serverOut += chunk;
      const found = /listens on (http\S+)\n[\s\S]*admin\.key/.exec(serverOut)?.[1];
      if (found !== undefined) resolve(found);
    });
    url = await promise;
  });
  after(() => workspace.close());

  test("prints the admin key once, and keeps it in a file for its owner alone", () => {
    const key = readFileSync(`${dataDir}/admin.key`, "utf8").trim();
    assert.ok(serverOut.includes(key));
    assert.equal(statSync(`${dataDir}/admin.key`).mode & 0o777, 0o600);
  });

  test("makes an app and an endpoint, publishes, and the request verifies with `posthorn verify`", async () => {
    await succeed("apps", "create", "--uid", "shop", "--name", "The shop");
    await succeed(
      "endpoints",
      "create",
      "shop",
      `http://127.0.0.1:${receiver.port}/hooks`,
      "--uid",
      "main",
      "--type",
      "order.*",
    );
    const secret = (await succeed("endpoints", "secret", "shop", "main")).trim();
    assert.match(secret, /^whsec_/);

    const request = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const data = '{"2":1, "1":2,"n":9007199254740993,"d":1.0,"e":1e2}';
    const published = JSON.parse(
      await succeed("publish", "--app", "shop", "--type", "order.created", "--data", data, "--json"),
    );
    assert.equal(published.deliveries, 1);
    await request;
    const [first] = requests;
    assert.ok(first !== undefined);
    const body = first.body.toString();
    assert.ok(body.endsWith(`"data":${data}}`), "byte for byte as it was given");
    const shown = await succeed("events", "get", published.id, "--json");
    assert.ok(shown.includes(data));

    const headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].flatMap((name) => [
      "--header",
      `${name}: ${first.header(name)}`,
    ]);
    const valid = await posthorn(["verify", "--secret", secret, ...headers], { input: body });
    assert.equal(valid.code, 0, valid.err);
    assert.match(valid.out, new RegExp(`^valid: ${published.id}`));
    const changed = await posthorn(["verify", "--secret", secret, ...headers], { input: `${body} ` });
    assert.equal(changed.code, 1);
    assert.match(changed.err, /no_matching_signature/);
  });

  test("shows lists as aligned tables, and as one JSON document", async () => {
    const [head = "", row = ""] = (await succeed("apps", "list")).split("\n");
    assert.equal(row.indexOf("The shop"), head.indexOf("name"));
    const { data, nextCursor } = JSON.parse(await succeed("apps", "list", "--json"));
    assert.equal(data[0].uid, "shop");
    assert.equal(nextCursor, null);
  });

  test("makes a key for one app, which sees no more than that, and shows the keys with their roles", async () => {
    const key = await succeed("keys", "create", "For the shop", "--role", "app", "--app", "shop");
    const refused = await posthorn(["apps", "list"], { environment: { POSTHORN_KEY: key.trim() } });
    assert.match(refused.err, /role app may not/);
    const [head = "", row = ""] = (await succeed("keys", "list", "--app", "shop")).split("\n");
    assert.match(head, /^id +name +role +app /);
    assert.match(row, /^key_\w+ +For the shop +app +app_\w+ /);
  });

  test("dev shows each delivery as it happens", () => {
    assert.match(serverOut, /✓ 200 order\.created evt_\w+ -> ep_\w+ attempt 1/);
  });

  test("publishes a file, and tells that some of it was refused", async () => {
    const file = workspace.file("events.ndjson");
    writeFileSync(
      file,
      '{"app":"shop","type":"order.paid","data":1}\n\n{"app":"nobody","type":"order.paid","data":2}\n',
    );
    const { code, out, err } = await posthorn(["publish", "--file", file]);
    assert.equal(code, 8);
    assert.match(out, /^evt_\w+\n$/);
    assert.match(err, /Event 2: .*nobody/);
  });

  test("redelivers, and shows the attempts", async () => {
    const { data } = JSON.parse(
      await succeed("deliveries", "list", "--app", "shop", "--state", "delivered", "--json"),
    );
    const again = (await succeed("redeliver", data[0].id)).trim();
    assert.match(again, /^dlv_/);
    assert.match(await succeed("deliveries", "get", data[0].id), /attempt +started[\s\S]+succeeded 200/);
  });

  describe("tells by its exit code what went wrong", () => {
    test("2: wrong usage, an unknown command, and input that cannot be used", async () => {
      assert.equal((await posthorn(["publish"])).code, 2);
      const misspelt = await posthorn(["pubish"]);
      assert.equal(misspelt.code, 2);
      assert.match(misspelt.err, /Did you mean publish\?/);
      const refused = await posthorn(["endpoints", "create", "shop", "ftp://nowhere"]);
      assert.equal(refused.code, 2);
      assert.match(refused.err, /invalid_url/);
      const flag = await posthorn(["serve", "--port", "many"]);
      assert.equal(flag.code, 2);
      assert.match(flag.err, /--port.*many/);
    });

    test("3: no key, or one that is refused", async () => {
      const environment = { POSTHORN_KEY: "phk_wrong" };
      assert.equal((await posthorn(["apps", "list"], { environment })).code, 3);
      const nowhere = { POSTHORN_DATA_DIR: workspace.file("nowhere") };
      const { code, err } = await posthorn(["apps", "list"], { environment: nowhere });
      assert.equal(code, 3);
      assert.match(err, /admin\.key cannot be read/);
    });

    test("4: not found, 5: conflict, 7: no server", async () => {
      assert.equal((await posthorn(["apps", "get", "nobody"])).code, 4);
      assert.equal((await posthorn(["apps", "create", "--uid", "shop"])).code, 5);
      assert.equal((await posthorn(["apps", "list", "--url", "http://127.0.0.1:1"])).code, 7);
    });
  });

  test("the doctor finds nothing wrong, and says what is", async () => {
    const healthy = await posthorn(["doctor", "--json"]);
    const { findings } = JSON.parse(healthy.out) as { findings: { name: string; result: string }[] };
    assert.equal(healthy.code, 0, healthy.out);
    for (const name of ["node", "data directory", "database", "server", "ready", "key"])
      assert.equal(findings.find((finding) => finding.name === name)?.result, "ok", name);
    const alone = await posthorn(["doctor", "--url", "http://127.0.0.1:1"]);
    assert.equal(alone.code, 1);
    assert.match(alone.out, /^failed +server/m);
  });

  test("the other commands each do what they say", async () => {
    const types = async () => {
      await succeed("event-types", "put", "order.paid", "--description", "Paid", "--example", '{"order":1}');
      assert.match(await succeed("event-types", "list"), /^order\.paid/m);
      assert.match(await succeed("event-types", "get", "order.paid"), /Paid/);
      await succeed("event-types", "delete", "order.paid");
      assert.equal((await posthorn(["event-types", "get", "order.paid"])).code, 4);
    };
    const keys = async () => {
      const secret = (await succeed("keys", "create", "Billing")).trim();
      assert.equal((await posthorn(["apps", "list", "--key", secret])).code, 0);
      const { data } = JSON.parse(await succeed("keys", "list", "--json"));
      const { id } = data.find(({ name }: { name: string }) => name === "Billing");
      await succeed("keys", "delete", id);
    };
    const endpoints = async () => {
      const other = `http://127.0.0.1:${receiver.port}/other`;
      await succeed(
        "endpoints",
        "create",
        "shop",
        other,
        "--uid",
        "other",
        "--retry-schedule",
        "1,2",
        "--filter",
        "true",
      );
      const update = [
        "endpoints",
        "update",
        "shop",
        "other",
        "--rate-limit",
        "50",
        "--clear",
        "filter",
        "--json",
      ];
      const { rateLimitPerSecond, filter, retrySchedule } = JSON.parse(await succeed(...update));
      assert.deepEqual([rateLimitPerSecond, filter, retrySchedule], [50, null, [1, 2]]);
      const secret = await succeed("endpoints", "rotate", "shop", "other", "--overlap-seconds", "0");
      assert.equal(await succeed("endpoints", "secret", "shop", "other"), secret);
      const since = new Date(Date.now() - 3_600_000).toISOString();
      const dry = JSON.parse(
        await succeed("replay", "shop", "other", "--since", since, "--dry-run", "--json"),
      );
      assert.ok(dry.matching > 0);
      const { id } = JSON.parse(await succeed("replay", "shop", "other", "--since", since, "--json"));
      assert.match(await succeed("replay", "get", id), /state +(running|finished)/);
      await succeed("endpoints", "test", "shop", "other", "--event-type", "order.tested");
      for (const [action, status] of Object.entries({
        pause: "paused",
        resume: "enabled",
        disable: "disabled",
        enable: "enabled",
      })) {
        const changed = JSON.parse(await succeed("endpoints", action, "shop", "other", "--json"));
        assert.equal(changed.status, status);
      }
      assert.match(await succeed("endpoints", "list", "shop"), /other .*\/other/);
      await succeed("endpoints", "delete", "shop", "other");
    };
    const events = async () => {
      const { data } = JSON.parse(await succeed("events", "list", "--app", "shop", "--json"));
      await succeed("events", "expunge", data.at(-1).id);
      assert.match(await succeed("events", "get", data.at(-1).id), /data +null/);
    };
    await Promise.all([types(), keys(), endpoints().then(events)]);
    await succeed("apps", "update", "shop", "--name", "Renamed");
    assert.match(await succeed("apps", "get", "shop"), /name +Renamed/);
    await succeed("apps", "delete", "shop");
  });

  test("SIGTERM stops the server with exit code 0", async () => {
    server.kill("SIGTERM");
    assert.deepEqual(await once(server, "exit"), [0, null]);
  });
});

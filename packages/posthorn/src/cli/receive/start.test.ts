import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { schemeNamed } from "@posthorn/receiver";
import { signedParts, type TestEvent } from "@posthorn/receiver/testing";
import { PosthornError } from "../../base/errors.ts";
import { CliError } from "../exit-code.ts";
import { countersLine, type Lines, requestLine, windowLine } from "./lines.ts";
import { readSettings, type SettingsInput } from "./settings.ts";
import { startReceiver } from "./start.ts";

const SECRET = "It's a Secret to Everybody";

/** In this process, with what it says. `DIR` in a setting is a folder of its own. */
async function receive(context: TestContext, given: SettingsInput) {
  const directory = mkdtempSync(path.join(tmpdir(), "posthorn-receive-"));
  const file = (name: string) => path.join(directory, name);
  const said: string[] = [];
  const lines: Lines = {
    listens() {},
    note: (text) => said.push(text),
    request: (answered) => said.push(requestLine(answered)),
    window: (name, result) => said.push(windowLine(name, result)),
    failure: (error, by) => said.push(`${by}: ${error}`),
    counters() {},
  };
  const placed = JSON.parse(JSON.stringify(given).replaceAll("DIR", directory)) as SettingsInput;
  const settings = readSettings(undefined, { port: 0, deadLetters: file("dead.ndjson"), ...placed });
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(file("text"), "this is no database".repeat(100));
  const running = await startReceiver(settings, { scheme: schemeNamed("github"), secrets: [SECRET], lines });
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= running.stop();
    return stopping;
  };
  context.after(stop);
  const send = async (event: TestEvent): Promise<number> => {
    const { headers, body } = signedParts("github", SECRET, event, { url: running.url });
    const response = await fetch(running.url, { method: "POST", headers, body: Buffer.from(body) });
    return response.status;
  };
  const rows = (sql: string) => {
    const database = new DatabaseSync(file("shop.db"));
    try {
      return database
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    } finally {
      database.close();
    }
  };
  return { ...running, stop, send, rows, file, said };
}

/** Of each line of a request that was acknowledged: the event's id, and what became of it instead. */
function answered(said: readonly string[]): string[] {
  return said.flatMap((line) => / 200 \S+ (.*) \d+ ms$/.exec(line)?.[1] ?? []);
}

const ORDERS = {
  insert: {
    table: "orders",
    columns: { id: "$.id", total: { path: "$.data.total", type: "numeric", required: true } },
    create: true,
  },
} as const;

test("a list of steps by type: rows, windows, files; what can never be processed goes to the dead letters", async (context) => {
  const { send, rows, file, said, stop, receiver } = await receive(context, {
    store: "sqlite:DIR/shop.db",
    handlers: {
      "order.*": [
        ORDERS,
        {
          aggregate: {
            window: { kind: "tumbling", sizeMs: 3_600_000 },
            by: "$.data.shop",
            values: { revenue: { sum: "$.data.total" } },
          },
        },
      ],
      "*": [{ append: { file: "DIR/other.ndjson" } }],
    },
  });
  const order = { id: "o-1", type: "order.created", data: { shop: "north", total: 4.5 } };
  assert.equal(await send(order), 200);
  assert.equal(await send(order), 200);
  assert.equal(await send({ id: "o-2", type: "order.paid", data: { shop: "north", total: 2 } }), 200);
  assert.equal(await send({ id: "o-3", type: "order.paid", data: { shop: "north" } }), 200);
  assert.equal(await send({ id: "p-1", type: "push", data: { ref: "main" } }), 200);
  await stop();
  assert.deepEqual(rows("SELECT * FROM orders"), [
    { id: "o-1", total: 4.5 },
    { id: "o-2", total: 2 },
  ]);
  assert.ok(
    said.some((line) => /^aggregate \S+ north: 2 events, revenue 6\.5$/.test(line)),
    said.join("\n"),
  );
  assert.equal(JSON.parse(readFileSync(file("other.ndjson"), "utf8")).id, "p-1");
  const letter = JSON.parse(readFileSync(file("dead.ndjson"), "utf8"));
  assert.deepEqual([letter.id, letter.by], ["o-3", "insert orders"]);
  assert.equal(countersLine(receiver.counters()), "5 received: 3 handled, 1 duplicate, 1 dead letter");
  assert.deepEqual(answered(said), ["o-1", "o-1 duplicate", "o-2", "o-3 dead letter", "p-1"]);
  assert.match(said[0] ?? "", /Remembers what it handled in sqlite:.*shop\.db, in one commit with the rows/);
});

test("of requests at the same time each line tells of its own", async (context) => {
  const { send, said } = await receive(context, {
    store: "sqlite:DIR/shop.db",
    handlers: { "order.*": [ORDERS] },
  });
  const orders = Array.from({ length: 20 }, (_, index) => ({
    id: `o-${index}`,
    type: "order.paid",
    data: index % 2 === 0 ? { total: index } : {},
  }));
  await Promise.all([...orders, ...orders].map(send));
  const expected = orders.flatMap(({ id, data }) => [
    "total" in data ? id : `${id} dead letter`,
    `${id} duplicate`,
  ]);
  assert.deepEqual(answered(said).toSorted(), expected.toSorted());
});

test("without anything to do it says so, and counts what it acknowledged", async (context) => {
  const { send, said, receiver } = await receive(context, {});
  assert.equal(countersLine(receiver.counters(), true), "0 received: 0 acknowledged");
  assert.equal(await send({ id: "o-1", type: "push", data: 1 }), 200);
  assert.match(said[0] ?? "", /^Nothing is done with the events/);
  assert.equal(countersLine(receiver.counters(), true), "1 received: 1 acknowledged");
});

test("two receivers with names of their own do not take the other's events for repeats", async (context) => {
  const handlers = {
    "*": [{ insert: { table: "orders", columns: { id: "$.id" }, upsertKey: [], create: true } }],
  };
  const one = await receive(context, { name: "one", store: "sqlite:DIR/shop.db", handlers });
  const other = await receive(context, { name: "other", store: `sqlite:${one.file("shop.db")}`, handlers });
  for (const { send } of [one, other, one])
    assert.equal(await send({ id: "o-1", type: "push", data: 1 }), 200);
  assert.equal(one.rows("SELECT id FROM orders").length, 2);
});

test("ack-then-process: answered once it is on the disk, and in the table after that", async (context) => {
  const { send, rows, stop, said, receiver } = await receive(context, {
    mode: "ack-then-process",
    handlers: { "*": [{ insert: { into: "sqlite:DIR/shop.db#events", create: true } }] },
  });
  assert.equal(await send({ id: "e-1", type: "push", data: 1 }), 200);
  assert.equal(await send({ id: "e-1", type: "push", data: 1 }), 200);
  while (receiver.counters().handled < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  await stop();
  assert.deepEqual(rows("SELECT event_id FROM events"), [{ event_id: "e-1" }]);
  assert.match(said[0] ?? "", /Remembers what it handled in sqlite:.*shop\.db, in one commit with the rows/);
  assert.equal(receiver.counters().duplicates, 1);
});

test("the same step under two patterns is one: what they bring is counted together", async (context) => {
  const window = { kind: "tumbling", sizeMs: 86_400_000 } as const;
  const steps = [
    { append: { file: "DIR/all.ndjson" } },
    { aggregate: { window, values: { n: "count" } } },
  ] as const;
  const handlers = { push: [...steps], ping: [...steps] };
  const { send, file, stop, said } = await receive(context, { handlers });
  await Promise.all(["push", "ping", "fork"].map((type) => send({ type, data: {} })));
  await stop();
  assert.equal(readFileSync(file("all.ndjson"), "utf8").trim().split("\n").length, 2);
  assert.deepEqual(
    said.filter((line) => line.startsWith("aggregate")).map((line) => line.slice(line.indexOf(": "))),
    [": 2 events, n 2"],
  );
  assert.match(said[0] ?? "", /Remembers in memory/);
});

test("what keeps it from starting is said with its place and what to do", async (context) => {
  const into = "sqlite:DIR/shop.db";
  const cases: [SettingsInput, RegExp][] = [
    [
      { handlers: { "*": [{ insert: { into } }] } },
      /handlers \*\[0\]: insert: the table is missing: .*#events/,
    ],
    [{ handlers: { "*": [{ insert: { table: "a" } }] } }, /insert: memory has no tables.*"store" or "into"/],
    [{ handlers: { "*": [{ insert: { into: `${into}#a` } }] } }, /no table a\. Create it, or set create/],
    [
      { handlers: { "*": [{ insert: { into: "oracle://x#a" } }] } },
      /\*\[0\]: insert: into: .*sqlite:orders\.db/,
    ],
    [{ handlers: { "*": [{ insert: { into: "sqlite:DIR/none/x.db#a" } }] } }, /none\/x\.db: unable to open/],
    [{ handlers: { "a*": [{ append: { file: "DIR/x" } }] } }, /"a\*" is not an event type pattern/],
    [{ handlers: { "*": [{ forward: { url: "ftp://x" } }] } }, /handlers \*\[0\]: forward: .*http or https/],
    [{ store: "redis://:hidden@127.0.0.1:1" }, /^redis:\/\/127\.0\.0\.1:1: connect ECONNREFUSED/],
    [
      { handlers: { "*": [{ insert: { into: "mysql://me:hidden@127.0.0.1:1/x#a" } }] } },
      /^mysql:\/\/127\.0\.0\.1:1\/x: connect ECONNREFUSED/,
    ],
    [{ store: "foo:bar" }, /^store: .*memory.*sqlite:.*postgres:.*redis:(?!.*mysql)/],
    [{ store: "sqlite:DIR/text" }, /text: it takes no writes: file is not a database/],
    [
      { handlers: { "*": [{ append: { file: "DIR/none/x.ndjson" } }] } },
      /append: .*\/none\/x\.ndjson cannot be written: there is no folder/,
    ],
    [
      { deadLetters: "DIR/none/dead.ndjson", handlers: { "*": [ORDERS] }, store: into },
      /dead letters: .*none\/dead\.ndjson cannot be written: there is no folder/,
    ],
    [{ store: "mysql://127.0.0.1/x" }, /MySQL keeps no marks/],
    [{ mode: "ack-then-process" }, /memory cannot keep what was acknowledged.*--store sqlite:/],
  ];
  for (const [settings, message] of cases) {
    await assert.rejects(
      () => receive(context, settings),
      (error) => error instanceof CliError && message.test(error.message),
      String(message),
    );
  }
});

// Root writes everywhere, but not into what is no database.
test("a database that cannot be written is no place to start with", async (context) => {
  const { file } = await receive(context, { store: "sqlite:DIR/shop.db" });
  const start = (name: string) => receive(context, { store: `sqlite:${file(name)}` });
  writeFileSync(file("notes.txt"), "these are my notes, and no database at all".repeat(50));
  await assert.rejects(() => start("notes.txt"), /notes\.txt: .*file is not a database/);
  if (process.getuid?.() === 0) return;
  new DatabaseSync(file("old.db")).exec("CREATE TABLE a (b)");
  chmodSync(file("old.db"), 0o444);
  await assert.rejects(
    () => start("old.db"),
    /old\.db: it takes no writes: attempt to write a readonly database/,
  );
});

test("a file's settings: an unknown key and a wrong value are named with the file; flags win", (context) => {
  const directory = mkdtempSync(path.join(tmpdir(), "posthorn-receive-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, "receive.json");
  const read = (settings: unknown, flags: SettingsInput = {}) => {
    writeFileSync(file, typeof settings === "string" ? settings : JSON.stringify(settings), { mode: 0o600 });
    return readSettings(file, flags);
  };
  assert.deepEqual(
    { ...read({ scheme: "github", port: 1, handlers: { "*": [ORDERS] } }, { port: 2, host: undefined }) },
    {
      ...{ scheme: "github", secretFiles: [], secrets: [], host: "127.0.0.1", port: 2, mode: "process" },
      ...{ deadLetters: "dead-letters.ndjson", handlers: { "*": [ORDERS] } },
    },
  );
  const cases: [unknown, RegExp][] = [
    [{ scheme: "tarot" }, /receive\.json: \/scheme: There is no such scheme\. There are standard, /],
    [{ hosts: "x" }, /receive\.json: \/hosts is not a field known here/],
    [{ port: "9000" }, /receive\.json: \/port: must be a number/],
    [
      { handlers: { "*": [{ insert: { table: "a", colums: {} } }] } },
      /\/handlers\/\*\/0\/insert\/colums is not/,
    ],
    [
      { handlers: { "*": [{ insert: { table: "a" }, append: { file: "b" } }] } },
      /must be one of insert, append/,
    ],
    [{ handlers: { "*": [] } }, /\/handlers\/\*/],
    ["[]", /it must be an object/],
    ["{", /--config .*receive\.json: .*JSON/],
  ];
  for (const [settings, message] of cases) {
    assert.throws(
      () => read(settings),
      (error) => error instanceof CliError && error.exitCode === 2 && message.test(error.message),
      String(message),
    );
  }
  const secret = "a-secret-that-nobody-may-see";
  assert.throws(
    () => readSettings(undefined, { secrets: [{ secret }] } as never),
    (error) => error instanceof PosthornError && !error.message.includes(secret),
  );
});

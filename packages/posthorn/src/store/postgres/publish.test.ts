// posthorn.publish as its callers see it: in SQL, inside their own transactions, with their own rights.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { PosthornError } from "../../base/errors.ts";
import { isId, locatorOf, newAppId, timeOf } from "../../base/ids.ts";
import { publishThrough } from "./publish.ts";

interface Row {
  readonly id: string;
  readonly app_id: string;
  readonly envelope: string;
  readonly data: Buffer;
  readonly idempotency_key: string | null;
}

describe("posthorn.publish in SQL", () => {
  let database: TestDatabase;
  let client: pg.Client;
  const shop = newAppId();
  const gone = newAppId();

  before(async () => {
    database = await openTestDatabase();
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    for (const [id, uid, removedAtMs] of [
      [shop, "shop", null],
      [gone, "gone", 1],
    ]) {
      await client.query(
        `INSERT INTO posthorn.apps (id, uid, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms, removed_at_ms)
        VALUES ($1, $2, $2, '{}', 30, 1, 1, 1, $3)`,
        [id, uid, removedAtMs],
      );
    }
  });
  after(async () => {
    await client.end();
    await database.drop();
  });

  const publish = async (call: string, values: unknown[] = []): Promise<Row> => {
    const { rows } = await client.query(`SELECT posthorn.publish(${call}) AS id`, values);
    const stored = await client.query<Row>("SELECT * FROM posthorn.publications WHERE id = $1", [rows[0].id]);
    return stored.rows[0] as Row;
  };

  test("takes an app by id or uid, and keeps the data byte for byte", async () => {
    const exact = ' {"2":1,"1":2,\n"n":9007199254740993,"d":1.0,"e":1e2,"u":"\\u00e9\\u0000é😀"} ';
    const row = await publish("$1, $2, $3", ["shop", "order.created", exact]);
    assert.equal(row.data.toString(), exact);
    assert.equal(row.app_id, shop);
    assert.equal(row.envelope, `{"app":"${shop}","type":"order.created"}`);
    assert.equal((await publish("$1, 'a', 'null'", [shop])).app_id, shop);
  });

  test("gives an id of ours, of the moment and with the locator of its app", async () => {
    const beforeMs = Date.now();
    const ids: string[] = [];
    for (let nth = 0; nth < 50; nth++) ids.push((await publish("'shop', 'a', '1'")).id);
    assert.equal(new Set(ids).size, 50);
    for (const id of ids) {
      assert.ok(isId("pub", id), id);
      assert.equal(locatorOf(id), locatorOf(shop));
      assert.ok(Math.abs(timeOf(id) - beforeMs) < 10_000);
    }
  });

  test("takes everything that an event may have, times also as PostgreSQL writes them", async () => {
    const row = await publish(
      `'shop', 'order.created', '1', uid => 'mine', channels => ARRAY['a', 'b:c'], ordering_key => 'k', idempotency_key => 'once',
      deliver_at => date_trunc('day', now()) + interval '2 days', occurred_at => timestamptz '2026-01-31 12:00:00.5+00' :: text`,
    );
    const { deliverAt, ...envelope } = JSON.parse(row.envelope);
    assert.match(deliverAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:00\.000Z$/);
    assert.match(envelope.timestamp, /^2026-01-31T\d\d:\d\d:00\.5[+-]\d\d:\d\d$/);
    assert.equal(Date.parse(envelope.timestamp), Date.parse("2026-01-31T12:00:00.500Z"));
    assert.deepEqual(
      { ...envelope, timestamp: "" },
      {
        app: shop,
        type: "order.created",
        uid: "mine",
        timestamp: "",
        channels: ["a", "b:c"],
        orderingKey: "k",
      },
    );
    assert.equal(row.idempotency_key, "once");
    const verbatim = "2026-01-31T13:00:00.123456789+01:00";
    assert.equal(
      JSON.parse((await publish(`'shop', 'a', '1', occurred_at => '${verbatim}'`)).envelope).timestamp,
      verbatim,
    );
  });

  const refused: [name: string, call: string, column: string, message: RegExp, code?: string][] = [
    [
      "an app that is not there",
      "'nope', 'a', '1'",
      "app",
      /app must be the id or uid of an app \(got "nope"\)/,
      "23503",
    ],
    ["an app that was removed", "'gone', 'a', '1'", "app", /\(got "gone"\)/, "23503"],
    ["no app", "NULL, 'a', '1'", "app", /\(got NULL\)/, "23503"],
    ["a bad type", "'shop', 'order..created', '1'", "type", /segments of letters.*"order\.\.created"/],
    ["a type with a line's end", "'shop', E'order\\n', '1'", "type", /segments/],
    ["a long type", "'shop', repeat('a', 129), '1'", "type", /at most 128 characters \(got "a{120}\.\.\."\)/],
    ["no type", "'shop', NULL, '1'", "type", /\(got NULL\)/],
    ["data that is no JSON", "'shop', 'a', '{secret}'", "data", /data must be JSON$/],
    ["empty data", "'shop', 'a', ''", "data", /data must be JSON$/],
    ["data that is NULL", "'shop', 'a', NULL", "data", /must be JSON \(got NULL\)/],
    ["data nested without end", "'shop', 'a', repeat('[', 500000)", "data", /data must be JSON/],
    [
      "data that is too large",
      "'shop', 'a', to_json(repeat('x', 1048576))::text",
      "data",
      /payload of 1048\d+ bytes; at most 1048576/,
    ],
    ["an empty uid", "'shop', 'a', '1', uid => ''", "uid", /visible ASCII characters \(got ""\)/],
    [
      "an idempotency key with a space",
      "'shop', 'a', '1', idempotency_key => 'a b'",
      "idempotency_key",
      /"a b"/,
    ],
    [
      "a day that is not there",
      "'shop', 'a', '1', occurred_at => '2026-02-30T00:00:00Z'",
      "occurred_at",
      /ISO 8601/,
    ],
    [
      "a time without an offset",
      "'shop', 'a', '1', occurred_at => '2026-02-20T00:00:00'",
      "occurred_at",
      /ISO 8601/,
    ],
    [
      "many channels",
      "'shop', 'a', '1', channels => array_fill('c'::text, ARRAY[21])",
      "channels",
      /at most 20 \(got 21\)/,
    ],
    ["a bad channel", "'shop', 'a', '1', channels => '{a,NULL}'", "channels", /\(got NULL\)/],
    [
      "an empty ordering key",
      "'shop', 'a', '1', ordering_key => ''",
      "ordering_key",
      /1 to 256 characters \(got 0\)/,
    ],
    [
      "a delivery in two months",
      "'shop', 'a', '1', deliver_at => now() + interval '2 months'",
      "deliver_at",
      /30 days ahead/,
    ],
    [
      "a delivery that never comes",
      "'shop', 'a', '1', deliver_at => 'infinity'",
      "deliver_at",
      /30 days ahead/,
    ],
  ];
  for (const [name, call, column, message, code = "22023"] of refused) {
    test(`refuses ${name}, and the transaction goes on from a savepoint`, async () => {
      await client.query("BEGIN; SAVEPOINT before");
      const error: pg.DatabaseError = await client.query(`SELECT posthorn.publish(${call})`).then(
        () => assert.fail("it was taken"),
        (thrown) => thrown,
      );
      assert.deepEqual([error.code, error.column], [code, column]);
      assert.match(error.message, message);
      assert.ok((error.hint ?? "").length > 5);
      assert.doesNotMatch(error.message, /secret/);
      await client.query("ROLLBACK TO before");
      await publish("'shop', 'a', '1'");
      await client.query("COMMIT");
    });
  }

  test("a payload of exactly 1 MiB is taken", async () => {
    const timestamp = "2026-01-31T12:00:00Z";
    const room = 1024 * 1024 - `{"type":"a","timestamp":"${timestamp}","data":""}`.length;
    await publish(`'shop', 'a', $1, occurred_at => '${timestamp}'`, [`"${"x".repeat(room)}"`]);
    await assert.rejects(
      publish(`'shop', 'a', $1, occurred_at => '${timestamp}'`, [`"${"x".repeat(room + 1)}"`]),
      /makes a payload of 1048577 bytes/,
    );
  });

  test("a role needs nothing but the two rights that the page names", async () => {
    await client.query("DROP ROLE IF EXISTS posthorn_test_publisher; CREATE ROLE posthorn_test_publisher");
    const asPublisher = (text: string): Promise<unknown> =>
      client
        .query(`BEGIN; SET LOCAL ROLE posthorn_test_publisher; ${text}; COMMIT`)
        .finally(() => client.query("ROLLBACK"));
    try {
      await client.query("GRANT USAGE ON SCHEMA posthorn TO posthorn_test_publisher");
      await assert.rejects(asPublisher("SELECT posthorn.publish('shop', 'a', '1')"), { code: "42501" });
      await client.query("GRANT EXECUTE ON FUNCTION posthorn.publish TO posthorn_test_publisher");
      await asPublisher("SELECT posthorn.publish('shop', 'a', '1', occurred_at => now()::text)");
      for (const text of [
        "SELECT * FROM posthorn.publications",
        "SELECT * FROM posthorn.apps",
        "DELETE FROM posthorn.publications",
        `SELECT posthorn.publication_id('${shop}')`,
      ]) {
        await assert.rejects(asPublisher(text), { code: "42501" }, text);
      }
    } finally {
      await client.query("DROP OWNED BY posthorn_test_publisher; DROP ROLE posthorn_test_publisher");
    }
  });

  test("the statements of docs/publish-in-a-transaction.md work as printed", async () => {
    const page = new URL("../../../../../docs/publish-in-a-transaction.md", import.meta.url);
    const statements = [...readFileSync(page, "utf8").matchAll(/^```sql\n(.*?)^```$/gms)].map(
      ([, text = ""]) => text,
    );
    assert.equal(statements.length, 5);
    const count = async (): Promise<number> =>
      Number((await client.query("SELECT count(*) FROM posthorn.publications")).rows[0].count);
    await client.query("CREATE TABLE orders (id integer, total numeric); CREATE ROLE shop_service");
    try {
      const before = await count();
      for (const text of statements) await client.query(text);
      assert.equal(await count(), before + 2);
      await client.query("INSERT INTO orders VALUES (8, 1)");
      assert.equal(await count(), before + 3, "the trigger publishes");
    } finally {
      await client.query("DROP OWNED BY shop_service; DROP ROLE shop_service");
    }
  });

  test("nothing that the caller has in its search path stands in for what the function uses", async () => {
    await client.query(`CREATE SCHEMA trap;
      CREATE FUNCTION trap.length(text) RETURNS integer LANGUAGE sql AS 'SELECT 1/0';
      CREATE FUNCTION trap.convert_to(text, name) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea';
      SET search_path = trap, pg_catalog, public`);
    try {
      assert.equal((await publish("'shop', 'a', '1'")).data.toString(), "1");
    } finally {
      await client.query("RESET search_path; DROP SCHEMA trap CASCADE");
    }
  });

  test("it waits for nobody and nobody waits for it: neither a change of its app nor an open publication", async () => {
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    try {
      await other.query(
        "BEGIN; UPDATE posthorn.apps SET config_version = config_version + 1 WHERE uid = 'shop'",
      );
      await client.query("BEGIN; SET LOCAL lock_timeout = 1000");
      await publish("'shop', 'a', '1', uid => 'same', idempotency_key => 'same'");
      await other.query("SET LOCAL lock_timeout = 1000");
      await other.query(
        "SELECT posthorn.publish('shop', 'a', '1', uid => 'same', idempotency_key => 'same')",
      );
      await other.query("COMMIT");
      await client.query("COMMIT");
    } finally {
      await other.end();
    }
  });

  test("through a client, what is wrong is an error of ours that names the event's field", async () => {
    const event = (envelope: object, data = "1") => ({
      envelope: { app: "shop", type: "a", ...envelope },
      data,
      idempotencyKey: null,
    });
    assert.ok(
      isId(
        "pub",
        await publishThrough(client, event({ channels: ["a"], deliverAt: "2020-01-01T00:00:00+01:00" })),
      ),
    );
    const errorOf = (envelope: object, data?: string): Promise<PosthornError> =>
      publishThrough(client, event(envelope, data)).then(
        () => assert.fail("it was taken"),
        (thrown) => thrown,
      );
    const unknown = await errorOf({ app: "nope" });
    assert.ok(unknown instanceof PosthornError);
    assert.deepEqual(
      [unknown.code, unknown.pointer, unknown.message],
      [
        "not_found",
        "/app",
        '/app must be the id or uid of an app (got "nope"). Create the app first, or check its spelling.',
      ],
    );
    const late = await errorOf({ timestamp: "2026-02-30T00:00:00Z" });
    assert.deepEqual([late.code, late.pointer], ["invalid_field", "/timestamp"]);

    const elsewhere = new pg.Client({ connectionString: database.url.replace(/[^/]+$/, "postgres") });
    await elsewhere.connect();
    await assert.rejects(publishThrough(elsewhere, event({})), /no function posthorn\.publish/);
    await elsewhere.end();
    await client.query("BEGIN; SELECT 1").then(() => assert.rejects(client.query("SELECT 1/0")));
    await assert.rejects(
      publishThrough(client, event({})),
      { code: "25P02" },
      "what is not ours stays as it is",
    );
    await client.query("ROLLBACK");
  });
});

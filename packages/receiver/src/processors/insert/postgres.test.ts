import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { type PostgresServer, startPostgres } from "../../../../posthorn/test/postgres-server.ts";
import { PoisonError } from "../../receiver/control.ts";
import { contextOf, eventOf, exerciseInsert, type InsertHarness } from "./insert.conformance.ts";
import { insert } from "./insert.ts";
import { postgres } from "./postgres.ts";

describe("PostgreSQL", () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.destroy());

  const open = (options: string): pg.Pool =>
    new pg.Pool({
      connectionString: server.url,
      options: `-c TimeZone=UTC ${options}`,
      max: 2,
      // As the server writes them.
      types: { getTypeParser: () => (value: string) => value },
    });

  exerciseInsert("PostgreSQL", async (): Promise<InsertHarness> => {
    const own = open("-c lock_timeout=1");
    const other = open("");
    return {
      database: postgres(own),
      query: async (sql) => (await other.query(sql)).rows,
      quote: (name) => `"${name.replaceAll('"', '""')}"`,
      async whileLocked(table, work) {
        const client = await other.connect();
        await client.query("BEGIN");
        await client.query(`SELECT * FROM ${table} FOR UPDATE`);
        await work();
        await client.query("ROLLBACK");
        client.release();
      },
      async close() {
        await own.end();
        await other.end();
      },
    };
  });

  test("without `into` it writes within the receiver's transaction, the new table included", async () => {
    const pool = open("");
    const client = await pool.connect();
    const processor = insert({ table: "public.joined", create: true });
    await client.query("BEGIN");
    await processor.process([eventOf("{}")], contextOf(client));
    await client.query("ROLLBACK");
    const { rows } = await client.query("SELECT to_regclass('joined') AS found");
    assert.deepEqual(rows, [{ found: null }]);

    await client.query("BEGIN");
    await processor.process([eventOf("{}")], contextOf(client));
    await client.query("COMMIT");
    assert.equal((await client.query("SELECT * FROM joined")).rowCount, 1);
    client.release();
    await pool.end();
  });

  test("many that start at once create one table", async () => {
    const pools = [open(""), open(""), open("")];
    const starts = pools.flatMap((pool) => {
      const make = () => insert({ table: "at_once", create: true, into: postgres(pool) }).start?.();
      return [make(), make()];
    });
    await Promise.all(starts);
    for (const pool of pools) await pool.end();
  });

  test("what only the server can read is refused by it, and named: its own types, too long, U+0000", async () => {
    const pool = open("");
    await pool.query(
      "CREATE TABLE strict (id text PRIMARY KEY, uid uuid, word varchar(3), words varchar(3)[], small smallint, j jsonb)",
    );
    const columns = {
      id: "$.id",
      uid: "$.data.u",
      word: "$.data.w",
      words: "$.data.ws",
      small: "$.data.s",
      j: "$.data.j",
    };
    const processor = insert({ table: "strict", columns, into: postgres(pool) });
    await processor.start?.();
    const good = eventOf(
      '{"u":"0195c0de-0000-7000-8000-000000000000","w":"äöü","s":1,"ws":"{abc,de}","j":{"a":[1]}}',
    );
    const refused = (data: string, message: RegExp) =>
      assert.rejects(processor.process([good, eventOf(data)], contextOf()), (error) => {
        assert.ok(error instanceof PoisonError, String(error));
        assert.match(error.message, message);
        return true;
      });
    await refused(
      '{"u":"none"}',
      /the database refused column uid \(\$\.data\.u\): invalid input syntax for type uuid/,
    );
    await refused('{"w":"äöüß"}', /column word \(\$\.data\.w\) must be of at most 3 characters \(it has 4\)/);
    await refused('{"ws":"{abcd}"}', /the database refused .*value too long for type character varying\(3\)/);
    await refused('{"s":70000}', /the database refused column small \(\$\.data\.s\)/);
    await refused('{"j":"\\u0000"}', /the database refused column j \(\$\.data\.j\)/);
    await processor.process([good], contextOf());
    assert.equal((await pool.query("SELECT * FROM strict")).rowCount, 1);
    await pool.end();
  });

  test("a connection that is cut is passing, and not used again", async () => {
    const pool = open("");
    pool.on("error", () => {});
    const killer = open("");
    let isCut = true;
    const processor = insert({
      table: "cut",
      create: true,
      into: postgres({
        async connect() {
          const client = await pool.connect();
          client.on("error", () => {});
          const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
          if (isCut) await killer.query(`SELECT pg_terminate_backend(${rows[0].pid}, 5000)`);
          return client;
        },
      }),
    });
    const process = () => processor.process([eventOf("{}")], contextOf());
    await assert.rejects(process(), (error) => error instanceof Error && !(error instanceof PoisonError));
    isCut = false;
    await process();
    assert.equal(pool.totalCount, 1);
    assert.equal((await killer.query("SELECT * FROM cut")).rowCount, 1);
    await pool.end();
    await killer.end();
  });

  test("what a trigger fails at in another table is passing, a value that a partition refuses is not", async () => {
    const pool = open("");
    await pool.query(`CREATE TABLE audited (id text, day date, n int CHECK (n < 5), PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
      CREATE TABLE audit (day date NOT NULL, id text) PARTITION BY RANGE (day);
      CREATE FUNCTION note() RETURNS trigger AS $$ BEGIN INSERT INTO audit VALUES (NEW.day, NEW.id); RETURN NEW; END $$ LANGUAGE plpgsql;
      CREATE TRIGGER note AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION note()`);
    const columns = { id: "$.id", day: "$.data.day", n: "$.data.n" };
    const processor = insert({
      table: "audited",
      columns,
      upsertKey: ["id", "day"],
      into: postgres(pool),
    });
    await processor.start?.();
    const process = (n: number) => processor.process([eventOf(`{"day":"2026-01-31","n":${n}}`)], contextOf());
    const passing = (message: RegExp) => (error: unknown) =>
      error instanceof Error && !(error instanceof PoisonError) && message.test(error.message);
    await assert.rejects(process(1), passing(/no partition of relation "audited"/));
    await pool.query("CREATE TABLE audited_rest PARTITION OF audited DEFAULT");
    await assert.rejects(process(1), passing(/no partition of relation "audit"/));
    await pool.query("CREATE TABLE audit_rest PARTITION OF audit DEFAULT");
    await process(1);
    await assert.rejects(process(5), PoisonError);
    await pool.end();
  });

  test("a server that stops in the middle of a write is passing, and ends nothing", async () => {
    const pool = open("");
    const other = new pg.Client({ connectionString: server.url });
    pool.on("error", () => {});
    other.on("error", () => {});
    const processor = insert({ table: "halted", create: true, into: postgres(pool) });
    await processor.start?.();
    await other.connect();
    await other.query("BEGIN");
    await other.query("LOCK TABLE halted");
    const refused = assert.rejects(
      processor.process([eventOf("{}")], contextOf()),
      (error) => error instanceof Error && !(error instanceof PoisonError),
    );
    const waiting = "SELECT FROM pg_locks WHERE relation = 'halted'::regclass AND NOT granted";
    while ((await other.query(waiting)).rowCount === 0);
    await server.halt("immediate");
    await refused;
    await pool.end();
  });
});

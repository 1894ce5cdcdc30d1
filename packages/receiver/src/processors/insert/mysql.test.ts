import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createPool, type Pool } from "mysql2/promise";
import { type MariadbServer, startMariadb, whyNoMariadb } from "../../../test/mariadb-server.ts";
import { PoisonError } from "../../receiver/control.ts";
import { contextOf, eventOf, exerciseInsert, type InsertHarness } from "./insert.conformance.ts";
import { insert } from "./insert.ts";
import { mysql } from "./mysql.ts";

const skip = whyNoMariadb();

describe("MySQL and MariaDB", { skip }, () => {
  let server: MariadbServer;
  before(async () => {
    server = await startMariadb();
    const pool = createPool({ host: "127.0.0.1", port: server.port, user: "root" });
    await pool.query("CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    await pool.end();
  });
  after(() => server?.destroy());

  const open = (): Pool =>
    createPool({
      host: "127.0.0.1",
      port: server.port,
      user: "root",
      database: "shop",
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      jsonStrings: true,
      connectionLimit: 2,
      enableKeepAlive: false,
    });

  exerciseInsert("MariaDB", async (): Promise<InsertHarness> => {
    const own = open();
    const other = open();
    own.pool.on("connection", (connection) => {
      connection.query("SET innodb_lock_wait_timeout = 0");
    });
    return {
      database: mysql(own),
      async query(sql) {
        const [rows] = await other.query(sql);
        return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
      },
      quote: (name) => `\`${name.replaceAll("`", "``")}\``,
      async whileLocked(table, work) {
        const connection = await other.getConnection();
        await connection.beginTransaction();
        await connection.query(`SELECT * FROM ${table} FOR UPDATE`);
        await work();
        await connection.rollback();
        connection.release();
      },
      async close() {
        await own.end();
        await other.end();
      },
    };
  });

  test("a TIMESTAMP column means the same moment in any time zone of the session", async () => {
    const pool = open();
    pool.pool.on("connection", (connection) => {
      connection.query("SET time_zone = '+05:00'");
    });
    await pool.query("CREATE TABLE seen (id varchar(20) PRIMARY KEY, at timestamp(6) NULL)");
    const processor = insert({
      table: "shop.seen",
      columns: { id: "$.id", at: "$.data.at" },
      into: mysql(pool),
    });
    await processor.start?.();
    await processor.process(
      [eventOf('{"at":"2026-01-31T12:00:00.123456Z"}'), eventOf('{"at":null}')],
      contextOf(),
    );
    const [rows] = await pool.query("SELECT UNIX_TIMESTAMP(at) AS at FROM seen ORDER BY id");
    assert.deepEqual(rows, [{ at: `${Date.UTC(2026, 0, 31, 12) / 1000}.123456` }, { at: null }]);
    await assert.rejects(
      processor.process([eventOf('{"at":"2040-01-01T00:00:00Z"}')], contextOf()),
      /column at \(\$\.data\.at\) must be a time from 1970 to 2038/,
    );
    await pool.end();
  });

  test("keys by which MySQL would find another event's row are refused at the start", async () => {
    const pool = open();
    const ID = "id varchar(20) PRIMARY KEY, mail varchar(20), shop int NOT NULL DEFAULT 0";
    for (const [index, [definition, message]] of [
      [`${ID}, UNIQUE (mail)`, /another unique key, of mail/],
      [`${ID}, UNIQUE (mail, shop)`, /another unique key, of mail, shop/],
      [`${ID}, UNIQUE (id(5), shop)`, /another unique key, of id, shop/],
      [
        "id varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, mail int",
        /key of id .* collation utf8mb4_general_ci/,
      ],
      ["id text, mail int, UNIQUE (id(8))", /key of id .* the first 8 characters alone/],
      [`${ID}, UNIQUE (id, mail), number int AUTO_INCREMENT UNIQUE`, null],
    ].entries() as Iterable<[number, [string, RegExp | null]]>) {
      await pool.query(`CREATE TABLE people_${index} (${definition})`);
      const columns = { id: "$.id", mail: "$.data.mail" };
      const start = async () => insert({ table: `people_${index}`, columns, into: mysql(pool) }).start?.();
      await (message === null ? start() : assert.rejects(start, message));
    }
    await pool.end();
  });

  test("BIT holds the number, not the characters", async () => {
    const pool = open();
    await pool.query("CREATE TABLE bits (id varchar(20) PRIMARY KEY, flags bit(8), paid bit(1))");
    const columns = { id: "$.id", flags: "$.data.f", paid: "$.data.p" };
    const processor = insert({ table: "bits", columns, into: mysql(pool) });
    await processor.start?.();
    await processor.process([eventOf('{"f":5,"p":true}')], contextOf());
    const [rows] = await pool.query("SELECT flags + 0 AS flags, paid + 0 AS paid FROM bits");
    assert.deepEqual(rows, [{ flags: 5, paid: 1 }]);
    await assert.rejects(processor.process([eventOf('{"f":256}')], contextOf()), PoisonError);
    await assert.rejects(processor.process([eventOf('{"f":-1}')], contextOf()), PoisonError);
    await pool.end();
  });

  test("what is larger than a packet is poison", async () => {
    const setup = open();
    await setup.query("SET GLOBAL max_allowed_packet = 1048576");
    const pool = open();
    const processor = insert({ table: "large", create: true, into: mysql(pool) });
    await processor.start?.();
    for (const text of ["x".repeat(1_500_000), '"'.repeat(300_000)]) {
      const large = processor.process([eventOf(JSON.stringify(text))], contextOf());
      await assert.rejects(large, (error) => {
        assert.ok(error instanceof PoisonError, String(error));
        assert.match(error.message, /bytes is more than the server's max_allowed_packet, 1048576/);
        return true;
      });
    }
    await processor.process([eventOf("1")], contextOf());
    await setup.query("SET GLOBAL max_allowed_packet = DEFAULT");
    await setup.end();
    await pool.end();
  });

  for (const [setting, message] of [
    ["sql_mode = 'STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES'", /has NO_BACKSLASH_ESCAPES/],
    ["sql_mode = ''", /lacks STRICT_TRANS_TABLES/],
    ["character_set_client = latin1", /character set is latin1/],
  ] as const) {
    test(`a session in which values would be changed is refused: ${setting}`, async () => {
      const pool = open();
      pool.pool.on("connection", (connection) => {
        connection.query(`SET ${setting}`);
      });
      const processor = insert({ table: "refused", create: true, into: mysql(pool) });
      await assert.rejects(async () => processor.start?.(), message);
      await pool.end();
    });
  }
});

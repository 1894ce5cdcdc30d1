import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { PoisonError } from "../../receiver/control.ts";
import { contextOf, eventOf, exerciseInsert, type InsertHarness } from "./insert.conformance.ts";
import { insert } from "./insert.ts";
import { sqlite } from "./sqlite.ts";

exerciseInsert("SQLite", async (): Promise<InsertHarness> => {
  const home = mkdtempSync(path.join(tmpdir(), "posthorn-insert-"));
  const file = path.join(home, "orders.db");
  const own = new DatabaseSync(file);
  own.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  const other = new DatabaseSync(file);
  return {
    database: sqlite(own),
    async query(sql) {
      const statement = other.prepare(sql);
      statement.setReadBigInts(true);
      return statement.all().map((row) => ({ ...row }));
    },
    quote: (name) => `"${name.replaceAll('"', '""')}"`,
    async whileLocked(_table, work) {
      other.exec("BEGIN IMMEDIATE");
      await work();
      other.exec("ROLLBACK");
    },
    async close() {
      own.close();
      other.close();
      rmSync(home, { recursive: true });
    },
  };
});

test("without `into` it writes within the receiver's transaction, the new table included", async () => {
  const database = new DatabaseSync(":memory:");
  const processor = insert({ table: "main.orders", create: true });
  await processor.start?.();
  const tables = () => database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().length;

  database.exec("BEGIN");
  await processor.process([eventOf("{}")], contextOf(database));
  database.exec("ROLLBACK");
  assert.equal(tables(), 0);

  database.exec("BEGIN");
  const context = contextOf(database);
  await processor.process([eventOf("{}")], context);
  database.exec("COMMIT");
  context.commit();
  assert.equal(tables(), 1);
  database.exec("BEGIN");
  await processor.process([eventOf("{}")], contextOf(database));
  database.exec("COMMIT");
  assert.deepEqual({ ...database.prepare("SELECT count(*) AS n FROM orders").get() }, { n: 2 });
  database.close();
});

test("`into` the very database of the receiver joins its transaction", async () => {
  const database = new DatabaseSync(":memory:");
  const processor = insert({ table: "orders", create: true, into: sqlite(database) });
  await processor.start?.();
  database.exec("BEGIN");
  await processor.process([eventOf("{}")], contextOf(database));
  database.exec("ROLLBACK");
  assert.deepEqual(database.prepare("SELECT * FROM orders").all(), []);
  database.close();
});

test("what a trigger fails at in another table is passing, and so is what a trigger refuses", async () => {
  const database = new DatabaseSync(":memory:");
  database.exec(`CREATE TABLE orders (id TEXT PRIMARY KEY, n INT); CREATE TABLE audit (day TEXT NOT NULL);
    CREATE TRIGGER audited AFTER INSERT ON orders WHEN NEW.n = 1 BEGIN INSERT INTO audit VALUES (NULL); END;
    CREATE TRIGGER refused BEFORE INSERT ON orders WHEN NEW.n = 2 BEGIN SELECT RAISE(ABORT, 'closed'); END`);
  const columns = { id: "$.id", n: "$.data.n" };
  const processor = insert({ table: "orders", columns, into: sqlite(database) });
  for (const [n, message] of [
    [1, /^NOT NULL constraint failed: audit\.day$/],
    [2, /^closed$/],
  ] as const) {
    await assert.rejects(processor.process([eventOf(`{"n":${n}}`)], contextOf()), (error) => {
      assert.ok(error instanceof Error && !(error instanceof PoisonError), String(error));
      assert.match(error.message, message);
      return true;
    });
  }
  database.close();
});

test("a key that takes ids for the same which differ in case alone is refused at the start", async () => {
  const database = new DatabaseSync(":memory:");
  database.exec(`CREATE TABLE one (id TEXT COLLATE NOCASE PRIMARY KEY);
    CREATE TABLE two (id TEXT); CREATE UNIQUE INDEX two_id ON two (id COLLATE NOCASE)`);
  for (const table of ["one", "two"]) {
    const processor = insert({ table, columns: { id: "$.id" }, into: sqlite(database) });
    await assert.rejects(
      async () => processor.start?.(),
      /key of id .* compares by collation NOCASE: .*\(COLLATE BINARY\)/,
    );
  }
  database.close();
});

test("without a transaction it says what to do", async () => {
  const processor = insert({ table: "orders" });
  await assert.rejects(
    processor.process([eventOf("{}")], contextOf()),
    /insert orders: there is no transaction to write in\. Set into \(sqlite\(database\)/,
  );
});

test("wrong options are refused before anything runs", () => {
  const wrong = (options: object, message: RegExp) =>
    assert.throws(() => insert({ table: "orders", ...options }), message);
  wrong({ tabel: "x" }, /tabel is unknown; use table, columns/);
  wrong({ table: "a.b.c" }, /neither "table" nor "schema.table"/);
  wrong({ columns: {} }, /names no column/);
  wrong({ columns: { a: "$.dta" } }, /wrong at position 1/);
  wrong({ columns: { a: { path: "$.data", typ: "text" } } }, /columns\.a\.typ is unknown/);
  wrong(
    { columns: { a: { path: "$.data", type: "string" } } },
    /columns\.a\.type is "string"; use text, integer/,
  );
  wrong({ upsertKey: ["order"] }, /upsertKey names "order"; the columns are event_id/);
  wrong({ create: { properties: JSON.parse('{"__proto__":{}}') } }, /property __proto__: set columns/);
  wrong({ create: { properties: { event_id: {} } } }, /property event_id, which is a column of the event/);
});

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { eventOf, RECEIVER } from "../inbox/inbox.harness.conformance.ts";
import { sqliteDedupe, sqliteInbox } from "../sqlite.ts";
import type { SqliteDatabase } from "./sqlite.ts";
import { pragma } from "./sqlite-durability.ts";

const nothing = async (): Promise<void> => {};
const one = { receiver: RECEIVER, limit: 1 };

describe("transactions on a SQLite connection", () => {
  let directory: string;
  let file: string;
  let database: DatabaseSync;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "posthorn-receiver-"));
    file = path.join(directory, "receiver.db");
    database = new DatabaseSync(file, { timeout: 1234 });
    database.exec("CREATE TABLE rows (n INTEGER PRIMARY KEY)");
  });
  afterEach(() => {
    if (database.isOpen) database.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const rows = (): unknown[] =>
    database
      .prepare("SELECT n FROM rows ORDER BY n")
      .all()
      .map(({ n }) => n);

  test("are durable: the connection is set so, and its own waiting time left as it was", async () => {
    database.exec("PRAGMA synchronous = OFF");
    await sqliteDedupe(database).once(["a"], nothing);
    assert.deepEqual(
      ["journal_mode", "synchronous", "busy_timeout"].map((name) => pragma(database, name)),
      ["wal", 2, 1234],
    );
  });

  test("leave what is set more strictly", async () => {
    database.exec("PRAGMA synchronous = EXTRA");
    await sqliteInbox(database).put([eventOf("a")]);
    assert.equal(pragma(database, "synchronous"), 3);
  });

  test("are refused where SQLite does not keep a log", async () => {
    // A file opened so cannot have a write-ahead log.
    const stubborn: SqliteDatabase = {
      exec: (sql) => database.exec(sql),
      prepare: (sql) => database.prepare(sql.replace("journal_mode = WAL", "journal_mode = DELETE")),
    };
    await assert.rejects(
      sqliteDedupe(stubborn).once(["a"], nothing),
      /journal_mode is delete \(must be wal\)/,
    );
  });

  test("in memory do for a dedupe store, and not for an inbox", async () => {
    const memory = new DatabaseSync(":memory:");
    assert.deepEqual(await sqliteDedupe(memory).once(["a"], nothing), ["done"]);
    await assert.rejects(sqliteInbox(memory).put([eventOf("a")]), /in memory: open a file/);
    memory.close();
  });

  test("of all stores on a connection come one after the other", async () => {
    const [dedupe, other, inbox] = [sqliteDedupe(database), sqliteDedupe(database), sqliteInbox(database)];
    const end = Promise.withResolvers<void>();
    const failing = dedupe.once(["a"], async (transaction) => {
      transaction.exec("INSERT INTO rows VALUES (1)");
      await end.promise;
    });
    const put = inbox.put([eventOf("a")]);
    const second = other.once(["a"], async (transaction) => {
      transaction.exec("INSERT INTO rows VALUES (2)");
    });
    end.reject(new Error("deliberate"));
    await assert.rejects(failing, /deliberate/);
    assert.deepEqual([await put, await second], [["stored"], ["done"]]);
    assert.deepEqual(rows(), [2], "what came meanwhile was not undone with it");
  });

  test("wait for those of other connections while everything else goes on", async () => {
    const other = new DatabaseSync(file, { timeout: 5000 });
    await sqliteDedupe(other).once(["first"], nothing);
    database.exec("BEGIN IMMEDIATE");
    const startedMs = performance.now();
    const waiting = sqliteDedupe(other).once(["a"], nothing);
    for (let turn = 0; turn < 10; turn += 1) await tick();
    database.exec("COMMIT");
    assert.deepEqual(await waiting, ["done"]);
    assert(performance.now() - startedMs < 2500, "the connection's own 5 s would have held up the commit");
    other.close();
  });

  test("leave nothing open when COMMIT fails", async () => {
    database.exec(`
      PRAGMA foreign_keys = ON;
      CREATE TABLE children (n INTEGER REFERENCES rows (n) DEFERRABLE INITIALLY DEFERRED)`);
    const dedupe = sqliteDedupe(database);
    const failing = dedupe.once(["a"], async (transaction) => {
      transaction.exec("INSERT INTO children VALUES (7)");
    });
    await assert.rejects(failing, /FOREIGN KEY/);
    assert.equal(database.isTransaction, false);
    assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
  });

  test("that a handler rolls back and begins again are told, and leave nothing of the second", async () => {
    const [dedupe, inbox] = [sqliteDedupe(database), sqliteInbox(database)];
    await inbox.put([eventOf("a")]);
    const again = async (transaction: SqliteDatabase): Promise<void> => {
      transaction.exec("ROLLBACK; BEGIN; INSERT INTO rows VALUES (1)");
    };
    await assert.rejects(dedupe.once(["a"], again), /a handler ended it/);
    await assert.rejects(inbox.take(one, again), /a handler ended it/);
    assert.deepEqual(rows(), []);
    assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
    assert.equal(await inbox.take(one, nothing), 1);
  });

  test("of puts come before what waits already, and one of that after each", async () => {
    const dedupe = sqliteDedupe(database);
    const inboxes = ["one", "two", "three"].map((table) => sqliteInbox(database, { table }));
    await Promise.all(inboxes.map((inbox) => inbox.nextDueInMs(RECEIVER)));
    const count =
      "SELECT (SELECT count(*) FROM one) + (SELECT count(*) FROM two) + (SELECT count(*) FROM three) AS n";
    const stored = (): unknown => database.prepare(count).get()?.n;
    const seen: unknown[] = [];
    const end = Promise.withResolvers<void>();
    const handle = (key: string) =>
      dedupe.once([key], async () => {
        if (key === "running") await end.promise;
        seen.push([key, stored()]);
      });
    const handled = ["running", "a", "b", "c"].map(handle);
    await tick();
    const puts = inboxes.map((inbox) => inbox.put([eventOf("a")]));
    await tick();
    end.resolve();
    await Promise.all([...handled, ...puts]);
    assert.deepEqual(seen, [
      ["running", 0],
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
  });

  test("that a handler ends itself are told, and what was rolled back is not marked", async () => {
    const [dedupe, inbox] = [sqliteDedupe(database), sqliteInbox(database)];
    await inbox.put([eventOf("a")]);
    const ended = async (transaction: SqliteDatabase): Promise<void> => {
      transaction.exec("INSERT INTO rows VALUES (1); ROLLBACK");
    };
    await assert.rejects(dedupe.once(["a"], ended), /a handler ended it/);
    await assert.rejects(inbox.take(one, ended), /a handler ended it/);
    assert.deepEqual(rows(), []);
    assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
    assert.equal(await inbox.take(one, nothing), 1);
  });

  test("asked for within themselves are refused, instead of waiting for ever", async () => {
    const [dedupe, inbox] = [sqliteDedupe(database), sqliteInbox(database)];
    await inbox.put([eventOf("first")]);
    const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const put = begun.promise.then(() => inbox.put([eventOf("of somebody else")]));
    let later: Promise<unknown> | undefined;
    await dedupe.once(["a"], async () => {
      begun.resolve();
      await tick();
      // Also behind a put of somebody else that waits already.
      await assert.rejects(inbox.put([eventOf("a")]), /wait for itself/);
      await assert.rejects(inbox.take(one, nothing), /wait for itself/);
      await assert.rejects(inbox.nextDueInMs(RECEIVER), /wait for itself/);
      await assert.rejects(dedupe.once(["b"], nothing), /wait for itself/);
      // What goes on after the end may.
      later = end.promise.then(() => inbox.put([eventOf("later")]));
    });
    end.resolve();
    assert.deepEqual([await put, await later], [["stored"], ["stored"]]);
  });

  test("cannot begin within one that is not theirs", async () => {
    const dedupe = sqliteDedupe(database);
    await dedupe.once(["a"], nothing);
    database.exec("BEGIN; INSERT INTO rows VALUES (1)");
    await assert.rejects(dedupe.once(["b"], nothing), /a connection of its own/);
    await assert.rejects(sqliteInbox(database).put([eventOf("b")]), /a connection of its own/);
    database.exec("COMMIT");
    assert.deepEqual(rows(), [1], "and leave it alone");
    assert.deepEqual(await dedupe.once(["b"], nothing), ["done"]);
  });

  test("of many puts are few commits", async () => {
    let commits = 0;
    const counting: SqliteDatabase = {
      exec(sql) {
        if (sql === "COMMIT") commits += 1;
        return database.exec(sql);
      },
      prepare: (sql) => database.prepare(sql),
    };
    const inbox = sqliteInbox(counting);
    await inbox.nextDueInMs(RECEIVER);
    commits = 0;
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, index) => inbox.put([eventOf(`k${index}`)])),
    );
    assert.equal(outcomes.flat().filter((outcome) => outcome === "stored").length, 100);
    assert(commits <= 2, String(commits));
  });

  test("name tables by identifiers only", () => {
    for (const table of ["", "1st", "a b", 'a"; DROP TABLE rows; --', "schema.name", "t".repeat(49)]) {
      assert.throws(() => sqliteDedupe(database, { table }), /table is/);
      assert.throws(() => sqliteInbox(database, { table }), /table is/);
    }
  });

  test("take any identifier for a table, words of SQL too", async () => {
    assert.deepEqual(await sqliteDedupe(database, { table: "order" }).once(["a"], nothing), ["done"]);
    assert.deepEqual(await sqliteInbox(database, { table: "Select" }).put([eventOf("a")]), ["stored"]);
  });

  test("look rows up by an index, whatever is stored", async () => {
    const statements = new Set<string>();
    const spy: SqliteDatabase = {
      exec: (sql) => database.exec(sql),
      prepare(sql) {
        statements.add(sql);
        return database.prepare(sql);
      },
    };
    await sqliteDedupe(spy).once(["a"], nothing);
    await sqliteInbox(spy).put([eventOf("a")]);
    const ours = [...statements].filter((sql) => !sql.startsWith("PRAGMA"));
    assert.equal(ours.length, 13);
    const due =
      "SEARCH posthorn_receiver_inbox USING INDEX posthorn_receiver_inbox_due (receiver=? AND due_at_ms<?)";
    const next =
      "SEARCH posthorn_receiver_inbox USING COVERING INDEX posthorn_receiver_inbox_due (receiver=? AND due_at_ms>?)";
    for (const sql of ours) {
      const steps = database
        .prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .all()
        .map(({ detail }) => String(detail));
      assert.doesNotMatch(steps.join("\n"), /^SCAN|TEMP B-TREE/m, sql);
      // The first in the index's order: how many wait behind it, or for another receiver, costs nothing.
      if (/ORDER BY due_at_ms/.test(sql)) assert.deepEqual(steps, [sql.includes("payload") ? due : next]);
    }
  });
});

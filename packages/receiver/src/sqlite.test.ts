import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { exerciseDedupe } from "./dedupe/dedupe.conformance.ts";
import { exerciseInbox } from "./inbox/inbox.conformance.ts";
import { sqliteDedupe, sqliteInbox } from "./sqlite.ts";

/** A file of its own, with a table that handlers write to, and a connection that looks on. */
function createPlace() {
  const directory = mkdtempSync(path.join(tmpdir(), "posthorn-receiver-"));
  const file = path.join(directory, "receiver.db");
  const databases: DatabaseSync[] = [];
  const connect = (): DatabaseSync => {
    const database = new DatabaseSync(file);
    databases.push(database);
    return database;
  };
  const observer = connect();
  observer.exec("CREATE TABLE written (row TEXT NOT NULL)");
  return {
    connect,
    observer,
    async write(transaction: DatabaseSync, row: string) {
      transaction.prepare("INSERT INTO written VALUES (?)").run(row);
    },
    async written() {
      return observer
        .prepare("SELECT row FROM written ORDER BY rowid")
        .all()
        .map(({ row }) => row as string);
    },
    hasTable: (name: string) =>
      observer.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(name) !== undefined,
    async destroy() {
      for (const database of databases) if (database.isOpen) database.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

exerciseDedupe(
  "SQLite",
  () => {
    const place = createPlace();
    const marks = "posthorn_receiver_marks";
    return {
      ...place,
      open: async (options) => sqliteDedupe(place.connect(), options),
      async marks() {
        if (!place.hasTable(marks)) return 0;
        return place.observer.prepare(`SELECT count(*) AS count FROM ${marks}`).get()?.count as number;
      },
      async advance(ms) {
        place.observer.prepare(`UPDATE ${marks} SET expires_at_ms = expires_at_ms - ?`).run(ms);
      },
    };
  },
  { isTransactional: true, isShared: true, isCountable: true, meanwhile: "waits" },
);

exerciseInbox("SQLite", () => {
  const place = createPlace();
  const inbox = "posthorn_receiver_inbox";
  return {
    ...place,
    open: async (options) => sqliteInbox(place.connect(), options),
    async size() {
      const { rows, bytes } = place.observer
        .prepare(`SELECT count(*) AS rows, total(length(payload)) AS bytes FROM ${inbox}`)
        .get() as { rows: number; bytes: number };
      return { rows, bytes };
    },
    async advance(ms) {
      if (!place.hasTable(inbox)) return;
      place.observer
        .prepare(`UPDATE ${inbox} SET due_at_ms = due_at_ms - ?1, expires_at_ms = expires_at_ms - ?1`)
        .run(ms);
    },
    async crash(transaction) {
      assert.equal(transaction.isTransaction, true);
      transaction.close();
    },
  };
});

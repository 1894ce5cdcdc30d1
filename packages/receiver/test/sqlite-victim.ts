// Killed by sqlite-kills.test.ts: works on keys without an end, and says each one when it was answered for.
// node sqlite-victim.ts FILE FIRST: keys from the number FIRST on.
import { writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { eventOf, RECEIVER } from "../src/inbox/inbox.harness.conformance.ts";
import { sqliteDedupe, sqliteInbox } from "../src/sqlite.ts";

const [file = "", first = "0"] = process.argv.slice(2);
const database = new DatabaseSync(file);
const dedupe = sqliteDedupe(database);
const inbox = sqliteInbox(database);
const say = (line: string): void => void writeSync(1, `${line}\n`);

async function write(transaction: DatabaseSync, table: string, key: string): Promise<void> {
  transaction.prepare(`INSERT INTO ${table} VALUES (?)`).run(key);
  // So that most kills come between the write and its commit.
  await sleep(1);
}

async function handleAll(): Promise<never> {
  for (let number = Number(first); ; number += 1) {
    await dedupe.once([`k${number}`], (transaction) => write(transaction, "handled", `k${number}`));
    say(`once k${number}`);
  }
}

async function putAll(): Promise<never> {
  for (let number = Number(first); ; number += 2) {
    const keys = [`k${number}`, `k${number + 1}`];
    await inbox.put(keys.map((key) => eventOf(key)));
    for (const key of keys) say(`put ${key}`);
  }
}

async function takeAll(): Promise<never> {
  for (;;) {
    const keys: string[] = [];
    await inbox.take({ receiver: RECEIVER, limit: 2 }, async (transaction, entries) => {
      for (const { key } of entries) {
        await write(transaction, "processed", key);
        keys.push(key);
      }
    });
    for (const key of keys) say(`take ${key}`);
  }
}

await Promise.all([handleAll(), putAll(), takeAll()]);

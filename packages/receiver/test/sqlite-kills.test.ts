/** A process is killed in the middle of its work, again and again: what it answered for is there, and nothing is there twice. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { RECEIVER } from "../src/inbox/inbox.harness.conformance.ts";
import { sqliteInbox } from "../src/sqlite.ts";

const KILLS = 5;
/** Keys that the next process is given once more: those it had under way, and some that were answered. */
const AGAIN = 10;
const victim = fileURLToPath(new URL("sqlite-victim.ts", import.meta.url));

/** Runs a victim until it has said so many lines, and answers all that it said. */
async function kill(file: string, first: number, linesMin: number): Promise<string[]> {
  const child = spawn(process.execPath, [victim, file, String(first)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said: string[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    said.push(line);
    if (said.length === linesMin) child.kill("SIGKILL");
  });
  const [[code, signal]] = await Promise.all([once(child, "exit"), once(lines, "close")]);
  assert.equal(signal, "SIGKILL", `the victim ended by itself with ${code}`);
  return said;
}

test("a SQLite store that is killed loses nothing that it answered for, and does nothing twice", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "posthorn-receiver-"));
  const file = path.join(directory, "receiver.db");
  const database = new DatabaseSync(file);
  try {
    database.exec("CREATE TABLE handled (key TEXT); CREATE TABLE processed (key TEXT)");
    const answered = { once: new Set<string>(), put: new Set<string>(), take: new Set<string>() };
    let first = 0;
    for (let kills = 0; kills < KILLS; kills += 1) {
      const linesMin = 40 + Math.floor(Math.random() * 80);
      for (const line of await kill(file, first, linesMin)) {
        const [verb, key = ""] = line.split(" ");
        answered[verb as keyof typeof answered].add(key);
        if (verb === "once") first = Math.max(first, Number(key.slice(1)) - AGAIN);
      }
    }

    const keysIn = (table: string): string[] =>
      database
        .prepare(`SELECT key FROM ${table} ORDER BY key`)
        .all()
        .map(({ key }) => key as string);
    const contains = (keys: readonly string[], some: ReadonlySet<string>): void =>
      assert.deepEqual([...some.difference(new Set(keys))], [], "lost");
    const isOnce = (keys: readonly string[]): void => assert.equal(new Set(keys).size, keys.length, "twice");

    const handled = keysIn("handled");
    contains(handled, answered.once);
    isOnce(handled);
    assert.deepEqual(keysIn("posthorn_receiver_marks"), handled);
    contains(keysIn("processed"), answered.take);
    const inbox = sqliteInbox(database);
    await inbox.take({ receiver: RECEIVER, limit: 10_000 }, async (transaction, entries) => {
      for (const { key } of entries) transaction.prepare("INSERT INTO processed VALUES (?)").run(key);
    });
    const processed = keysIn("processed");
    contains(processed, answered.put);
    isOnce(processed);
    assert.deepEqual(keysIn("posthorn_receiver_inbox"), processed);
    for (const keys of Object.values(answered)) assert(keys.size > 0, "the victims did too little");
  } finally {
    database.close();
    rmSync(directory, { recursive: true, force: true });
  }
});

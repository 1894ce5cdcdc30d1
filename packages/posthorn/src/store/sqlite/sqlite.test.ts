/** What only the embedded store promises: one process, one file, and nothing lost to it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, test } from "node:test";
import { DAY, DELIVERED, type Sent, World } from "../conformance/world.conformance.ts";
import { assertDurable, openForReading } from "./database.ts";
import { failureKind } from "./failure.ts";
import { schemaVersion } from "./migrate.ts";
import { openSqliteStore, type SqliteOptions } from "./sqlite.ts";

const root = mkdtempSync(path.join(tmpdir(), "posthorn-sqlite-"));
after(() => rmSync(root, { recursive: true, force: true }));

let directories = 0;
function newDirectory(): string {
  directories += 1;
  return path.join(root, `data-${directories}`);
}

async function openWorld(options: Partial<SqliteOptions> = {}): Promise<{ world: World; dataDir: string }> {
  const dataDir = options.dataDir ?? newDirectory();
  const open = () => openSqliteStore({ reserveBytes: 0, ...options, dataDir });
  const world = await World.open({ open, reopen: open, destroy: async () => {} });
  return { world, dataDir };
}

describe("the data directory", () => {
  test("is made for its owner alone", async () => {
    const { world, dataDir } = await openWorld();
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
    for (const name of ["posthorn.db", "posthorn.db-wal"]) {
      assert.equal(statSync(path.join(dataDir, name)).mode & 0o777, 0o600, name);
    }
    await world.store.close();
  });

  test("belongs to one store at a time; the refusal names the directory and the process", async () => {
    const { world, dataDir } = await openWorld();
    await assert.rejects(openSqliteStore({ dataDir }), (error: Error) => {
      assert(
        error.message.includes(dataDir) && error.message.includes(`process ${process.pid}`),
        error.message,
      );
      return true;
    });
    const { app, endpoint } = await world.pair();
    await world.publish(app, endpoint);
    await world.store.close();
    await (await openSqliteStore({ dataDir })).close();
  });

  test("is free again the moment its process is killed", async () => {
    const dataDir = newDirectory();
    const program = `
      const { openSqliteStore } = await import(${JSON.stringify(new URL("./sqlite.ts", import.meta.url).href)});
      await openSqliteStore({ dataDir: ${JSON.stringify(dataDir)} });
      process.stdout.write("open");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    await assert.rejects(openSqliteStore({ dataDir }), new RegExp(`process ${child.pid}`));
    child.kill("SIGKILL");
    await once(child, "exit");
    await (await openSqliteStore({ dataDir })).close();
  });
});

describe("durability", () => {
  test("is asserted: anything but WAL with synchronous=FULL is refused", () => {
    const db = new DatabaseSync(path.join(root, "pragmas.db"));
    db.exec("PRAGMA synchronous = FULL");
    assert.throws(() => assertDurable(db), /journal_mode is delete/);
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    assert.throws(() => assertDurable(db), /synchronous is 1/);
    db.exec("PRAGMA synchronous = FULL");
    assertDurable(db);
    db.close();
  });

  test("a failed sync is fatal, a full disk is not", () => {
    const sqliteError = (errcode: number): Error => Object.assign(new Error("disk I/O error"), { errcode });
    assert.equal(failureKind(sqliteError(1034)), "fatal", "SQLITE_IOERR_FSYNC");
    assert.equal(failureKind(sqliteError(11)), "fatal", "SQLITE_CORRUPT");
    assert.equal(failureKind(sqliteError(13)), "full");
    assert.equal(failureKind(sqliteError(19)), "other", "SQLITE_CONSTRAINT");
    assert.equal(failureKind(new Error("a bad element")), "other");
  });

  test("when the file is not what it was, the store says so once, and refuses every call", async () => {
    const first = await openWorld();
    const { app, endpoint } = await first.world.pair();
    const acceptance = await first.world.acceptance(app, [first.world.newDelivery(app, endpoint)]);
    await first.world.store.close();
    const fatal: Error[] = [];
    const store = await openSqliteStore({
      dataDir: first.dataDir,
      reserveBytes: 0,
      onFatal: (error) => fatal.push(error),
    });
    truncateSync(path.join(first.dataDir, "posthorn.db"), 8192);
    await assert.rejects(store.write.accept([acceptance]), /malformed|I\/O/);
    await assert.rejects(store.write.accept([acceptance]));
    assert.equal(fatal.length, 1);
    await store.close();
  });
});

describe("upgrades", () => {
  test("a database of a newer posthorn is refused, untouched", async () => {
    const { world, dataDir } = await openWorld();
    await world.store.close();
    const file = path.join(dataDir, "posthorn.db");
    const db = new DatabaseSync(file);
    db.exec(`PRAGMA user_version = ${schemaVersion() + 1}; PRAGMA wal_checkpoint(TRUNCATE)`);
    db.close();
    const digest = (): string => createHash("sha256").update(readFileSync(file)).digest("hex");
    const before = digest();
    await assert.rejects(
      openSqliteStore({ dataDir }),
      new RegExp(`schema version ${schemaVersion() + 1}.*up to ${schemaVersion()}\\b`),
    );
    assert.equal(digest(), before);
  });

  test("the schema refuses impossible rows", async () => {
    const { world, dataDir } = await openWorld();
    const { app, endpoint } = await world.pair();
    const sent = await world.send(app, endpoint);
    await world.settle(sent, DELIVERED);
    const waiting = await world.publish(app, endpoint);
    await world.store.close();
    const db = new DatabaseSync(path.join(dataDir, "posthorn.db"));
    for (const impossible of [
      `UPDATE deliveries SET due_at_ms = NULL WHERE id = '${waiting.id}'`,
      `UPDATE deliveries SET class = 3 WHERE id = '${waiting.id}'`,
      `UPDATE deliveries SET trigger = 'replay', order_key = 'a' WHERE id = '${waiting.id}'`,
      `UPDATE delivery_history SET state = 'cancelled' WHERE id = '${sent.id}'`,
      "INSERT INTO delivery_history SELECT 99, 'x', 1, 1, 1, 'publish', 0, 'delivered', 'expired', 1, 1, 1",
      "INSERT INTO delivery_history SELECT 99, 'x', 1, 1, 1, 'publish', 0, 'dead_lettered', NULL, 1, 1, 1",
      "INSERT INTO delivery_history SELECT 99, 'x', 1, 1, 1, 'publish', 0, 'pending', NULL, 1, 1, 1",
      "UPDATE attempts SET outcome = 'unknown'",
      "UPDATE lanes SET breaker = 'open'",
      "UPDATE lanes SET failures = 1",
      "UPDATE endpoints SET disable_reason = 'gone'",
    ]) {
      assert.throws(() => db.exec(impossible), /constraint|never changes/i, impossible);
    }
    db.close();
  });
});

describe("a disk without room", () => {
  test("accepting stops at the reserve; settling goes on", async () => {
    const { world, dataDir } = await openWorld();
    const { app, endpoint } = await world.pair();
    const sent = await world.send(app, endpoint);
    await world.store.close();
    const short = await openWorld({ dataDir, reserveBytes: 2 ** 52 });
    const settlement = { ...short.world.settlement(sent, DELIVERED) };
    const acceptance = await short.world.acceptance(app, [short.world.newDelivery(app, endpoint)]);
    assert.deepEqual(await short.world.accept(acceptance), { kind: "full" });
    assert.deepEqual(await short.world.store.write.settle([settlement], []), [
      { kind: "fenced", finished: true },
    ]);
    await assert.rejects(short.world.redeliver(sent), { code: "storage_full" });
    assert.equal((await short.world.store.read.health()).accepting, false);
    await short.world.store.close();
  });

  test("if settling itself finds none it stores nothing of it, and works once there is room", async () => {
    const { world } = await openWorld({ maxPageCount: 400 });
    const app = await world.app({ retentionDays: 7 });
    const endpoint = await world.endpoint(app);
    const configVersion = await world.version(app);
    const payload = Buffer.alloc(8000, 0x20);
    const old = await world.send(app, endpoint);
    await world.settle(old, DELIVERED);
    const fill = async (deliveries: number): Promise<Sent[]> => {
      const made: Sent[] = [];
      for (;;) {
        const acceptance = await world.acceptance(
          app,
          Array.from({ length: deliveries }, () => world.newDelivery(app, endpoint, { lease: world.node })),
          { configVersion, event: { payload, dataStart: 0, dataEnd: 1 } },
        );
        const { kind } = await world.accept(acceptance);
        if (kind === "full") return made;
        assert.equal(kind, "accepted");
        for (const { id } of acceptance.deliveries) made.push({ ...old, id, eventId: acceptance.event.id });
      }
    };
    await fill(0);
    await world.store.advance(8 * DAY);
    await world.store.write.prune(20);
    const sent = await fill(1);
    assert(sent.length > 10);
    const settlements = sent.map((each) => {
      const settlement = world.settlement(each, DELIVERED);
      return {
        ...settlement,
        attempt: settlement.attempt && { ...settlement.attempt, responseBody: Buffer.alloc(4096, 1) },
      };
    });
    await assert.rejects(world.store.write.settle(settlements, []), { code: "storage_full" });
    for (const { id } of sent) {
      const { state, leased } = await world.delivery(id);
      assert.deepEqual({ state, leased }, { state: "pending", leased: true });
      assert.deepEqual(await world.attempts(id), []);
    }
    await world.exhaust(() => world.store.write.prune(500));
    const results = await world.store.write.settle(settlements, []);
    assert(results.every(({ kind }) => kind === "settled"));
    await world.store.close();
  });
});

describe("bytes", () => {
  test("an expunged payload is nowhere in the data directory any more", async () => {
    const { world, dataDir } = await openWorld();
    const { app, endpoint } = await world.pair();
    for (const size of [300, 30_000]) {
      const secret = `secret-of-${size}`;
      const payload = Buffer.from(secret.padEnd(size, "."));
      const acceptance = await world.acceptance(app, [world.newDelivery(app, endpoint)], {
        event: { payload, dataStart: 0, dataEnd: 1 },
      });
      await world.accept(acceptance);
      assert(inFiles(dataDir, secret));
      await world.store.write.remove({ kind: "payload", eventId: acceptance.event.id });
      assert(!inFiles(dataDir, secret), `of ${size} bytes`);
    }
    await world.store.close();
  });

  test("a backup made under load is whole, private, and opens", async () => {
    const { world, dataDir } = await openWorld();
    const { app, endpoint } = await world.pair();
    const before = await world.publish(app, endpoint);
    const target = path.join(dataDir, "copy", "..", "backup.db");
    let busy = true;
    const load = (async () => {
      while (busy) await world.publish(app, endpoint);
    })();
    await world.store.backup(target);
    busy = false;
    await load;
    await assert.rejects(world.store.backup(target), /EEXIST|exists/);
    await world.store.close();
    assert.equal(statSync(target).mode & 0o777, 0o600);
    assert.deepEqual(
      readdirSync(dataDir).filter((name) => name.includes("partial")),
      [],
    );
    const copy = openForReading(target);
    assert.deepEqual(Object.values(copy.prepare("PRAGMA integrity_check").get() ?? {}), ["ok"]);
    assert.equal(copy.prepare("SELECT id FROM deliveries WHERE id = ?").get(before.id)?.id, before.id);
    copy.close();
  });
});

function inFiles(dataDir: string, text: string): boolean {
  return readdirSync(dataDir).some((name) => readFileSync(path.join(dataDir, name)).includes(text));
}

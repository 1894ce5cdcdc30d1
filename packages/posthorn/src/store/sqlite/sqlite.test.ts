/** What only the embedded store promises: one process, one file, and nothing lost to it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, test } from "node:test";
import { newId } from "../../base/ids.ts";
import type { NewAuditEntry } from "../../domain/audit.ts";
import { NO_ACCESS } from "../../domain/endpoint.ts";
import { NO_APP_LIMITS, NO_KEY_LIMITS } from "../../domain/limits.ts";
import { masterKeyMark } from "../../security/master-key.ts";
import { createVault } from "../../security/vault.ts";
import { DAY, DELIVERED, type Sent, World } from "../conformance/world.conformance.ts";
import type { Store } from "../store.ts";
import { WrongMasterKeyError } from "../wrong-master-key.ts";
import { assertDurable, openForReading } from "./database.ts";
import { failureKind } from "./failure.ts";
import { schemaVersion } from "./migrate.ts";
import { openSqliteStore, type SqliteOptions } from "./sqlite.ts";

const root = mkdtempSync(path.join(tmpdir(), "posthorn-sqlite-"));
const opened: Store[] = [];
after(async () => {
  // Those of stories that failed half way would keep the process from ending.
  for (const store of opened) await store.close();
  rmSync(root, { recursive: true, force: true });
});

const AUDIT: NewAuditEntry = {
  id: newId("aud"),
  actor: { kind: "system" },
  action: "store.test",
  target: { kind: "store", id: "" },
  appId: null,
  before: null,
  after: null,
  address: null,
  requestId: null,
};

let directories = 0;
function newDirectory(): string {
  directories += 1;
  return path.join(root, `data-${directories}`);
}

async function openWorld(options: Partial<SqliteOptions> = {}): Promise<{ world: World; dataDir: string }> {
  const dataDir = options.dataDir ?? newDirectory();
  const open = async () => {
    const store = await openSqliteStore({ reserveBytes: 0, ...options, dataDir });
    opened.push(store);
    return store;
  };
  const world = await World.open({ open, reopen: open, destroy: async () => {} });
  return { world, dataDir };
}

/** The data directory of a posthorn of before schema version 4, with an endpoint whose secret is this envelope. */
function oldDirectory(envelope: Uint8Array = Buffer.alloc(40)): string {
  const dataDir = newDirectory();
  mkdirSync(dataDir);
  const db = new DatabaseSync(path.join(dataDir, "posthorn.db"));
  db.exec("PRAGMA journal_mode = WAL");
  const migrations = ["0001", "0002", "0003"];
  for (const name of migrations)
    db.exec(readFileSync(new URL(`./migrations/${name}.sql`, import.meta.url), "utf8"));
  db.exec(`
    INSERT INTO apps (seq, id, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms)
      VALUES (1, 'app_1', 'x', '{}', 30, 1, 0, 0);
    INSERT INTO endpoints (seq, id, app_seq, url, description, event_types, channels, in_flight_max, timeout_ms, retry_schedule,
      ordering, on_dead_letter, scheme, status, version, created_at_ms, updated_at_ms)
      VALUES (1, 'ep_1', 1, 'u', '', '[]', '[]', 1, 1, '[]', 'unordered', 'continue', 'standard', 'enabled', 1, 0, 0);
    INSERT INTO lanes (endpoint_seq, runnable) VALUES (1, 1);
    INSERT INTO endpoint_secrets VALUES (1, 0, x'${Buffer.from(envelope).toString("hex")}', NULL);
    INSERT INTO keys (id, hash, role, name, prefix, created_at_ms) VALUES ('key_1', x'00', 'admin', 'x', 'phk_', 0);
    INSERT INTO events (seq, id, app_seq, event_type, timestamp, accepted_at_ms, delivery_first, delivery_count, fan_out_count,
      data_start, data_end, payload) VALUES (1, 'evt_1', 1, 'a.b', 't', 0, 0, 0, 0, 0, 0, x'7b7d');
    PRAGMA user_version = 3`);
  db.close();
  return dataDir;
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

  test("what an older posthorn stored is read as having none of what is new", async () => {
    const dataDir = oldDirectory();
    const store = await openSqliteStore({ dataDir });
    const config = await store.read.config("app_1");
    assert.deepEqual([config?.app.limits, config?.app.ownershipCheck], [NO_APP_LIMITS, null]);
    const [endpoint] = config?.endpoints ?? [];
    assert.deepEqual({ ...endpoint?.endpoint, ...NO_ACCESS }, endpoint?.endpoint);
    assert.deepEqual(
      [endpoint?.sealedCredentials, endpoint?.secrets.map(({ publicKey }) => publicKey)],
      [null, [null]],
    );
    const key = await store.read.find("key", { id: "key_1" });
    assert.deepEqual([key?.limits, key?.appId], [NO_KEY_LIMITS, null]);
    assert.equal((await store.read.find("event", { id: "evt_1" }))?.hops, 0);
    await store.close();
  });

  test("the schema refuses impossible rows", async () => {
    const { world, dataDir } = await openWorld();
    const { app, endpoint } = await world.pair();
    const sent = await world.send(app, endpoint);
    await world.settle(sent, DELIVERED);
    const waiting = await world.publish(app, endpoint);
    await world.key();
    await world.store.write.save({ kind: "audit" }, AUDIT);
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
      "UPDATE endpoints SET unverified_at_ms = 1",
      "UPDATE keys SET role = 'app'",
      "UPDATE events SET hops = -1",
      "UPDATE audit_log SET action = 'nothing'",
      "DELETE FROM audit_log",
      "INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log",
      `INSERT OR REPLACE INTO audit_log SELECT number + 1, id, at_ms, actor, action, target, app_id, before, after, address,
        request_id, previous_hash, hash FROM audit_log`,
    ]) {
      assert.throws(() => db.exec(impossible), /constraint|never changes/i, impossible);
    }
    db.close();
  });
});

describe("the master key", () => {
  const [firstKey, secondKey, thirdKey] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const [first, second, third] = [masterKeyMark(firstKey), masterKeyMark(secondKey), masterKeyMark(thirdKey)];
  const refusal = (dataDir: string) => (error: unknown) => {
    assert(error instanceof WrongMasterKeyError, String(error));
    assert(error.message.includes(dataDir) && error.store.includes(dataDir), error.message);
    return true;
  };

  test("is remembered from the first start on, and another one is refused", async () => {
    const { world, dataDir } = await openWorld({ masterKeyMarks: [first] });
    await world.store.close();
    await assert.rejects(openSqliteStore({ dataDir, masterKeyMarks: [second] }), refusal(dataDir));
    // Either nothing is compared, or one of those that open secrets is it.
    for (const masterKeyMarks of [[], [second, first], [first]])
      await (await openSqliteStore({ dataDir, masterKeyMarks })).close();
    await assert.rejects(openSqliteStore({ dataDir, masterKeyMarks: [second] }), refusal(dataDir));
  });

  test("is another one once every secret is sealed under it", async () => {
    const { world, dataDir } = await openWorld({ masterKeyMarks: [first] });
    await world.store.write.save({ kind: "master_key", check: second.check });
    await world.store.close();
    await assert.rejects(openSqliteStore({ dataDir, masterKeyMarks: [first] }), refusal(dataDir));
    await (await openSqliteStore({ dataDir, masterKeyMarks: [second, first] })).close();
  });

  test("of a store that was not told its key is known by what is sealed under it", async () => {
    const dataDir = oldDirectory(createVault(firstKey).seal("secret", "app_1|endpoint_secrets|sealed|ep_1"));
    const file = path.join(dataDir, "posthorn.db");
    const content = readFileSync(file);
    for (const masterKeyMarks of [[second], [second, third]])
      await assert.rejects(openSqliteStore({ dataDir, masterKeyMarks }), refusal(dataDir));
    assert.deepEqual(readFileSync(file), content, "it is not even upgraded");
    await (await openSqliteStore({ dataDir, masterKeyMarks: [second, first] })).close();
    // Remembered is that which opens it, and not that which seals from now on.
    await assert.rejects(openSqliteStore({ dataDir, masterKeyMarks: [second] }), refusal(dataDir));
    await (await openSqliteStore({ dataDir, masterKeyMarks: [first] })).close();
  });

  test("of an upgraded store that nobody has told it yet, too", async () => {
    const dataDir = oldDirectory(createVault(firstKey).seal("secret", "app_1|endpoint_secrets|sealed|ep_1"));
    await (await openSqliteStore({ dataDir })).close();
    await assert.rejects(openSqliteStore({ dataDir, masterKeyMarks: [second] }), refusal(dataDir));
    await (await openSqliteStore({ dataDir, masterKeyMarks: [first] })).close();
    await assert.rejects(openSqliteStore({ dataDir, masterKeyMarks: [second] }), refusal(dataDir));
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

  test("an envelope that was replaced or removed is nowhere in the data directory any more", async () => {
    const { world, dataDir } = await openWorld();
    const app = await world.app();
    // Long ones lie in pages of their own.
    for (const length of [60, 6000]) {
      const envelope = (name: string) => Buffer.from(`${name} ${length} `.padEnd(length, `${name}${length}`));
      const isThere = (name: string) => inFiles(dataDir, `${name} ${length} `);
      const endpoint = world.endpointOf(app);
      const change = (version: number, [secret, headers, credentials]: readonly string[]) => ({
        ...world.endpointChange({ ...endpoint, version }),
        create: version === 0,
        secrets: [{ sealed: envelope(secret ?? ""), expiresAtMs: null, publicKey: null }],
        sealedHeaders: headers === undefined ? null : envelope(headers),
        sealedCredentials: credentials === undefined ? null : envelope(credentials),
      });
      const [old, young] = [
        ["olds", "oldh", "oldc"],
        ["news", "newh", "newc"],
      ] as const;
      await world.store.write.save(change(0, old));
      // Moves the row about, with what it holds, among others.
      for (let version = 1; version <= 5; version++) {
        const next = change(version, old);
        const description = "x".repeat((version * 700) % 900);
        await world.store.write.save({ ...next, endpoint: { ...next.endpoint, description } });
        for (let n = 0; n < 3; n++) await world.endpoint(app, { description: "y".repeat(300) });
      }
      for (const name of old) assert.equal(isThere(name), true, name);
      assert.deepEqual(await world.store.write.save(change(6, young)), { kind: "saved" });
      for (const name of old) assert.equal(isThere(name), false, name);
      for (const name of young) assert.equal(isThere(name), true, name);
      await world.store.write.remove({ kind: "endpoint", id: endpoint.id });
      for (const name of young) assert.equal(isThere(name), false, name);
    }
    await world.store.close();
  });

  test("a long read keeps the log, and with it old envelopes, but not the writer", async () => {
    const { world, dataDir } = await openWorld();
    const { app, endpoint } = await world.pair();
    const old = `secret of ${endpoint}`;
    const reader = openForReading(path.join(dataDir, "posthorn.db"));
    reader.exec("BEGIN");
    reader.prepare("SELECT count(*) FROM endpoints").get();
    const begunMs = performance.now();
    for (const version of [1, 2, 3])
      await world.store.write.save(world.endpointChange(world.endpointOf(app, { id: endpoint, version })));
    await world.publish(app, endpoint);
    assert(performance.now() - begunMs < 2000, "it does not wait for the reader");
    assert(inFiles(dataDir, old));
    reader.exec("COMMIT");
    reader.close();
    await world.store.close();
    assert(!inFiles(dataDir, old));
  });

  test("what a killed store left in the log goes with the next one's first commit", async () => {
    const { world, dataDir } = await openWorld();
    const { app, endpoint } = await world.pair();
    const old = `secret of ${endpoint}`;
    const reader = openForReading(path.join(dataDir, "posthorn.db"));
    reader.exec("BEGIN");
    reader.prepare("SELECT count(*) FROM endpoints").get();
    await world.store.write.save(world.endpointChange(world.endpointOf(app, { id: endpoint })));
    const left = newDirectory();
    for (const name of ["posthorn.db", "posthorn.db-wal"])
      cpSync(path.join(dataDir, name), path.join(left, name));
    reader.close();
    assert(inFiles(left, old));
    const next = await openWorld({ dataDir: left });
    assert(!inFiles(left, old));
    await next.world.store.close();
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

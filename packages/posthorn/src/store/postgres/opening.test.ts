import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { newId } from "../../base/ids.ts";
import { silentLogger } from "../../base/logger.ts";
import { NO_ACCESS } from "../../domain/endpoint.ts";
import { NO_APP_LIMITS, NO_KEY_LIMITS } from "../../domain/limits.ts";
import { Connection } from "./connection.ts";
import { dayOfId } from "./day.ts";
import { schemaVersion } from "./migrate.ts";
import { type Opening, prepareDatabase } from "./opening.ts";
import { openPostgresStore } from "./postgres.ts";

const keyMark = (check: string) => ({ check: Buffer.from(check), id: Buffer.alloc(4) });
const IDENTITY = { cluster: "shop", masterKeyMarks: [keyMark("check of the key")] };

describe("opening a database", () => {
  let database: TestDatabase;
  let admin: Connection;

  before(async () => {
    database = await openTestDatabase({ empty: true });
    admin = await connect(database.url);
  });
  after(async () => {
    await admin.close();
    await database.drop();
  });

  const connect = (url: string): Promise<Connection> =>
    Connection.open({ url, applicationName: "observer", statementMsMax: null });

  const prepare = (facts: Partial<Opening> = {}): Promise<void> =>
    prepareDatabase({
      url: database.url,
      identity: IDENTITY,
      wallMs: Date.now,
      logger: silentLogger,
      ...facts,
    });

  /** The one line of the refusal. */
  async function refusal(facts: Partial<Opening>): Promise<string> {
    const error = await prepare(facts).then(
      () => assert.fail("it should have been refused"),
      (reason: unknown) => reason,
    );
    assert(error instanceof Error);
    assert(!error.message.includes("\n"), error.message);
    return error.message;
  }

  const withUrl = (change: (url: URL) => void): string => {
    const url = new URL(database.url);
    change(url);
    return url.href;
  };

  const isEmpty = async (): Promise<boolean> => {
    const [row] = await admin.query<{ there: boolean }>({
      text: "SELECT to_regnamespace('posthorn') IS NOT NULL AS there",
    });
    return row?.there === false;
  };

  test("what is no URL of a database is refused without showing it", async () => {
    for (const url of [
      "mysql://u:geheim@127.0.0.1/db",
      "127.0.0.1:5432",
      "postgres://user:geheim#1@host/db",
      "postgres://u:geheim@127.0.0.1/db?sslrootcert=/no/such/file",
    ]) {
      const line = await refusal({ url });
      assert.match(
        line,
        /The store's URL cannot be used: give postgres:\/\/user:password@host:5432\/database/,
      );
      assert(!line.includes("geheim"), line);
    }
  });

  test("a wrong address, password or database is named, and what to do", async () => {
    const { username, password } = new URL(database.url);
    const lines = {
      closed: await refusal({ url: withUrl((url) => (url.port = "1")) }),
      unknown: await refusal({ url: withUrl((url) => (url.hostname = "no-such-host.invalid")) }),
      password: await refusal({ url: withUrl((url) => (url.password = `${password}x`)) }),
      none: await refusal({ url: withUrl((url) => (url.password = "")) }),
      database: await refusal({ url: withUrl((url) => (url.pathname = "/no_such_database")) }),
    };
    assert.match(lines.closed, /Nothing answers at 127\.0\.0\.1:1 \(ECONNREFUSED\): start PostgreSQL/);
    assert.match(lines.unknown, /host "no-such-host\.invalid" is not known .*check the host/);
    assert.match(lines.password, new RegExp(`refused the password of the user "${username}": correct`));
    assert.match(lines.none, /asks for a password: put one in the store's URL|refused the password/);
    assert.match(lines.database, /There is no database "no_such_database" at .*CREATE DATABASE/);
    for (const line of Object.values(lines)) assert(!line.includes(password), line);
  });

  test("what answers but is no PostgreSQL is told", async () => {
    const other = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(
      0,
      "127.0.0.1",
    );
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const line = await refusal({ url: withUrl((url) => (url.port = String(port))) });
    assert.match(line, new RegExp(`PostgreSQL at 127\\.0\\.0\\.1:${port} cannot be used`));
    other.close();
  });

  test("whoever is not let in hangs up, and keeps no session of the server's waiting", async (t) => {
    const authentication = (kind: number, text: string): Buffer => {
      const head = Buffer.alloc(9);
      head.write("R");
      head.writeInt32BE(8 + text.length, 1);
      head.writeInt32BE(kind, 5);
      return Buffer.concat([head, Buffer.from(text)]);
    };
    // A password is asked for by SCRAM (10), and the client's first words are answered (11).
    const answers = [authentication(10, "SCRAM-SHA-256\0\0"), authentication(11, "r=x,s=eA==,i=4096")];
    const hungUp = Promise.withResolvers<void>();
    const asking = createServer((socket) => {
      socket.on("data", () => void socket.write(answers.shift() ?? ""));
      socket.on("end", hungUp.resolve);
    }).listen(0, "127.0.0.1");
    t.after(() => asking.close());
    await once(asking, "listening");
    const { port } = asking.address() as AddressInfo;
    assert.match(
      await refusal({ url: `postgres://user@127.0.0.1:${port}/db` }),
      /asks for a password: put one in the store's URL/,
    );
    await hungUp.promise;
  });

  test("missing rights are named with the GRANT that gives them", async (t) => {
    const role = `posthorn_test_${randomBytes(4).toString("hex")}`;
    await admin.query({ text: `CREATE ROLE ${role} LOGIN PASSWORD 'stranger'` });
    const owned = await openTestDatabase();
    const name = new URL(owned.url).pathname.slice(1);
    const strangerIn = (url: string): string => {
      const changed = new URL(url);
      changed.username = role;
      changed.password = "stranger";
      return changed.href;
    };
    t.after(async () => {
      await owned.drop();
      await admin.query({
        text: `REVOKE ALL ON DATABASE ${new URL(database.url).pathname.slice(1)} FROM ${role}`,
      });
      await admin.query({ text: `DROP OWNED BY ${role}` });
      await admin.query({ text: `DROP ROLE ${role}` });
    });
    assert.match(
      await refusal({ url: strangerIn(database.url) }),
      new RegExp(`GRANT CREATE ON DATABASE posthorn_test_\\w+ TO ${role};`),
    );
    assert(await isEmpty());
    const line = await refusal({ url: strangerIn(owned.url) });
    assert.match(line, new RegExp(`GRANT ${new URL(owned.url).username} TO ${role};`));
    const inside = await connect(owned.url);
    await inside.query({ text: `REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC` });
    await inside.close();
    assert.match(await refusal({ url: strangerIn(owned.url) }), /GRANT CONNECT ON DATABASE/);
    // The first line is all that it takes.
    await admin.query({
      text: `GRANT CREATE ON DATABASE ${new URL(database.url).pathname.slice(1)} TO ${role}`,
    });
    await prepare({ url: strangerIn(database.url) });
    await admin.query({ text: "DROP SCHEMA posthorn CASCADE" });
  });

  test("a machine whose clock is wrong is refused before anything is written", async () => {
    assert.match(
      await refusal({ wallMs: () => Date.now() + 6000 }),
      /clock is 6\.\d s ahead of the database's, and 5 s are allowed: set both by NTP/,
    );
    assert.match(
      await refusal({ wallMs: () => Date.now() - 60_000 }),
      /clock is (60|59)\.\d s behind the database's/,
    );
    assert(await isEmpty());
    // A slow answer is no wrong clock: half of the way is not known.
    const times = [Date.now() - 20_000, Date.now() + 20_000];
    await prepare({ wallMs: () => times.shift() ?? Date.now() });
    await admin.query({ text: "DROP SCHEMA posthorn CASCADE" });
  });

  test("of nodes that open an empty database at once, one migrates it; another cluster or key is refused", async () => {
    await Promise.all([prepare(), prepare(), prepare()]);
    const files = await admin.query<{ version: number }>({
      text: "SELECT version FROM posthorn.migrations ORDER BY version",
    });
    assert.deepEqual(
      files.map(({ version }) => version),
      Array.from({ length: schemaVersion() }, (_, index) => index + 1),
    );
    await prepare();
    await prepare({ identity: { cluster: "shop", masterKeyMarks: [] } });
    // An older key may still open what is sealed under it; the newer one seals.
    await prepare({
      identity: { cluster: "shop", masterKeyMarks: [keyMark("newer"), ...IDENTITY.masterKeyMarks] },
    });
    assert.match(
      await refusal({ identity: { ...IDENTITY, cluster: "bank" } }),
      /belongs to the cluster "shop", and this node is configured for "bank"/,
    );
    await assert.rejects(prepare({ identity: { ...IDENTITY, masterKeyMarks: [keyMark("another")] } }), {
      name: "WrongMasterKeyError",
      message: /database "posthorn_test_\w+" at 127\.0\.0\.1:\d+ are sealed under another master key/,
    });
    await admin.query({ text: "DROP SCHEMA posthorn CASCADE" });
  });

  test("two clusters that open an empty database at once: one gets it", async () => {
    const results = await Promise.allSettled(
      ["shop", "bank"].map((cluster) => prepare({ identity: { ...IDENTITY, cluster } })),
    );
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    await admin.query({ text: "DROP SCHEMA posthorn CASCADE" });
  });

  test("what a database of before the security work holds reads as having none of it, and older nodes go on", async () => {
    const before = 7;
    await admin.query({
      text: `CREATE SCHEMA posthorn; CREATE TABLE posthorn.migrations (version integer PRIMARY KEY, name text NOT NULL,
        oldest_program integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
    });
    for (let version = 1; version <= before; version++) {
      const name = `${String(version).padStart(4, "0")}.sql`;
      await admin.query({ text: readFileSync(new URL(`./migrations/${name}`, import.meta.url), "utf8") });
      const insert = "INSERT INTO posthorn.migrations (version, name, oldest_program) VALUES ($1, $2, 0)";
      await admin.query({ text: insert }, [version, name]);
    }
    const run = (text: string, values: readonly unknown[] = []) => admin.query({ text }, values);
    const [app, endpoint, event, key] = [newId("app"), newId("ep"), newId("evt"), newId("key")];
    const insertKey = `INSERT INTO posthorn.keys (id, hash, role, name, prefix, created_at_ms)
      VALUES ($1, $2, 'admin', 'ops', 'phk_', 0)`;
    await run(insertKey, [key, Buffer.from(key)]);
    await run(
      `INSERT INTO posthorn.apps (id, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms)
      VALUES ($1, 'Shop', '{}', 30, 1, 0, 0)`,
      [app],
    );
    await run(
      `INSERT INTO posthorn.endpoints (id, app_id, url, description, event_types, channels, in_flight_max, timeout_ms, retry_schedule,
        ordering, on_dead_letter, scheme, status, secrets, version, created_at_ms, updated_at_ms)
      VALUES ($1, $2, 'https://a.example/', '', '[]', '[]', 16, 1000, '[]', 'unordered', 'continue', 'standard', 'unverified',
        '[{"sealed":"AAEC","expiresAtMs":null}]', 1, 0, 0)`,
      [endpoint, app],
    );
    await run(
      "INSERT INTO posthorn.lanes (endpoint_id, app_id, runnable, exclusive) VALUES ($1, $2, true, false)",
      [endpoint, app],
    );
    const day = dayOfId(event, 0);
    await run("SELECT posthorn.make_partitions(30::smallint, $1, $1)", [day]);
    await run(
      `INSERT INTO posthorn.events (accepted_at_ms, locator, day, data_start, data_end, delivery_count, fan_out_count, retention_days,
        id, app_id, event_type, timestamp, payload) VALUES (0, 0, $1, 0, 2, 0, 0, 30, $2, $3, 'a.b', 't', '{}')`,
      [day, event, app],
    );

    const store = await openPostgresStore({ url: database.url });
    try {
      const config = await store.read.find("endpoint", { id: endpoint });
      assert.deepEqual({ ...config?.endpoint, ...NO_ACCESS }, config?.endpoint);
      assert.equal(config?.sealedCredentials, null);
      assert.equal(config?.secrets[0]?.publicKey, null);
      assert.deepEqual((await store.read.find("app", { id: app }))?.limits, NO_APP_LIMITS);
      const found = await store.read.find("key", { id: key });
      assert.deepEqual([found?.appId, found?.limits], [null, NO_KEY_LIMITS]);
      assert.equal((await store.read.find("event", { id: event }))?.hops, 0);
      // What a node of the version before says: it knows no other columns and no other functions.
      await run(insertKey, [newId("key"), Buffer.from("another")]);
      const arrays = (count: number): string => Array(count).fill("'{}'").join(", ");
      await run(`SELECT * FROM posthorn.accept(${arrays(44)}, '', 0, false)`);
      await run(`SELECT * FROM posthorn.claim(${arrays(6)}, 0, 0)`);
    } finally {
      await store.close();
    }
    await admin.query({ text: "DROP SCHEMA posthorn CASCADE" });
  });

  test("a node goes on beside a schema one version newer, and is refused by one newer than that", async () => {
    await prepare();
    const known = schemaVersion();
    const insert = "INSERT INTO posthorn.migrations (version, name, oldest_program) VALUES ($1, 'newer', $2)";
    await admin.query({ text: insert }, [known + 1, known]);
    await prepare();
    await admin.query({ text: insert }, [known + 2, known + 1]);
    assert.match(
      await refusal({}),
      new RegExp(
        `schema version ${known + 2}, .*versions up to ${known}\\. Nothing was changed\\. Upgrade this node`,
      ),
    );
    await admin.query({ text: "DROP SCHEMA posthorn CASCADE" });
  });
});

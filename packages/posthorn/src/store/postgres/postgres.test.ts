import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { PosthornError } from "../../base/errors.ts";
import { newAppId } from "../../base/ids.ts";
import { silentLogger } from "../../base/logger.ts";
import { RETENTION_DAYS } from "../../domain/defaults.ts";
import { NO_APP_LIMITS } from "../../domain/limits.ts";
import type { NewNode, Store, Wake } from "../store.ts";
import { Connection } from "./connection.ts";
import { warningsOf } from "./health.ts";
import { openPostgresStore, type PostgresOptions } from "./postgres.ts";

const DAY_MS = 86_400_000;
const NODE: NewNode = { name: "test", version: "1", roles: ["api", "dispatch"] };

describe("the PostgreSQL store", () => {
  let database: TestDatabase;
  let observer: Connection;
  const opened: Store[] = [];

  before(async () => {
    database = await openTestDatabase();
    observer = await connect();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  });
  after(async () => {
    await observer.close();
    await database.drop();
  });

  const connect = (): Promise<Connection> =>
    Connection.open({ url: database.url, applicationName: "observer", statementMsMax: null });

  async function open(options: Partial<PostgresOptions> = {}): Promise<Store> {
    const store = await openPostgresStore({ url: database.url, ...options });
    opened.push(store);
    return store;
  }

  const saveApp = (store: Store, retentionDays = 30) =>
    store.write.save({
      kind: "app",
      create: true,
      app: {
        id: newAppId(),
        uid: null,
        name: "Shop",
        metadata: {},
        retentionDays,
        limits: NO_APP_LIMITS,
        ownershipCheck: null,
      },
    });

  const sessions = async (): Promise<number> => {
    const text = `SELECT count(*) AS n FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'posthorn%'`;
    return (await observer.query<{ n: number }>({ text }))[0]?.n ?? 0;
  };

  test("a store that is closed leaves no session and no thread, whatever was going on", async () => {
    const store = await open();
    await store.write.enlist(NODE);
    const saved = Promise.all(Array.from({ length: 20 }, () => saveApp(store)));
    await store.close();
    assert.equal((await saved).length, 20);
    while ((await sessions()) > 0);
    await assert.rejects(saveApp(store), (error) => isUnavailable(error));
  });

  test("health says what it stands on; a setting that promises less is told, and logged once", async () => {
    const healthy = await (await open()).read.health();
    const { bytes, prunedAgoMs, partitionsUntilMs, schemaVersion, ...rest } = healthy;
    assert.deepEqual(rest, {
      kind: "postgres",
      durability: "fsync=on, synchronous_commit=on",
      freeBytes: null,
      accepting: true,
      warnings: [],
    });
    assert(bytes > 1_000_000 && schemaVersion >= 1 && prunedAgoMs === null);
    const [row] = await observer.query<{ name: string }>({ text: "SELECT current_database() AS name" });
    await observer.query({ text: `ALTER DATABASE ${row?.name} SET synchronous_commit = off` });
    const logged: object[] = [];
    const logger = { ...silentLogger, warn: (fields: object) => void logged.push(fields) };
    const { durability, warnings } = await (await open({ logger })).read.health();
    await observer.query({ text: `ALTER DATABASE ${row?.name} RESET synchronous_commit` });
    assert.equal(durability, "fsync=on, synchronous_commit=off");
    assert.equal(warnings.length, 1);
    assert.deepEqual(logged, [{ warning: warnings[0] }]);
  });

  test("each thing that is not promised has a sentence of its own", () => {
    const safe = {
      fsync: "on",
      synchronousCommit: "on",
      synchronousStandbyNames: "",
      asynchronousStandbys: 0,
    };
    const told = (facts: Partial<typeof safe>) => warningsOf({ ...safe, ...facts });
    assert.deepEqual(told({}), []);
    assert.match(told({ fsync: "off" }).join(), /^fsync=off: /);
    assert.match(told({ synchronousCommit: "off" }).join(), /^synchronous_commit=off: /);
    assert.deepEqual(told({ synchronousCommit: "local" }), []);
    assert.match(
      told({ synchronousCommit: "local", synchronousStandbyNames: "s1" }).join(),
      /^synchronous_commit=local: a failover/,
    );
    assert.match(told({ asynchronousStandbys: 2 }).join(), /^All standbys are asynchronous/);
    assert.deepEqual(told({ asynchronousStandbys: 2, synchronousStandbyNames: "s1" }), []);
    assert.equal(told({ fsync: "off", synchronousCommit: "off", asynchronousStandbys: 1 }).length, 3);
  });

  test("partitions are there a week ahead, for every class that an app has, however the clock moves", async () => {
    const [store, other] = [await open(), await open()];
    const untilMs = async (): Promise<number> => (await store.read.health()).partitionsUntilMs ?? 0;
    const today = async (): Promise<number> => {
      const text = "SELECT posthorn.now_ms() AS ms";
      return Math.floor(((await observer.query<{ ms: number }>({ text }))[0]?.ms ?? 0) / DAY_MS) * DAY_MS;
    };
    const began = await today();
    const isAWeekAhead = (ms: number): boolean =>
      [began, began + DAY_MS].some((day) => ms === day + 8 * DAY_MS);
    assert(isAWeekAhead(await untilMs()));
    // Two nodes with the same need at once.
    const saved = RETENTION_DAYS.flatMap((days) => [saveApp(store, days), saveApp(other, days)]);
    await Promise.all(saved);
    assert(isAWeekAhead(await untilMs()));
    for (const days of RETENTION_DAYS) {
      const [row] = await observer.query<{ there: boolean }>(
        { text: `SELECT to_regclass('posthorn.attempts_' || $1 || '_' || $2) IS NOT NULL AS there` },
        [String(days), new Date(began).toISOString().slice(0, 10).replaceAll("-", "")],
      );
      assert.equal(row?.there, true, String(days));
    }
    await store.advance(20 * DAY_MS);
    assert(isAWeekAhead((await untilMs()) - 20 * DAY_MS));
    const [day] = [new Date(began + 22 * DAY_MS).toISOString().slice(0, 10).replaceAll("-", "")];
    await observer.query({ text: `DROP TABLE posthorn.events_7_${day}` });
    assert.equal(await untilMs(), began + 22 * DAY_MS);
  });

  test("what one node does, another hears of", async () => {
    const [here, there] = [await open(), await open()];
    const heard = Promise.withResolvers<Wake>();
    const stop = there.watch((wake) => heard.resolve(wake));
    const node = await here.write.enlist(NODE);
    await here.write.retire(node);
    assert.deepEqual(await heard.promise, { kind: "due" });
    stop();
  });

  test("sessions that are ended and a database that restarts are got over", async (t) => {
    const { server } = database;
    if (server === null) return t.skip("the server is not this process's own");
    const store = await open({ patienceMs: 10_000 });
    const node = await store.write.enlist({ ...NODE, name: "survivor" });
    const nodes = async () => (await store.read.list("node", { limit: 100 })).data;
    for (const halt of ["sessions", "fast", "immediate"] as const) {
      if (halt === "sessions") {
        const text = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()`;
        await observer.query({ text });
        assert((await nodes()).some(({ name }) => name === "survivor"));
      } else {
        await server.halt(halt);
        const answered = nodes();
        await server.start();
        assert((await answered).some(({ name }) => name === "survivor"));
        observer = await connect();
      }
    }
    assert((await store.write.beat(node)).alive);
  });

  test("a database that stays away is an error to try again after, and shows no password", async (t) => {
    const { server } = database;
    if (server === null) return t.skip("the server is not this process's own");
    const store = await open({ patienceMs: 200 });
    await server.halt("fast");
    for (const ask of [() => saveApp(store), () => store.read.health(), () => store.write.enlist(NODE)]) {
      await assert.rejects(ask, (error) => {
        assert(!JSON.stringify([String(error), error]).includes(new URL(database.url).password));
        return isUnavailable(error) && error instanceof PosthornError && error.retryAfterSeconds === 1;
      });
    }
    await server.start();
    observer = await connect();
    assert.deepEqual(await saveApp(store), { kind: "saved" });
  });

  test("a backup is PostgreSQL's own affair", async () => {
    await assert.rejects((await open()).backup("copy.db"), /pg_dump/);
  });

  test("options that cannot work are refused by name", async () => {
    const refused = (options: Partial<PostgresOptions>, message: RegExp) =>
      assert.rejects(open(options), message);
    await refused({ connectionsMax: 10 }, /connectionsMax: give a whole number of at least 11 \(got 10\)/);
    await refused({ heartbeatMs: 0 }, /heartbeatMs: give a duration above 0 \(got 0\)/);
    await refused(
      { deadAfterMs: 7000 },
      /deadAfterMs: give at least 4 times heartbeatMs \(2000\) \(got 7000\)/,
    );
  });
});

function isUnavailable(error: unknown): boolean {
  return error instanceof PosthornError && error.code === "store_unavailable" && error.status === 503;
}

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { Connection } from "./connection.ts";
import type { FailureKind, Run, Statement } from "./connections.ts";
import { failureOf } from "./failure.ts";
import { CONNECTIONS_MIN, Pool } from "./pool.ts";

const ONE: Statement = { text: "SELECT 1 AS one" };
/** Waits for whoever holds the lock, so that a statement is under way for as long as a test wants. */
const WAIT: Statement = { text: "SELECT pg_advisory_xact_lock(1)" };

describe("the connections of a store", () => {
  let database: TestDatabase;
  let pool: Pool;
  /** Beside the pool: sees it, and is not part of it. */
  let observer: Connection;

  before(async () => {
    database = await openTestDatabase({ empty: true });
    observer = await connect();
    await observer.query({ text: "CREATE TABLE numbers (n integer PRIMARY KEY CHECK (n < 100))" });
  });
  after(async () => {
    await observer.close();
    await database.drop();
  });
  beforeEach(async () => {
    await observer.query({ text: "TRUNCATE numbers" });
    pool = new Pool({ url: database.url, connectionsMax: CONNECTIONS_MIN, patienceMs: 10_000 });
  });
  afterEach(() => pool.close());

  const connect = (): Promise<Connection> =>
    Connection.open({ url: database.url, applicationName: "observer", statementMsMax: null });

  const terminateAll = (): Promise<unknown> =>
    observer.query({
      text: `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'posthorn%'`,
    });

  /** How many of the pool's sessions wait for the lock. */
  async function waiting(count: number): Promise<void> {
    const text = `SELECT count(*) AS n FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'posthorn' AND wait_event_type = 'Lock'`;
    while ((await observer.query<{ n: number }>({ text }))[0]?.n !== count);
  }

  async function numbers(): Promise<number[]> {
    const rows = await observer.query<{ n: number }>({ text: "SELECT n FROM numbers ORDER BY n" });
    return rows.map(({ n }) => n);
  }

  async function holdingTheLock(work: () => Promise<void>): Promise<void> {
    await observer.query({ text: "SELECT pg_advisory_lock(1)" });
    try {
      await work();
    } finally {
      await observer.query({ text: "SELECT pg_advisory_unlock_all()" });
    }
  }

  const insert = (run: Run, n: number): Promise<unknown> =>
    run({ text: "INSERT INTO numbers VALUES ($1)" }, [n]);

  const failure = async (work: Promise<unknown>): Promise<FailureKind> => {
    const error = await work.then(
      () => assert.fail("it should have failed"),
      (reason: unknown) => reason,
    );
    return failureOf(error);
  };

  test("columns come as numbers, days and bytes", async () => {
    const [row] = await pool.run<Record<string, unknown>>(
      "read",
      {
        text: `SELECT $1::bigint AS large, '{1,NULL,3}'::bigint[] AS many, '2026-01-31'::date AS day,
          '{2026-01-31}'::date[] AS days, $2::bytea AS bytes, '{"a b",c}'::text[] AS texts`,
      },
      [2 ** 53 - 1, Buffer.from([0, 255])],
    );
    assert.deepEqual(row, {
      large: 2 ** 53 - 1,
      many: [1, null, 3],
      day: "2026-01-31",
      days: ["2026-01-31"],
      bytes: Buffer.from([0, 255]),
      texts: ["a b", "c"],
    });
  });

  test("sessions that are ended while idle are opened again, and nobody notices", async () => {
    const purposes = ["settle", "accept", "claim", "work", "read"] as const;
    const all = () => Promise.all(purposes.map((purpose) => pool.runSafely(purpose, ONE)));
    await all();
    await terminateAll();
    assert.deepEqual(
      await all(),
      purposes.map(() => [{ one: 1 }]),
    );
  });

  test("a statement whose session is ended is lost, and repeated only where that is asked for", async () => {
    await holdingTheLock(async () => {
      const lost = failure(pool.run("accept", WAIT));
      const repeated = pool.runSafely("claim", {
        text: "SELECT 7 AS seven FROM pg_advisory_xact_lock_shared(1)",
      });
      await waiting(2);
      await terminateAll();
      assert.equal(await lost, "lost");
      await waiting(1);
      await observer.query({ text: "SELECT pg_advisory_unlock_all()" });
      assert.deepEqual(await repeated, [{ seven: 7 }]);
    });
  });

  test("a transaction whose session is ended before the commit is done again as a whole", async () => {
    let times = 0;
    await holdingTheLock(async () => {
      const done = pool.transaction("work", async (run) => {
        times += 1;
        await insert(run, times);
        await run(WAIT);
        return times;
      });
      await waiting(1);
      await terminateAll();
      await waiting(1);
      await observer.query({ text: "SELECT pg_advisory_unlock_all()" });
      assert.equal(await done, 2);
    });
    assert.deepEqual(await numbers(), [2]);
  });

  test("what deadlocks is done again", async () => {
    await observer.query({ text: "INSERT INTO numbers VALUES (1), (2)" });
    const met = Promise.withResolvers<void>();
    let arrived = 0;
    const lock = (run: Run, n: number) => run({ text: "SELECT FROM numbers WHERE n = $1 FOR UPDATE" }, [n]);
    const both = (first: number, second: number) =>
      pool.transaction("work", async (run) => {
        await lock(run, first);
        arrived += 1;
        if (arrived === 2) met.resolve();
        await met.promise;
        await lock(run, second);
      });
    await Promise.all([both(1, 2), both(2, 1)]);
    assert(arrived > 2, "one of them began anew");
  });

  test("a transaction that throws leaves nothing, nor does one that swallowed a failure", async () => {
    const refused = pool.transaction("work", async (run) => {
      await insert(run, 1);
      throw new Error("changed my mind");
    });
    await assert.rejects(refused, /changed my mind/);
    const swallowed = pool.transaction("work", async (run) => {
      await insert(run, 2);
      await insert(run, 100).catch(() => {});
    });
    await assert.rejects(swallowed, /undone, because a statement in it failed/);
    assert.deepEqual(await numbers(), []);
    await pool.transaction("work", (run) => insert(run, 3));
    assert.deepEqual(await numbers(), [3]);
  });

  test("outcomes are written while everything else is busy; who waits too long is told so", async () => {
    await pool.close();
    pool = new Pool({ url: database.url, connectionsMax: CONNECTIONS_MIN, patienceMs: 300 });
    await holdingTheLock(async () => {
      const busy = (["accept", "accept", "claim", "work", "work", "read", "read", "read"] as const).map(
        (purpose) => pool.run(purpose, WAIT),
      );
      await waiting(busy.length);
      assert.deepEqual(await pool.run("settle", ONE), [{ one: 1 }]);
      assert.equal(await failure(pool.run("read", ONE)), "unavailable");
      await observer.query({ text: "SELECT pg_advisory_unlock_all()" });
      await Promise.all(busy);
    });
    assert.deepEqual(await pool.run("read", ONE), [{ one: 1 }]);
  });

  test("settings made for one piece of work end with it", async () => {
    const text = "SELECT current_setting('lock_timeout') AS limit";
    const inside = await pool.session("work", async (run) => {
      await run({ text: "SET lock_timeout = '200ms'" });
      return run({ text });
    });
    assert.deepEqual(inside, [{ limit: "200ms" }]);
    assert.deepEqual(await pool.run("work", { text }), [{ limit: "5s" }]);
    await holdingTheLock(async () => {
      const tooLong = pool.session("work", async (run) => {
        await run({ text: "SET lock_timeout = '20ms'" });
        await run(WAIT);
      });
      assert.equal(await failure(tooLong), "again");
    });
  });

  test("every session hears that a test has moved the clock", async () => {
    const text = "SELECT current_setting('posthorn.advance_ms', true) AS advanced";
    await pool.run("read", ONE);
    pool.advance(1000);
    pool.advance(500);
    assert.equal(pool.advancedMs, 1500);
    for (const purpose of ["read", "settle"] as const)
      assert.deepEqual(await pool.run(purpose, { text }), [{ advanced: "1500" }]);
    assert.deepEqual(await pool.transaction("accept", (run) => run({ text })), [{ advanced: "1500" }]);
  });

  test("what the database says is told apart", async () => {
    const raised = (code: string) =>
      failure(pool.run("work", { text: `DO $$ BEGIN RAISE EXCEPTION SQLSTATE '${code}'; END $$` }));
    assert.equal(await raised("53100"), "full");
    assert.equal(await raised("40001"), "again");
    assert.equal(await raised("22012"), "other");
    // After a failover this is a standby: nothing was done, and the next connection may find the primary.
    assert.equal(await raised("25006"), "unavailable");
    assert.deepEqual(await pool.run("work", ONE), [{ one: 1 }]);
    await pool.run("work", {
      text: "CREATE TABLE days (day date NOT NULL CHECK (day > '2000-01-01')) PARTITION BY RANGE (day)",
    });
    const day = (text: string) =>
      failure(pool.run("work", { text: "INSERT INTO days VALUES ($1::date)" }, [text]));
    assert.equal(await day("2026-01-31"), "no_partition");
    // The check of the table itself is looked at when there is a partition; it is a bad element, whatever its SQLSTATE.
    await pool.run("work", {
      text: "CREATE TABLE days_all PARTITION OF days FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
    });
    assert.equal(await day("1999-01-01"), "other");
    await pool.run("work", { text: "DROP TABLE days" });
  });

  test("a database that is away is waited for, and then given up", async (t) => {
    const { server } = database;
    if (server === null) return t.skip("the server is not this process's own");
    for (const mode of ["fast", "immediate"] as const) {
      await Promise.all([pool.run("read", ONE), pool.run("settle", ONE)]);
      await server.halt(mode);
      const patient = [pool.runSafely("read", ONE), pool.transaction("settle", (run) => run(ONE))];
      const impatient = new Pool({ url: database.url, connectionsMax: CONNECTIONS_MIN, patienceMs: 200 });
      assert.equal(await failure(impatient.run("accept", ONE)), "unavailable");
      await impatient.close();
      await server.start();
      assert.deepEqual(await Promise.all(patient), [[{ one: 1 }], [{ one: 1 }]]);
    }
    observer = await connect();
  });

  test("closing waits for what is under way, and nothing is begun after it", async () => {
    const done = pool.transaction("work", (run) => insert(run, 5));
    await pool.close();
    await done;
    assert.deepEqual(await numbers(), [5]);
    assert.equal(await failure(pool.run("read", ONE)), "unavailable");
  });
});

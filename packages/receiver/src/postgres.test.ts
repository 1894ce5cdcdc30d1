import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import pg from "pg";
import { type PostgresServer, startPostgres } from "../../posthorn/test/postgres-server.ts";
import type { PostgresClient, PostgresPool } from "./clients/postgres.ts";
import { exerciseDedupe } from "./dedupe/dedupe.conformance.ts";
import { exerciseInbox } from "./inbox/inbox.conformance.ts";
import { eventOf, RECEIVER } from "./inbox/inbox.harness.conformance.ts";
import { postgresDedupe, postgresInbox } from "./postgres.ts";

let server: PostgresServer;
let pool: pg.Pool;

before(async () => {
  server = await startPostgres();
  pool = new pg.Pool({ connectionString: server.url });
  pool.on("error", () => undefined);
});
after(async () => {
  await pool.end();
  await server.destroy();
});

let places = 0;

/** Tables of its own: one that handlers write to, and one for the store. */
function createPlace() {
  places += 1;
  const table = `store_${places}`;
  const written = `written_${places}`;
  const pools: pg.Pool[] = [];
  let created: Promise<unknown> | undefined;
  return {
    table,
    /** As another process would be connected. */
    async connect(options: pg.PoolConfig = {}): Promise<pg.Pool> {
      created ??= pool.query(`CREATE TABLE ${written} (seq serial PRIMARY KEY, row text NOT NULL)`);
      await created;
      const other = new pg.Pool({ connectionString: server.url, max: 4, ...options });
      other.on("error", () => undefined);
      pools.push(other);
      return other;
    },
    async write(transaction: PostgresClient, row: string) {
      await transaction.query(`INSERT INTO ${written} (row) VALUES ($1)`, [row]);
    },
    async written() {
      return (await pool.query(`SELECT row FROM ${written} ORDER BY seq`)).rows.map(
        ({ row }) => row as string,
      );
    },
    async hasTable() {
      return (await pool.query("SELECT to_regclass($1) AS oid", [table])).rows[0].oid !== null;
    },
    async destroy() {
      await Promise.all(pools.map((each) => each.end()));
    },
  };
}

exerciseDedupe(
  "PostgreSQL",
  () => {
    const place = createPlace();
    return {
      ...place,
      open: async (options) => postgresDedupe(await place.connect(), { table: place.table, ...options }),
      async marks() {
        if (!(await place.hasTable())) return 0;
        return (await pool.query(`SELECT count(*)::integer AS count FROM ${place.table}`)).rows[0].count;
      },
      async advance(ms) {
        await pool.query(`UPDATE ${place.table} SET expires_at = expires_at - ${ms} * interval '1 ms'`);
      },
    };
  },
  { isTransactional: true, isShared: true, isCountable: true, meanwhile: "waits" },
);

exerciseInbox("PostgreSQL", () => {
  const place = createPlace();
  return {
    ...place,
    open: async (options) => postgresInbox(await place.connect(), { table: place.table, ...options }),
    async size() {
      const { rows } = await pool.query(
        `SELECT count(*)::integer AS rows, coalesce(sum(length(payload)), 0)::integer AS bytes FROM ${place.table}`,
      );
      return rows[0];
    },
    async advance(ms) {
      if (!(await place.hasTable())) return;
      const ago = `${ms} * interval '1 ms'`;
      await pool.query(
        `UPDATE ${place.table} SET due_at = due_at - ${ago}, expires_at = expires_at - ${ago}`,
      );
    },
    async crash(transaction) {
      await transaction.query("SELECT pg_terminate_backend(pg_backend_pid())");
    },
  };
});

describe("stores in PostgreSQL", () => {
  let place: ReturnType<typeof createPlace>;

  beforeEach(() => {
    place = createPlace();
  });
  afterEach(() => place.destroy());

  const nothing = async (): Promise<void> => {};
  const one = { receiver: RECEIVER, limit: 1 };

  async function open(options: pg.PoolConfig = {}) {
    const own = await place.connect(options);
    const { table } = place;
    const inbox = postgresInbox(own, { table: `${table}_inbox` });
    return { own, inbox, dedupe: postgresDedupe(own, { table, waitMs: 50 }) };
  }

  test("answer `busy` when another process works on a key for long, and do nothing of the batch", async () => {
    const [one, other] = [await open(), await open()];
    await one.dedupe.once(["a"], async () => {
      const never = async (): Promise<void> => assert.fail("not now");
      assert.deepEqual(await other.dedupe.once(["b", "a"], never), ["busy", "busy"]);
    });
    assert.deepEqual(await other.dedupe.once(["b", "a"], nothing), ["done", "duplicate"]);
  });

  test("spend no connections on calls that wait for a key in the same process", async () => {
    const { own, dedupe } = await open({ max: 2 });
    await dedupe.once(["first"], nothing);
    let waiting: Promise<unknown>[] = [];
    await dedupe.once(["a"], async () => {
      waiting = Array.from({ length: 10 }, () => dedupe.once(["a"], nothing));
      assert.deepEqual(await dedupe.once(["b"], nothing), ["done"]);
      assert.equal(own.waitingCount, 0);
    });
    assert.deepEqual(await Promise.all(waiting), Array(10).fill(["duplicate"]));
  });

  test("wait for locks no shorter than the user says, once a handler works", async () => {
    const { dedupe } = await open();
    await dedupe.once(["a"], async (transaction) => {
      assert.equal((await transaction.query("SHOW lock_timeout")).rows[0]?.lock_timeout, "0");
    });
  });

  for (const [what, sql, message] of [
    ["a handler that goes on after a failed statement", "SELECT 1 / 0", /went on/],
    ["a handler that rolls back", "ROLLBACK", /a handler ended it/],
    ["a handler that commits", "COMMIT", /a handler ended it/],
    ["a handler that rolls back and begins another", "ROLLBACK; BEGIN", /a handler ended it/],
    ["a handler that commits and begins another", "COMMIT; BEGIN", /a handler ended it/],
  ] as const) {
    test(`do not take ${what} for one that did its work`, async () => {
      const { dedupe, inbox } = await open();
      await inbox.put([eventOf("a")]);
      const wrong = async (transaction: PostgresClient): Promise<void> => {
        await place.write(transaction, "half");
        await transaction.query(sql).catch(() => undefined);
      };
      await assert.rejects(dedupe.once(["a"], wrong), message);
      await assert.rejects(inbox.take(one, wrong), message);
      assert.equal(await inbox.waiting(RECEIVER), 1);
      if (sql.startsWith("COMMIT")) return;
      assert.deepEqual(await place.written(), []);
      assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
    });
  }

  test("reject when COMMIT fails, and give the connection back", async () => {
    const { own, dedupe } = await open({ max: 1 });
    const children = `children_${place.table}`;
    await own.query(`CREATE TABLE ${children} (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`);
    const failing = dedupe.once(["a"], async (transaction) => {
      await transaction.query(`INSERT INTO ${children} VALUES (1), (1)`);
    });
    await assert.rejects(failing, /duplicate key/);
    assert.deepEqual([own.totalCount, own.idleCount], [1, 1]);
    assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
  });

  test("drop a connection that broke while a handler computed", async () => {
    const own = await place.connect();
    const released: unknown[] = [];
    const spy: PostgresPool = {
      async connect() {
        const client = await own.connect();
        return {
          query: (sql, values = []) => client.query(sql, [...values]),
          release(error) {
            released.push(error);
            client.release(error);
          },
          on: (name, listener) => client.on(name, listener),
          removeListener: (name, listener) => client.removeListener(name, listener),
        };
      },
    };
    const dedupe = postgresDedupe(spy, { table: place.table });
    await dedupe.once(["first"], nothing);
    released.length = 0;
    const failing = dedupe.once(["a"], async (transaction) => {
      await transaction.query("SELECT pg_terminate_backend(pg_backend_pid())");
    });
    await assert.rejects(failing);
    assert(released.length === 1 && released[0] instanceof Error);
    assert.equal(own.totalCount, 0);
    assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
    assert.equal(released[1], undefined);
  });

  test("outlive a connection that breaks between two statements of a handler", async () => {
    const { dedupe } = await open();
    const failing = dedupe.once(["a"], async (transaction) => {
      const { rows } = await transaction.query("SELECT pg_backend_pid() AS pid");
      // Not by node:events' `once`, which rejects with the error that comes before the end.
      const broken = new Promise<void>((resolve) =>
        (transaction as pg.PoolClient).once("end", () => resolve()),
      );
      await pool.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]);
      await broken;
    });
    await assert.rejects(failing);
    assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
  });

  test("have no two processes wait for each other's keys", async () => {
    const [third, one, other] = [await open(), await open(), await open()];
    const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const first = third.dedupe.once(["m"], () => {
      begun.resolve();
      return end.promise;
    });
    first.catch(() => undefined);
    await begun.promise;
    const { table } = place;
    const calls = [
      postgresDedupe(one.own, { table }).once(["a", "m", "z"], nothing),
      postgresDedupe(other.own, { table }).once(["z", "m", "a"], nothing),
    ];
    // Each has locked what it could get, and waits for the rest.
    const waiting = "SELECT count(*)::integer AS waiting FROM pg_locks WHERE NOT granted";
    while ((await pool.query(waiting)).rows[0].waiting < 2);
    end.reject(new Error("deliberate"));
    await assert.rejects(first, /deliberate/);
    assert.deepEqual((await Promise.all(calls)).flat().toSorted(), [
      ...["done", "done", "done"],
      ...["duplicate", "duplicate", "duplicate"],
    ]);
  });

  test("give entries to several at the same time", async () => {
    const { inbox } = await open();
    await inbox.put([eventOf("a"), eventOf("b")]);
    await inbox.take(one, async () =>
      assert.equal(await inbox.take({ receiver: RECEIVER, limit: 2 }, nothing), 1),
    );
  });

  test("leave connections for puts, and for what handlers do with the pool besides", async () => {
    const { own, inbox, dedupe } = await open({ max: 4 });
    assert.deepEqual([inbox.takesMax, dedupe.onceMax], [2, 2]);
    await inbox.put([eventOf("a"), eventOf("b")]);
    const end = Promise.withResolvers<void>();
    const besides = Array.from({ length: inbox.takesMax }, () => Promise.withResolvers<void>());
    const takes = besides.map(({ resolve }) =>
      inbox.take(one, async () => {
        await own.query("SELECT 1");
        resolve();
        await end.promise;
      }),
    );
    await Promise.all(besides.map(({ promise }) => promise));
    assert.deepEqual(await inbox.put([eventOf("c")]), ["stored"]);
    end.resolve();
    assert.deepEqual(await Promise.all(takes), [1, 1]);
  });

  test("bear one transaction at least, and few where the pool does not say how large it is", () => {
    const connect = (): Promise<never> => assert.fail("not needed");
    const sizes = [undefined, {}, { max: 1 }, { max: 2 }, { max: 3 }, { max: 10 }];
    const pools = sizes.map((options): PostgresPool => ({ connect, ...(options && { options }) }));
    assert.deepEqual(
      pools.map((each) => [postgresInbox(each).takesMax, postgresDedupe(each).onceMax]),
      [4, 4, 1, 1, 1, 8].map((max) => [max, max]),
    );
  });

  test("take a put of an event that is being processed at once", async () => {
    const { inbox } = await open();
    await inbox.put([eventOf("a")]);
    await inbox.take(one, async () => {
      assert.deepEqual(await inbox.put([eventOf("a"), eventOf("b")]), ["duplicate", "stored"]);
    });
    assert.equal(await inbox.waiting(RECEIVER), 1);
  });

  test("refuse connections whose commits may be lost", async () => {
    const { dedupe, inbox } = await open({ options: "-c synchronous_commit=off" });
    await assert.rejects(dedupe.once(["a"], nothing), /synchronous_commit is off/);
    await assert.rejects(inbox.put([eventOf("a")]), /synchronous_commit is off/);
  });

  test("are created by whoever comes first, and by one of many at the same time", async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => open()));
    const outcomes = await Promise.all(stores.map(({ dedupe }) => dedupe.once(["a"], nothing)));
    assert.equal(outcomes.flat().filter((outcome) => outcome === "done").length, 1);
  });

  test("try again to create their tables when that failed", async () => {
    const { own } = await open();
    let isDown = true;
    const flaky: PostgresPool = {
      async connect() {
        if (isDown) throw new Error("connection refused");
        return own.connect();
      },
    };
    const dedupe = postgresDedupe(flaky, { table: place.table });
    await assert.rejects(dedupe.once(["a"], nothing), /refused/);
    isDown = false;
    assert.deepEqual(await dedupe.once(["a"], nothing), ["done"]);
  });

  test("look rows up by an index, whatever is stored", async () => {
    const own = await place.connect();
    const statements = new Map<string, unknown[]>();
    const spy: PostgresPool = {
      async connect() {
        const client = await own.connect();
        return {
          query(sql, values = []) {
            if (/"(marks|inbox)_/.test(sql) && !sql.includes("CREATE")) statements.set(sql, [...values]);
            return client.query(sql, [...values]);
          },
          release: (error) => client.release(error),
        };
      },
    };
    const [marks, entries] = [`marks_${place.table}`, `inbox_${place.table}`];
    await postgresDedupe(spy, { table: marks }).once(["a"], nothing);
    const inbox = postgresInbox(spy, { table: entries });
    await inbox.put([eventOf("a")]);
    await inbox.postpone(["a"], { afterMs: 0, isFailure: true, reason: "why not" });
    await inbox.take(one, nothing);
    await inbox.bury(["a"], "why not");
    await inbox.nextDueInMs(RECEIVER);
    await inbox.waiting(RECEIVER);
    assert.equal(statements.size, 10);
    await own.query(`
      INSERT INTO ${marks} SELECT 'k' || n, now() + n * interval '1 s' FROM generate_series(1, 20000) AS n;
      INSERT INTO ${entries} (receiver, key, expires_at)
        SELECT '${RECEIVER}', 'k' || n, now() + n * interval '1 s' FROM generate_series(1, 20000) AS n;
      INSERT INTO ${entries} (receiver, key, due_at, about, payload)
        SELECT receiver, receiver || n, now() + n * interval '1 s' - interval '1 h', '{}', ''
        FROM generate_series(1, 7200) AS n, (VALUES ('${RECEIVER}'), ('bank')) AS of (receiver);
    `);
    await own.query(`ANALYZE ${marks}`);
    // The map of what is visible, for plans that read an index alone.
    await own.query(`VACUUM ANALYZE ${entries}`);
    for (const [sql, values] of statements) {
      const { rows } = await own.query(`EXPLAIN ${sql}`, values);
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      assert.doesNotMatch(plan, new RegExp(`Seq Scan on "?(${marks}|${entries})`), `${plan}\n${sql}`);
      // The first in the index's order: how many wait behind it, or for another receiver, costs nothing.
      if (/ORDER BY due_at/.test(sql)) {
        const first =
          /^Limit.*\n(.*LockRows.*\n)? *-> +Index.* Scan using \w+_due .*\n +Index Cond: \(\(?receiver = /;
        assert.match(plan, first, sql);
      }
    }
  });
});

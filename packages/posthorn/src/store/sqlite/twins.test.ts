/** Structural twins: what a claim reads, and the plans of all statements, do not change with what is stored. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { migrate } from "./migrate.ts";
import type { SqliteSettings } from "./options.ts";
import { createVerbs as createReaderVerbs } from "./read/verbs.ts";
import { createClockMemory, createWriterClock } from "./shared-clock.ts";
import { DUE_ROWS, NEXT_DUE } from "./write/claim.ts";
import { createVerbs } from "./write/verbs.ts";
import { Writing } from "./writing.ts";

const settings: SqliteSettings = {
  dataDir: import.meta.dirname,
  file: ":memory:",
  idempotencyMs: 1,
  waitMsMax: 1,
  reserveBytes: 0,
  figuresMs: 1,
  pagesMax: null,
  masterKeyMarks: [],
  clock: createClockMemory(),
};

function emptyDatabase(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  migrate(db);
  return db;
}

/** One app, one endpoint, and so many deliveries waiting on its lane. */
function laneOf(deliveries: number): DatabaseSync {
  const db = emptyDatabase();
  db.exec(`
    INSERT INTO apps (seq, id, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms)
      VALUES (1, 'app_1', 'x', '{}', 30, 1, 0, 0);
    INSERT INTO events (seq, id, app_seq, event_type, timestamp, accepted_at_ms, delivery_first, delivery_count, fan_out_count,
      data_start, data_end, payload) VALUES (1, 'evt_1', 1, 'a.b', 't', 0, 1, ${deliveries}, 0, 0, 0, x'7b7d');
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${deliveries})
    INSERT INTO deliveries (seq, id, app_seq, endpoint_seq, event_seq, trigger, later, class, due_at_ms, expires_at_ms, created_at_ms)
      SELECT n, 'dlv_' || n, 1, 1, 1, 'publish', 0, n % 3, n, 9e12, 0 FROM n;
  `);
  return db;
}

function withEndpoint(db: DatabaseSync): DatabaseSync {
  db.exec(`
    INSERT INTO endpoints (seq, id, app_seq, url, description, event_types, channels, in_flight_max, timeout_ms, retry_schedule,
      ordering, on_dead_letter, scheme, status, version, created_at_ms, updated_at_ms)
      VALUES (1, 'ep_1', 1, 'u', '', '[]', '[]', 1, 1, '[]', 'unordered', 'continue', 'standard', 'enabled', 1, 0, 0);
    INSERT INTO lanes (endpoint_seq, runnable, next_due_at_ms) VALUES (1, 1, 1);
  `);
  return db;
}

/** The connection, with another way to prepare. */
function spyOn(db: DatabaseSync, prepare: (sql: string) => object): DatabaseSync {
  return new Proxy(db, {
    get(target, name) {
      if (name === "prepare") return prepare;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Rows of `deliveries` that a statement looks at. */
function rowsRead(db: DatabaseSync, sql: string, ...values: number[]): number {
  let rows = 0;
  db.function("looked_at", () => {
    rows += 1;
    return 1;
  });
  const counted = sql.replaceAll("leased_by IS NULL", "leased_by IS NULL AND looked_at()");
  assert.notEqual(counted, sql);
  db.prepare(counted).all(...values);
  return rows;
}

describe("the cost of a claim", () => {
  const [short, long] = [laneOf(100), laneOf(100_000)];

  test("is the rows it takes, whatever the lane holds", () => {
    const counts = [short, long].map((db) =>
      [0, 1, 2].map((each) => rowsRead(db, DUE_ROWS, 1, each, 9e12, 16)),
    );
    assert.deepEqual(counts[1], counts[0]);
    assert.deepEqual(counts[0], [16, 16, 16]);
  });

  test("includes one row a class to find what is due next", () => {
    const counts = [short, long].map((db) => rowsRead(db, NEXT_DUE, 1));
    assert.deepEqual(counts, [3, 3]);
  });
});

describe("the cost of looking for what has expired", () => {
  /** Rows of deliveries that are looked at, while the endpoint is unverified since so long ago. */
  function rowsLookedAt(db: DatabaseSync, unverifiedAtMs: number | null): number {
    withEndpoint(db);
    if (unverifiedAtMs !== null)
      db.exec(`UPDATE endpoints SET status = 'unverified', unverified_at_ms = ${unverifiedAtMs}`);
    let rows = 0;
    db.function("looked_at", () => {
      rows += 1;
      return 1;
    });
    const spy = spyOn(db, (sql) =>
      db.prepare(
        /^\s*SELECT/.test(sql)
          ? sql.replaceAll("leased_by IS NULL", "leased_by IS NULL AND looked_at()")
          : sql,
      ),
    );
    const writing = new Writing(spy, settings, createWriterClock(settings.clock, 0));
    const verbs = createVerbs(writing);
    writing.begin();
    rows = 0;
    const { done } = verbs.expire(20);
    assert.equal(done, unverifiedAtMs === null ? 0 : 20);
    return rows;
  }

  test("is nothing while no endpoint is unverified, else what is ended", () => {
    assert.equal(rowsLookedAt(laneOf(10_000), null), 0);
    assert.equal(rowsLookedAt(laneOf(10_000), 1), 20);
    // Each is held behind the head, and counted when it is found.
    const ordered = laneOf(10_000);
    ordered.exec("UPDATE deliveries SET class = 0, order_key = '', due_at_ms = iif(seq = 1, 1, NULL)");
    assert(rowsLookedAt(ordered, 1) < 30);
    const young = laneOf(10_000);
    young.exec("UPDATE deliveries SET due_at_ms = 9e12 WHERE seq > 20");
    assert.equal(rowsLookedAt(young, 1), 20);
  });
});

describe("the cost of an event", () => {
  /** Statements run from its acceptance to its end, on a database that holds so many other deliveries. */
  function statementsRun(db: DatabaseSync): number {
    let runs = 0;
    const spy = spyOn(db, (sql) => {
      const real = db.prepare(sql);
      const counted =
        (name: "run" | "get" | "all") =>
        (...values: never[]) => {
          runs += 1;
          return real[name](...values);
        };
      return { run: counted("run"), get: counted("get"), all: counted("all") };
    });
    const writing = new Writing(spy, settings, createWriterClock(settings.clock, 0));
    const verbs = createVerbs(writing);
    const incarnation = verbs.enlist({ name: "twin", version: "0", roles: ["dispatch"] });
    const publish = (number: number): void => {
      const ids = {
        app: "app_1",
        endpoint: "ep_1",
        event: `evt_x${number}`,
        delivery: `dlv_x${number}`,
      } as const;
      const [accepted] = verbs.accept([
        {
          event: {
            id: ids.event,
            appId: ids.app,
            uid: null,
            eventType: "a.b",
            timestamp: "t",
            channels: [],
            orderingKey: null,
            deliverAtMs: null,
            hops: 0,
            payload: Buffer.from("{}"),
            dataStart: 0,
            dataEnd: 0,
          },
          configVersion: 1,
          deliveries: [
            {
              id: ids.delivery,
              endpointId: ids.endpoint,
              trigger: "publish",
              class: 0,
              orderKey: null,
              lease: incarnation,
              expiresInMs: 1,
            },
          ],
          fanOut: [],
          idempotency: [],
          source: null,
        },
      ]);
      assert.equal(accepted?.kind, "accepted");
      const outcome = { kind: "succeeded", status: 200, control: null } as const;
      const [settled] = verbs.settle(
        [
          {
            incarnation,
            deliveryId: ids.delivery,
            appId: ids.app,
            endpointId: ids.endpoint,
            eventId: ids.event,
            attempt: {
              id: `att_x${number}`,
              number: 1,
              startedAgoMs: 1,
              durationMs: 1,
              outcome,
              responseBody: null,
              url: "u",
            },
            next: { kind: "delivered" },
            recovers: false,
          },
        ],
        [],
      );
      assert.equal(settled?.kind, "settled");
    };
    publish(1); // Learns the app and the endpoint.
    runs = 0;
    publish(2);
    return runs;
  }

  test("is five statements, whatever is stored", () => {
    const counts = [100, 100_000].map((deliveries) => statementsRun(withEndpoint(laneOf(deliveries))));
    // Event and delivery; into history, out of the queue, the attempt.
    assert.deepEqual(counts, [5, 5]);
  });
});

describe("statements", () => {
  /** Tables that grow with traffic. */
  const growing = /\b(events|deliveries|delivery_history|attempts|idempotency|figures|audit_log)\b/;

  function plansOf(db: DatabaseSync, statements: Iterable<string>): { sql: string; steps: string[] }[] {
    return [...statements]
      .filter((sql) => !/^\s*PRAGMA/i.test(sql))
      .map((sql) => ({
        sql,
        steps: db
          .prepare(`EXPLAIN QUERY PLAN ${sql}`)
          .all()
          .map((row) => String(row.detail)),
      }));
  }

  /** Everything that is prepared through the connection given to `use`. */
  function prepared(db: DatabaseSync, use: (db: DatabaseSync) => void): Set<string> {
    const statements = new Set<string>();
    use(
      spyOn(db, (sql) => {
        statements.add(sql);
        return db.prepare(sql);
      }),
    );
    return statements;
  }

  test("the writer scans no table that grows, and sorts nothing", () => {
    const db = emptyDatabase();
    const statements = prepared(db, (spy) =>
      createVerbs(new Writing(spy, settings, createWriterClock(settings.clock, 0))),
    );
    assert(statements.size > 60, String(statements.size));
    for (const { sql, steps } of plansOf(db, statements)) {
      // Walking idempotency by its rowid, a bounded number of rows from the oldest on, is what prune is for.
      const allowed = sql.includes("DELETE FROM idempotency");
      // At most one page of an event's deliveries is sorted, to drop doubles.
      const sorts = sql.includes("UNION SELECT d.seq FROM events");
      for (const step of steps) {
        assert(allowed || !(step.startsWith("SCAN") && growing.test(step)), `${step}\n${sql}`);
        assert(sorts || !step.includes("TEMP B-TREE FOR ORDER BY"), `${step}\n${sql}`);
      }
    }
  });

  test("the reader scans nothing that grows except in the order of its rows, page by page", () => {
    const db = withEndpoint(laneOf(10));
    const statements = prepared(db, (spy) => {
      const verbs = createReaderVerbs({ db: spy, settings, nowMs: () => 1e12 });
      const appId = "app_1" as const as never;
      const endpointId = "ep_1" as const as never;
      const eventId = "evt_1" as const as never;
      for (const scope of [
        {},
        { appId },
        { endpointId },
        { eventId },
        { appId, states: ["dead_lettered"] },
        { states: ["cancelled"] },
      ]) {
        for (const oldestFirst of [false, true]) {
          verbs.list("delivery", { ...scope, limit: 5, oldestFirst, sinceMs: 1, untilMs: 2 });
          verbs.list("event", { ...scope, limit: 5, oldestFirst, sinceMs: 1, untilMs: 2 });
        }
      }
      for (const scope of [{}, { appId }])
        verbs.list("audit", { ...scope, limit: 5, sinceMs: 1, untilMs: 2 });
      verbs.publicKeys({ limit: 5 });
      verbs.publicKeys({ appId, limit: 5 });
      verbs.config("app_1");
      verbs.dueLanes({ lanesMax: 5 });
      verbs.stats({ appId, sinceMs: 0, untilMs: 1 });
    });
    for (const { sql, steps } of plansOf(db, statements)) {
      // What is leased is at most what a node holds in memory.
      const leased = /leased_by (IS NOT NULL|=)/.test(sql);
      // By rowid, with a bound on the rows looked at.
      const walk =
        /FROM (deliveries|delivery_history) d WHERE TRUE|FROM events WHERE seq >|AS atMs FROM|max\(seq\)/.test(
          sql,
        );
      // An app's endpoints in the order of their ids.
      const few = sql.includes("INDEXED BY endpoints_app");
      for (const step of steps) {
        assert(walk || leased || !(step.startsWith("SCAN") && growing.test(step)), `${step}\n${sql}`);
        assert(leased || few || !step.includes("TEMP B-TREE"), `${step}\n${sql}`);
      }
    }
  });
});

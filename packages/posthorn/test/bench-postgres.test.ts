import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { QUICK, runBench, scenariosFor } from "../src/cli/bench/bench.ts";
import { describeDatabase } from "../src/cli/bench/database.ts";
import { QueueRig } from "../src/cli/bench/queue-rig.ts";
import { Workspace } from "../src/cli/proof/workspace.ts";
import { Connection } from "../src/store/postgres/connection.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

const SHORT = { ...QUICK, seconds: 0.1, warmUpSeconds: 0.1, pairs: 1, holdSeconds: 0, say: () => {} };
const DELIVERIES = 2000;
const ROUNDS = 3;
/** Rows of the queue found through an index by storing, claiming and settling one delivery, dead ones too: about 10 is usual. */
const ROWS_MAX = 20;

describe("the bench on PostgreSQL in short", () => {
  let given: TestDatabase;
  let session: Connection;
  before(async () => {
    given = await openTestDatabase();
    session = await Connection.open({ url: given.url, applicationName: "test", statementMsMax: null });
  });
  after(async () => {
    await session.close();
    await given.drop();
  });

  // No figure is judged here: the machine may be busy.
  for (const name of ["queue", "queue-held"]) {
    test(`${name} reports figures, and leaves no database behind`, async () => {
      const options = { ...SHORT, store: given.url };
      const chosen = scenariosFor(options).filter((scenario) => scenario.name === name);
      const { scenarios, database } = await runBench(chosen, options, () => {});
      assert.equal(database?.settings.fsync, "on");
      const figures = scenarios.flatMap((each) => each.figures);
      assert.ok(figures.length >= 4);
      for (const figure of figures) assert.ok(Number.isFinite(figure.value), `${figure.name} was measured`);
      assert.ok(figures.some(({ unit, value }) => unit === "deliveries/s" && value > 0));
      // On a server that others use as well they may have some of their own.
      if (given.server === null) return;
      const left = await session.query({
        text: "SELECT 1 FROM pg_database WHERE datname LIKE 'posthorn_bench_%'",
      });
      assert.deepEqual(left, []);
    });
  }

  test("the queue is not walked, though the planner thinks it empty and its dead rows stay", async () => {
    const workspace = new Workspace("bench-plan");
    try {
      const rig = await QueueRig.build(workspace, "plan", given.url);
      const holder = await rig.database.session();
      workspace.atEnd(() => holder.close());
      await holder.query({ text: "BEGIN; SELECT pg_current_xact_id()" });
      for (let round = 0; round < ROUNDS; round++) {
        await rig.database.ask("ANALYZE posthorn.deliveries");
        await rig.fill(DELIVERIES, 100);
        await rig.drain(DELIVERIES);
      }
      // A session tells what it did when it ends.
      await rig.close();
      const rows = await rig.database.value<number>(
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relid = 'posthorn.deliveries'::regclass",
      );
      const each = rows / (ROUNDS * DELIVERIES);
      assert.ok(each > 0 && each <= ROWS_MAX, `${each} rows for each delivery`);
    } finally {
      await workspace.close();
    }
  });

  test("a database with apps in it is refused", async () => {
    await session.query({
      text: `INSERT INTO posthorn.apps (id, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms)
        VALUES ('app_1', 'Shop', '{}', 30, 1, 0, 0)`,
    });
    await assert.rejects(describeDatabase(given.url), /has 1 apps: somebody works with it/);
  });
});

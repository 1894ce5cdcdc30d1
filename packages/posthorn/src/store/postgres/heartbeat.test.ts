import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { monotonicMs } from "../../base/clock.ts";
import { type IncarnationId, newAppId, newId } from "../../base/ids.ts";
import { silentLogger } from "../../base/logger.ts";
import type { NewNode } from "../store.ts";
import { Connection } from "./connection.ts";
import type { Context } from "./context.ts";
import { Hearts } from "./hearts.ts";
import { CONNECTIONS_MIN, Pool } from "./pool.ts";
import { completeOptions } from "./settings.ts";
import { takeDuty } from "./write/nodes.ts";

const HEARTBEAT_MS = 30;
const DEAD_AFTER_MS = 400;
const SENDER: NewNode = { name: "sender", version: "1", roles: ["api", "dispatch"] };
const DOOR: NewNode = { name: "door", version: "1", roles: ["api"] };

interface NodeRow {
  readonly beatAgoMs: number;
  readonly steadyForMs: number;
  readonly ended: string | null;
}

describe("the heartbeat of a node", () => {
  let database: TestDatabase;
  let observer: Connection;
  let pool: Pool;
  let context: Context;
  let hearts: Hearts;

  before(async () => {
    database = await openTestDatabase();
    observer = await connect();
  });
  after(async () => {
    await observer.close();
    await database.drop();
  });
  beforeEach(() => {
    const { url } = database;
    const { settings } = completeOptions({ url, heartbeatMs: HEARTBEAT_MS, deadAfterMs: DEAD_AFTER_MS });
    pool = new Pool({ url, connectionsMax: CONNECTIONS_MIN, patienceMs: 10_000 });
    context = {
      connections: pool,
      settings,
      logger: silentLogger,
      numbers: new Map(),
      claimedUntilMs: new Map(),
      doubtful: new Set<never>(),
      wake: () => {},
    };
    hearts = new Hearts(context, { url, heartbeatMs: HEARTBEAT_MS });
  });
  afterEach(async () => {
    await hearts.close();
    await pool.close();
    await observer.query({ text: "DELETE FROM posthorn.incarnations" });
  });

  const connect = (): Promise<Connection> =>
    Connection.open({ url: database.url, applicationName: "observer", statementMsMax: null });

  async function row(id: string): Promise<NodeRow> {
    const [found] = await observer.query<NodeRow>(
      {
        text: `SELECT now_ms - beat_at_ms AS "beatAgoMs", now_ms - steady_since_ms AS "steadyForMs", ended
          FROM posthorn.incarnations, posthorn.now_ms() AS now_ms WHERE id = $1`,
      },
      [id],
    );
    assert(found);
    return found;
  }

  async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await holds())) await observer.query({ text: "SELECT pg_sleep(0.005)" });
  }

  const heartSessions = async (): Promise<number> => {
    const text = `SELECT count(*) AS n FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'posthorn heartbeat'`;
    return (await observer.query<{ n: number }>({ text }))[0]?.n ?? 0;
  };

  test("it goes on while the main thread is blocked for longer than the node may be silent", async () => {
    const id = await hearts.enlist(SENDER);
    await until(async () => (await heartSessions()) === 1);
    const blockedAtMs = monotonicMs();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * DEAD_AFTER_MS);
    const beat = await hearts.beat(id);
    const { beatAgoMs, steadyForMs } = await row(id);
    assert(monotonicMs() - blockedAtMs >= 3 * DEAD_AFTER_MS);
    assert(beat.alive && beat.validUntilMs > monotonicMs());
    assert(beatAgoMs < DEAD_AFTER_MS / 2, String(beatAgoMs));
    // Since its first beat at the latest.
    assert(steadyForMs >= 2 * DEAD_AFTER_MS, String(steadyForMs));
  });

  test("what it promises ends before others give the node up", async () => {
    const id = await hearts.enlist(SENDER);
    await until(async () => (await heartSessions()) === 1);
    // Whatever is read, the database believes in the node for at least as long.
    for (let i = 0; i < 20; i++) {
      const { validUntilMs } = await hearts.beat(id);
      const readAtMs = monotonicMs();
      const { beatAgoMs } = await row(id);
      assert(validUntilMs - readAtMs < DEAD_AFTER_MS - beatAgoMs + (monotonicMs() - readAtMs));
    }
  });

  test("a node that was given up hears so, and its late beats do not bring it back", async () => {
    const id = await hearts.enlist(SENDER);
    const voided =
      "UPDATE posthorn.incarnations SET voided_at_ms = posthorn.now_ms(), ended = 'silent' WHERE id = $1";
    await observer.query({ text: voided }, [id]);
    await until(async () => !(await hearts.beat(id)).alive);
    assert.equal((await row(id)).ended, "silent");
    // Its thread ends.
    await until(async () => (await heartSessions()) === 0);
  });

  test("it counts the living nodes that dispatch, and those that take events", async () => {
    const ids = [
      await hearts.enlist(SENDER),
      await hearts.enlist(DOOR),
      await hearts.enlist(SENDER),
    ] as const;
    const [sender, door, other] = ids;
    const each = (id: IncarnationId, count: number) =>
      until(async () => (await hearts.beat(id)).dispatchers === count);
    for (const id of ids) await each(id, 2);
    const takers = [SENDER, DOOR, SENDER].filter(({ roles }) => roles.includes("api")).length;
    for (const id of ids) await until(async () => (await hearts.beat(id)).publishers === takers);
    await hearts.retire(other);
    for (const id of [sender, door]) await each(id, 1);
  });

  test("who comes counts at once, and so does who goes", { timeout: 10_000 }, async () => {
    const settings = { ...context.settings, deadAfterMs: 120_000 };
    const slow = new Hearts({ ...context, settings }, { url: database.url, heartbeatMs: 60_000 });
    const first = await slow.enlist(SENDER);
    const text = `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()
      AND application_name = 'posthorn heartbeat' AND state = 'idle' AND query LIKE '%beaten%'`;
    // Its thread has beaten, and rests for a minute.
    await until(async () => (await observer.query<{ n: number }>({ text }))[0]?.n === 1);
    const second = await slow.enlist(SENDER);
    assert.equal((await slow.beat(second)).dispatchers, 2);
    await until(async () => (await slow.beat(first)).dispatchers === 2);
    await slow.retire(second);
    await until(async () => (await slow.beat(first)).dispatchers === 1);
    await slow.close();
  });

  test("another node's store, and one that does not know the node, ask the database", async () => {
    const other = new Hearts(
      { ...context, numbers: new Map() },
      { url: database.url, heartbeatMs: HEARTBEAT_MS },
    );
    const id = await hearts.enlist(SENDER);
    const beat = await other.beat(id);
    assert(beat.alive && beat.validUntilMs > monotonicMs());
    await hearts.retire(id);
    assert.equal((await other.beat(id)).alive, false);
    assert.equal((await hearts.beat(id)).alive, false);
    assert.equal((await hearts.beat(newId("inc"))).alive, false);
  });

  test("sessions that are ended, and a database that restarts, are got over", async (t) => {
    const id = await hearts.enlist(SENDER);
    await until(async () => (await heartSessions()) === 1);
    await observer.query({
      text: "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    });
    const beaten = async () => (await row(id)).beatAgoMs < DEAD_AFTER_MS / 4;
    await until(async () => (await heartSessions()) === 1 && (await beaten()));
    const { server } = database;
    if (server === null) return t.skip("the server is not this process's own");
    await server.halt("immediate");
    // Away for so long that the node may not send any more.
    while ((await hearts.beat(id)).validUntilMs > monotonicMs()) await new Promise(setImmediate);
    assert.equal((await hearts.beat(id)).alive, true);
    const startedAtMs = monotonicMs();
    await server.start();
    observer = await connect();
    await until(async () => (await hearts.beat(id)).validUntilMs > monotonicMs());
    const { steadyForMs } = await row(id);
    assert(steadyForMs <= monotonicMs() - startedAtMs, "after a gap it is steady anew");
  });

  test("a test that moves the clock silences nobody", async () => {
    const id = await hearts.enlist(SENDER);
    pool.advance(3_600_000);
    await hearts.keepAlive();
    const [judged] = await pool.run<{ silentMs: number; steadyMs: number }>(
      "read",
      {
        text: `SELECT posthorn.now_ms() - beat_at_ms AS "silentMs", posthorn.now_ms() - steady_since_ms AS "steadyMs"
          FROM posthorn.incarnations WHERE id = $1`,
      },
      [id],
    );
    assert(judged && judged.silentMs < DEAD_AFTER_MS && judged.steadyMs >= 3_600_000, JSON.stringify(judged));
  });

  test("a node that retires gives up its lanes and duties, and beats no more", async () => {
    const [first, second] = [await hearts.enlist(SENDER), await hearts.enlist(SENDER)];
    const endpointId = await laneOf(context.numbers.get(first));
    assert(await takeDuty(context, "replay", first));
    await hearts.retire(first);
    await hearts.retire(first);
    assert.equal((await row(first)).ended, "retired");
    const [lane] = await observer.query(
      { text: "SELECT owner, epoch FROM posthorn.lanes WHERE endpoint_id = $1" },
      [endpointId],
    );
    assert.deepEqual(lane, { owner: null, epoch: 2 });
    await until(async () => (await heartSessions()) === 1);
    assert.equal(await takeDuty(context, "replay", first), false);
    assert(await takeDuty(context, "replay", second));
  });

  test("a duty is one node's for as long as it lives", async () => {
    const ids = [
      await hearts.enlist(SENDER),
      await hearts.enlist(SENDER),
      await hearts.enlist(SENDER),
    ] as const;
    const takers = await Promise.all(ids.map((id) => takeDuty(context, "publications", id)));
    assert.equal(takers.filter((mine) => mine).length, 1);
    const holder = ids[takers.indexOf(true)]!;
    const others = ids.filter((id) => id !== holder);
    assert(await takeDuty(context, "publications", holder));
    for (const other of others) assert.equal(await takeDuty(context, "publications", other), false);
    assert(await takeDuty(context, "replay", others[0]!), "another duty is another's");
    await observer.query(
      { text: "UPDATE posthorn.incarnations SET voided_at_ms = 1, ended = 'silent' WHERE id = $1" },
      [holder],
    );
    const again = await Promise.all(ids.map((id) => takeDuty(context, "publications", id)));
    assert.equal(again.filter((mine) => mine).length, 1);
    assert.equal(again[ids.indexOf(holder)], false, "who was given up takes nothing");
  });

  /** An endpoint whose lane this node owns. */
  async function laneOf(owner: number | undefined): Promise<string> {
    const appId = newAppId();
    const endpointId = newId("ep");
    await observer.query(
      {
        text: `INSERT INTO posthorn.apps (id, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms)
          VALUES ($1, 'Shop', '{}', 30, 1, 0, 0)`,
      },
      [appId],
    );
    await observer.query(
      {
        text: `INSERT INTO posthorn.endpoints (id, app_id, url, description, event_types, channels, in_flight_max, timeout_ms,
            retry_schedule, ordering, on_dead_letter, scheme, status, secrets, version, created_at_ms, updated_at_ms)
          VALUES ($1, $2, 'https://shop.example/', '', '[]', '[]', 1, 1, '[]', 'fifo', 'continue', 'standard', 'enabled', '[]', 1, 0, 0)`,
      },
      [endpointId, appId],
    );
    await observer.query(
      {
        text: "INSERT INTO posthorn.lanes (endpoint_id, app_id, runnable, exclusive, owner) VALUES ($1, $2, true, true, $3)",
      },
      [endpointId, appId, owner],
    );
    return endpointId;
  }
});

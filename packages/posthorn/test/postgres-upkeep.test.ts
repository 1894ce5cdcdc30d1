// What PostgreSQL's duties and changes of configuration do beyond the contract: nodes that judge one another, partitions that
// are dropped while others work, clocks that are set wrong.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { type EndpointId, newAppId, newId } from "../src/base/ids.ts";
import { silentLogger } from "../src/base/logger.ts";
import { NO_APP_LIMITS } from "../src/domain/limits.ts";
import { DAY, DELIVERED, HOUR, retryIn, SECOND, World } from "../src/store/conformance/world.conformance.ts";
import { CONNECTIONS_MIN, Pool } from "../src/store/postgres/pool.ts";
import { openPostgresStore } from "../src/store/postgres/postgres.ts";
import { completeOptions } from "../src/store/postgres/settings.ts";
import { prune } from "../src/store/postgres/write/prune.ts";
import type { NewNode, Store } from "../src/store/store.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

const PLAIN_APP = { metadata: {}, retentionDays: 30, limits: NO_APP_LIMITS, ownershipCheck: null };

const NODE: NewNode = { name: "other", version: "0", roles: ["dispatch"] };
const REMOVED = { kind: "removed_endpoints", reason: "endpoint_deleted" } as const;

let database: TestDatabase;
let world: World;
/** A session of somebody else's. */
let client: pg.Client;

async function openAll(): Promise<void> {
  database = await openTestDatabase();
  const open = (): Promise<Store> => openPostgresStore({ url: database.url });
  world = await World.open({ open, reopen: open, destroy: () => database.drop() });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
}

async function closeAll(): Promise<void> {
  await client.end();
  await world.store.close();
  await database.drop();
}

async function query<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
  return (await client.query(text, values)).rows as Row[];
}

async function laneOf(id: EndpointId) {
  const found = await world.store.read.find("endpoint", { id });
  assert(found);
  return found.lane;
}

const pruneAll = () => world.exhaust(() => world.store.write.prune(100));

describe("PostgreSQL: nodes judge one another", () => {
  before(openAll);
  after(closeAll);

  test("only a node that was heard of without a gap gives up a silent one, with its leases and lanes", async () => {
    const { app, endpoint } = await world.pair({ ordering: "fifo" });
    const other = await openPostgresStore({ url: database.url });
    const silent = await other.write.enlist(NODE);
    const delivery = world.newDelivery(app, endpoint, { orderKey: "", lease: silent });
    const acceptance = await world.acceptance(app, [delivery]);
    assert.deepEqual(await other.write.accept([acceptance]), [{ kind: "accepted", unleased: [] }]);
    assert.equal((await laneOf(endpoint)).owner, silent);
    const { epoch } = await laneOf(endpoint);
    await other.close();

    await world.store.advance(20 * SECOND);
    const stateOf = async () => (await world.store.read.find("node", { id: silent }))?.state;
    const voided = async () =>
      (await query("SELECT FROM posthorn.incarnations WHERE id = $1 AND voided_at_ms IS NOT NULL", [silent]))
        .length === 1;

    // Who has no node of its own, or one that was cut off itself until a moment ago, judges nobody.
    const stranger = await openPostgresStore({ url: database.url });
    await stranger.advance(20 * SECOND);
    assert.equal((await stranger.write.rescue(10)).done, 0);
    await stranger.close();
    await query("UPDATE posthorn.incarnations SET steady_since_ms = beat_at_ms WHERE id = $1", [world.node]);
    assert.equal((await world.store.write.rescue(10)).done, 0);
    assert.equal(await voided(), false);
    assert.equal((await world.delivery(delivery.id)).leased, true);

    await query("UPDATE posthorn.incarnations SET steady_since_ms = started_at_ms WHERE id = $1", [
      world.node,
    ]);
    assert.deepEqual(await world.store.write.rescue(10), { done: 1, more: false, exhausted: [] });
    assert.equal(await voided(), true);
    assert.equal(await stateOf(), "silent");
    const lane = await laneOf(endpoint);
    assert.deepEqual({ owner: lane.owner, epoch: lane.epoch }, { owner: null, epoch: epoch + 1 });
    assert.deepEqual(
      (await world.attempts(delivery.id)).map(({ outcome }) => outcome.kind),
      ["unknown"],
    );
    assert.equal((await world.claim(endpoint))[0]?.id, delivery.id);
  });

  test("an ended node is forgotten in its time, once nothing can be leased to it any more", async () => {
    const ended = world.node;
    await world.takeOver();
    const drained = async () =>
      (
        await query<{ drained: boolean }>("SELECT drained FROM posthorn.incarnations WHERE id = $1", [ended])
      )[0]?.drained;
    await world.exhaust(() => world.store.write.rescue(10));
    await world.store.write.rescue(10);
    assert.equal(await drained(), false);
    await world.store.advance(61 * SECOND);
    await world.store.write.rescue(10);
    assert.equal(await drained(), true);
    await pruneAll();
    assert.equal(await drained(), true);
    await world.store.advance(91 * DAY);
    await pruneAll();
    assert.equal(await drained(), undefined);
  });
});

describe("PostgreSQL: prune", () => {
  before(openAll);
  after(closeAll);

  /** An event of a week ago and more, delivered, on a day of its own. */
  async function oldEvent(next = DELIVERED) {
    await world.store.advance(DAY);
    const app = await world.app({ retentionDays: 7 });
    const endpoint = await world.endpoint(app);
    const sent = await world.send(app, endpoint, { expiresInMs: 40 * DAY });
    await world.settle(sent, next);
    const [partition] = await query<{ name: string }>(
      "SELECT tableoid::regclass::text AS name FROM posthorn.events WHERE id = $1",
      [sent.eventId],
    );
    assert(partition);
    await world.store.advance(8 * DAY);
    return { app, endpoint, sent, name: partition.name };
  }

  const isThere = async (name: string): Promise<boolean> =>
    (await query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [name]))[0]?.there ===
    true;

  test("an open transaction that read the partition keeps it, for now, and nobody waits for either", async () => {
    const { app, endpoint, name } = await oldEvent();
    const young = await world.publish(app, endpoint);
    await query("BEGIN");
    await query("SELECT count(*) FROM posthorn.events");

    // Begun, then not finished: each gives up soon.
    for (const _ of ["detach", "finalize"]) {
      const startedMs = performance.now();
      let running = true;
      const pruning = world.store.write.prune(100).finally(() => {
        running = false;
      });
      const writer = new pg.Client({ connectionString: database.url });
      await writer.connect();
      await writer.query("SET lock_timeout = '100ms'");
      do {
        // As an accept would, but that it would rather fail than wait.
        await writer.query("BEGIN");
        await writer.query(
          `INSERT INTO posthorn.events SELECT (jsonb_populate_record(e, '{"id": "evt_another"}')).*
          FROM posthorn.events e WHERE e.id = $1`,
          [young.eventId],
        );
        await writer.query("ROLLBACK");
      } while (running);
      await writer.end();
      assert.deepEqual(await pruning, { done: 0, events: 0, deliveries: 0, attempts: 0, more: false });
      assert(performance.now() - startedMs < 3000);
      assert.equal(await isThere(name), true);
      assert.equal((await query("SELECT FROM pg_inherits WHERE inhdetachpending")).length, 1);
    }
    assert.equal((await world.store.read.health()).prunedAgoMs, null, "something is left");

    await query("ROLLBACK");
    const results = await pruneAll();
    const total = (kind: "events" | "deliveries" | "attempts"): number =>
      results.reduce((sum, result) => sum + result[kind], 0);
    assert.deepEqual([total("events"), total("deliveries"), total("attempts")], [1, 1, 1]);
    assert.equal(await isThere(name), false);
    assert.notEqual((await world.store.read.health()).prunedAgoMs, null);
  });

  test("what was detached when the node died is dropped, or attached again where it is needed", async () => {
    const done = await oldEvent();
    const stuck = await oldEvent(retryIn(30 * DAY));
    for (const { name } of [done, stuck])
      await query(`ALTER TABLE posthorn.events_7 DETACH PARTITION ${name} CONCURRENTLY`);
    assert.equal(await world.store.read.find("event", { id: stuck.sent.eventId }), undefined);
    await pruneAll();
    assert.equal(await isThere(done.name), false);
    const event = await world.store.read.find("event", { id: stuck.sent.eventId });
    assert(event?.payload);
    await world.store.write.cancel({ kind: "delivery", id: stuck.sent.id, reason: "by_hand" }, 1);
    await pruneAll();
    assert.equal(await isThere(stuck.name), false);
  });

  test("nothing is deleted while the clocks are far apart", async () => {
    const { name } = await oldEvent();
    const hourAhead = new URL(database.url).pathname.slice(1);
    await query(`ALTER DATABASE ${hourAhead} SET posthorn.advance_ms = ${400 * DAY}`);
    const connections = new Pool({ url: database.url, connectionsMax: CONNECTIONS_MIN, patienceMs: 1000 });
    const { settings } = completeOptions({ url: database.url });
    const context = {
      connections,
      settings,
      logger: silentLogger,
      numbers: new Map(),
      claimedUntilMs: new Map(),
      doubtful: new Set<never>(),
      wake() {},
    };
    await assert.rejects(prune(context, 100), /clock says \d{4}-.*more than 10 minutes apart/);
    await connections.close();
    await query(`ALTER DATABASE ${hourAhead} RESET posthorn.advance_ms`);
    assert.equal(await isThere(name), true);
    await pruneAll();
    assert.equal(await isThere(name), false);
  });

  test("a removed endpoint is drained when nothing stored before can still be committed, and forgotten at last", async () => {
    const app = await world.app({ retentionDays: 7 });
    const endpoint = await world.endpoint(app);
    await world.publish(app, endpoint);
    await world.store.write.remove({ kind: "app", id: app.id });
    const row = async () =>
      (
        await query<{ drained: boolean }>("SELECT drained FROM posthorn.endpoints WHERE id = $1", [endpoint])
      )[0];
    const cancel = () => world.store.write.cancel(REMOVED, 10);
    assert.deepEqual(
      (await cancel()).ended.map(({ reason }) => reason),
      ["endpoint_deleted"],
    );
    assert.deepEqual(await row(), { drained: false });
    await world.store.advance(61 * SECOND);
    await cancel();
    assert.deepEqual(await row(), { drained: true });
    await world.store.advance(14 * DAY);
    await pruneAll();
    assert.deepEqual(await row(), { drained: true }, "its last deliveries may still be on record");
    await world.store.advance(2 * DAY);
    await pruneAll();
    assert.equal(await row(), undefined);
    assert.deepEqual(await query("SELECT FROM posthorn.lanes WHERE endpoint_id = $1", [endpoint]), []);
    assert.deepEqual(await query("SELECT FROM posthorn.apps WHERE id = $1", [app.id]), []);
  });

  test("idempotency keys and figures go in their time, in slices", async () => {
    const { app, endpoint } = await world.pair();
    for (const key of ["key:1", "key:2", "key:3"]) {
      const idempotency = [{ key, fingerprint: Buffer.from("f") }];
      await world.accept(await world.acceptance(app, [world.newDelivery(app, endpoint)], { idempotency }));
    }
    const count = async (): Promise<number> =>
      (await query("SELECT FROM posthorn.idempotency WHERE app_id = $1", [app.id])).length;
    await pruneAll();
    assert.equal(await count(), 3);
    await world.store.advance(25 * HOUR);
    assert.equal((await world.store.write.prune(2)).more, true);
    assert.equal(await count(), 1);
    await pruneAll();
    assert.equal(await count(), 0);
  });
});

describe("PostgreSQL: configuration", () => {
  before(openAll);
  after(closeAll);

  test("a lane changes hands when it becomes one for one node, and when it is shared again", async () => {
    const { app, endpoint } = await world.pair();
    let version = 0;
    const change = async (facts: Parameters<World["endpointOf"]>[1]) => {
      version += 1;
      const changed = world.endpointOf(app, { id: endpoint, version, ...facts });
      const saved = {
        kind: "endpoint",
        create: false,
        endpoint: changed,
        secrets: [],
        sealedHeaders: null,
        sealedCredentials: null,
      } as const;
      assert.deepEqual(await world.store.write.save(saved), { kind: "saved" });
      const { owner, epoch, exclusive } = await laneOf(endpoint);
      return { owner, epoch, exclusive };
    };
    assert.deepEqual(await change({ description: "shared" }), { owner: null, epoch: 1, exclusive: false });
    assert.deepEqual(await change({ rateLimitPerSecond: 5 }), { owner: null, epoch: 2, exclusive: true });
    await world.publish(app, endpoint);
    await world.claim(endpoint);
    const owned = { owner: world.node, epoch: 3, exclusive: true };
    assert.deepEqual(await change({ rateLimitPerSecond: 9 }), owned);
    assert.deepEqual(await change({}), { owner: null, epoch: 4, exclusive: false });

    // An open breaker is its owner's, whatever else changes; enabling the endpoint anew closes it.
    const [lane] = [await laneOf(endpoint)];
    const breaker = {
      incarnation: world.node,
      epoch: lane.epoch,
      endpointId: endpoint,
      state: "open",
      probeInMs: HOUR,
    };
    await world.store.write.settle([], [breaker as never]);
    const { epoch } = await change({ rateLimitPerSecond: 5 });
    assert.deepEqual(await change({}), { owner: null, epoch, exclusive: false });
    assert.equal((await laneOf(endpoint)).breaker, "open");
    await change({ status: "disabled", disableReason: "by_hand" });
    const anew = await change({});
    assert.equal((await laneOf(endpoint)).breaker, "closed");
    assert.equal(anew.epoch, epoch + 1);
  });

  test("of two that take the same uid at once, one gets it", async () => {
    const other = await openPostgresStore({ url: database.url });
    const take = (store: Store) => {
      const app = { ...PLAIN_APP, id: newAppId(), uid: "wanted", name: "x" };
      return store.write.save({ kind: "app", create: true, app });
    };
    const results = await Promise.all([world.store, other, world.store, other].map(take));
    await other.close();
    assert.deepEqual(results.map(({ kind }) => kind).sort(), [
      "saved",
      "uid_taken",
      "uid_taken",
      "uid_taken",
    ]);
  });

  test("every change of the catalogue bumps every app's configVersion, and a refused one does not", async () => {
    const { app } = await world.pair();
    const facts = { description: "", schema: null, example: null, group: null, deprecated: false };
    const save = (create: boolean) =>
      world.store.write.save({ kind: "event_type", create, eventType: { name: "order.paid", ...facts } });
    const versions = [await world.version(app)];
    for (const create of [true, false]) {
      assert.deepEqual(await save(create), { kind: "saved" });
      versions.push(await world.version(app));
    }
    assert.deepEqual(await save(true), { kind: "uid_taken" });
    assert.equal(await world.version(app), versions.at(-1));
    await world.store.write.remove({ kind: "event_type", name: "order.paid" });
    versions.push(await world.version(app));
    assert.equal(new Set(versions).size, 4);
  });

  test("a text that PostgreSQL cannot store is refused by what is wrong with it", async () => {
    const app = { ...PLAIN_APP, id: newAppId(), uid: null, name: "a\0b" };
    await assert.rejects(world.store.write.save({ kind: "app", create: true, app }), {
      code: "invalid_field",
      message: /NUL/,
    });
  });

  test("nothing is redelivered to an endpoint that was removed meanwhile", async () => {
    const { app, endpoint } = await world.pair();
    const sent = await world.publish(app, endpoint);
    const redelivery = {
      id: newId("dlv", app.locator),
      eventId: sent.eventId,
      endpointId: endpoint,
      trigger: "redeliver",
      class: 1,
      expiresInMs: DAY,
    } as const;
    // The lane is locked by a removal that has not been committed yet.
    await query("BEGIN");
    await query("UPDATE posthorn.lanes SET removed = true, runnable = false WHERE endpoint_id = $1", [
      endpoint,
    ]);
    const redelivering = world.store.write.redeliver([redelivery]);
    await query("COMMIT");
    assert.deepEqual(await redelivering, [{ kind: "no_endpoint" }]);
  });
});

// A single server's store, copied to PostgreSQL: everything is there, as it was, and the nodes there go on with it.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { type CopyOptions, copyStore, type Holding } from "../src/app/store-copy.ts";
import { type AppId, newAppId, newId } from "../src/base/ids.ts";
import { auditFault, type NewAuditEntry } from "../src/domain/audit.ts";
import { emptyFigures } from "../src/domain/figures.ts";
import { NO_APP_LIMITS, NO_KEY_LIMITS } from "../src/domain/limits.ts";
import { loadMasterKey, masterKeyMark } from "../src/security/master-key.ts";
import {
  DEAD,
  DELIVERED,
  fingerprint,
  HOUR,
  retryIn,
  type Sent,
  type TestApp,
  World,
} from "../src/store/conformance/world.conformance.ts";
import { openPostgresStore } from "../src/store/postgres/postgres.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite.ts";
import type { ListQuery, ResourceKind, Store } from "../src/store/store.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

interface Source {
  readonly dataDir: string;
  readonly world: World;
  close(): Promise<void>;
}

async function openSource(): Promise<Source> {
  const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-copy-"));
  const masterKeyMarks = [masterKeyMark(loadMasterKey({ file: path.join(dataDir, "master.key") }))];
  let store: Store;
  const open = async () => (store = await openSqliteStore({ dataDir, reserveBytes: 0, masterKeyMarks }));
  const world = await World.open({
    open,
    async reopen() {
      await store.close();
      return open();
    },
    destroy: async () => {},
  });
  await world.app({ uid: "operator", name: "Operational events" });
  return {
    dataDir,
    world,
    async close() {
      await store.close().catch(() => {});
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

const noServer = async (): Promise<Holding> => {
  throw new Error("there is no server");
};
const silent: CopyOptions["report"] = { note() {}, stage: () => ({ add() {}, end() {} }) };

function copy(source: Source, to: string, options: Partial<CopyOptions> = {}) {
  const { dataDir } = source;
  return copyStore({
    from: dataDir,
    to,
    masterKey: undefined,
    oldMasterKeys: undefined,
    holding: noServer,
    release: false,
    fullSpeed: true,
    report: silent,
    ...options,
  });
}

function openCopy(source: Source, url: string): Promise<Store> {
  const masterKey = loadMasterKey({ file: path.join(source.dataDir, "master.key") });
  return openPostgresStore({ url, masterKeyMarks: [masterKeyMark(masterKey)] });
}

async function all(store: Store, kind: ResourceKind, query: Partial<ListQuery> = {}) {
  const found: { id?: string }[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.read.list(kind, {
      limit: 100,
      ...query,
      ...(cursor === undefined ? {} : { cursor }),
    });
    found.push(...(page.data as readonly { id?: string }[]));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return found.sort((a, b) => ((a.id ?? "") < (b.id ?? "") ? -1 : 1));
}

async function auditOf(store: Store) {
  return (await store.read.list("audit", { limit: 100, oldestFirst: true })).data;
}

const auditEntry = (action: string, appId: AppId | null): NewAuditEntry => ({
  id: newId("aud"),
  actor: { kind: "operator" },
  action,
  target: { kind: "app", id: "shop" },
  appId,
  before: null,
  after: { name: 'a "quoted" \u2028 one' },
  address: null,
  requestId: null,
});

/** What the readers of a store see of it. */
async function seenOf(store: Store, apps: readonly TestApp[]) {
  const deliveries = await all(store, "delivery");
  return comparable({
    apps: await all(store, "app"),
    endpoints: await Promise.all(apps.map(({ id }) => all(store, "endpoint", { appId: id }))),
    keys: await all(store, "key"),
    publicKeys: await store.read.publicKeys({ limit: 100 }),
    audit: await auditOf(store),
    eventTypes: await all(store, "event_type"),
    events: await Promise.all(
      (await all(store, "event")).map(async ({ id = "" }) => store.read.find("event", { id })),
    ),
    deliveries,
    attempts: await Promise.all(
      deliveries.map(
        async ({ id }) => (await store.read.list("attempt", { deliveryId: id as `dlv_`, limit: 100 })).data,
      ),
    ),
    configs: await Promise.all(apps.map(({ id }) => store.read.config(id))),
    stats: await Promise.all(
      apps.map(({ id }) => store.read.stats({ appId: id, sinceMs: 0, untilMs: Date.now() + HOUR })),
    ),
  });
}

/** Bytes as text, whatever holds them. Of a lane, what only the shared store knows is left out, and what changes by itself. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== "object") return value;
  const left = Object.entries(value).filter(([name]) => !/^exclusive$|ForMs$|AgeMs$/.test(name));
  return Object.fromEntries(left.map(([name, each]) => [name, comparable(each)]));
}

/** One of everything. */
async function fill({ world }: Source) {
  const { store } = world;
  const limits = { ...NO_APP_LIMITS, endpoints: 9 };
  const shop = await world.app({ uid: "shop", limits, ownershipCheck: "challenge" });
  const brief = await world.app({ uid: "brief", retentionDays: 7 });
  await store.write.save({
    kind: "event_type",
    create: true,
    eventType: {
      name: "order.created",
      description: 'An order, "quoted" \\ and {braced}',
      schema: { type: "object" },
      example: { n: 1.5 },
      group: null,
      deprecated: false,
    },
  });
  const key = await world.key({ role: "app", appId: shop.id, limits: { ...NO_KEY_LIMITS, eventsPerDay: 5 } });
  const session = newId("ses");
  await store.write.save({
    kind: "session",
    session: { id: session, keyId: key.id },
    hash: fingerprint(session),
    expiresInMs: HOUR,
  });
  await store.write.use([{ scope: shop.id, events: 3 }]);
  // Also of an app that is gone altogether.
  for (const appId of [shop.id, null, newAppId()])
    await store.write.save({ kind: "audit" }, auditEntry("key.create", appId));
  const plain = await world.endpoint(shop, { uid: "plain", filter: "data.n > 0.0", rateLimitPerSecond: 2.5 });
  const fifo = await world.endpoint(shop, { ordering: "fifo", onDeadLetter: "block" });
  const keyed = await world.endpoint(shop, { ordering: "keyed", channels: ["a", "b"] });
  const other = await world.endpoint(brief);
  const gone = await world.endpoint(shop, { uid: "gone" });
  await store.write.save({
    ...world.endpointChange(
      world.endpointOf(shop, {
        scheme: "standard-ed25519",
        status: "unverified",
        authentication: { kind: "basic", username: "shop" },
      }),
    ),
    create: true,
    secrets: [{ sealed: Buffer.from("key"), expiresAtMs: null, publicKey: Buffer.alloc(32, 7) }],
    sealedCredentials: Buffer.from("credentials"),
  });

  const delivered = await world.send(shop, plain);
  await world.settle(delivered, DELIVERED);
  const later = await world.send(shop, plain);
  await world.settle(later, retryIn(HOUR));
  const dead = await world.send(brief, other);
  await world.settle(dead, retryIn(0));
  await world.claim(other);
  await world.settle(dead, DEAD, { number: 2 });
  const again = await world.redeliver(dead);

  const expunged = await world.send(shop, plain);
  await world.settle(expunged, DELIVERED);
  await store.write.remove({ kind: "payload", eventId: expunged.eventId });

  const head = await world.send(shop, fifo, { orderKey: "" });
  const waiting: Sent[] = [];
  for (let n = 0; n < 3; n++) waiting.push(await world.publish(shop, fifo, { orderKey: "" }));
  await world.settle(head, DEAD);
  const ofKey: Sent[] = [];
  for (let n = 0; n < 3; n++) ofKey.push(await world.publish(shop, keyed, { orderKey: "k" }));

  const cancelled = await world.publish(shop, gone);
  await store.write.remove({ kind: "endpoint", id: gone });
  await store.write.cancel({ kind: "removed_endpoints", reason: "endpoint_deleted" }, 100);

  const wide = await world.acceptance(shop, [world.newDelivery(shop, plain)], {
    fanOut: [plain, fifo],
    idempotency: [{ key: "uid:order-1", fingerprint: fingerprint("order-1") }],
    source: { sourceId: "src", position: Buffer.from([0, 1, 255]) },
    event: { uid: "order-1", channels: ["a"], orderingKey: "k", hops: 3 },
  });
  await world.accept(wide);

  const replay = newId("rpl", shop.locator);
  await store.write.save({
    kind: "replay",
    replay: {
      id: replay,
      appId: shop.id,
      endpointId: plain,
      sinceMs: 0,
      untilMs: Date.now() + HOUR,
      states: [],
      eventTypes: [],
    },
  });
  const page = await store.read.list("event", { appId: shop.id, limit: 2, oldestFirst: true });
  const step = {
    replayId: replay,
    fromCursor: null,
    cursor: page.nextCursor,
    examined: 2,
    redeliveries: [],
    finished: false,
  };
  assert.equal(await store.write.advanceReplay(step), true);
  await store.write.record(world.node, [
    {
      endpointId: plain,
      appId: shop.id,
      filterError: "no such field: n",
      ...emptyFigures(),
      created: 3,
      filterErrors: 1,
    },
  ]);
  return { shop, brief, plain, fifo, keyed, again, waiting, ofKey, later, cancelled, wide, replay, session };
}

describe("a store that no server has open", () => {
  let source: Source;
  let database: TestDatabase;
  let filled: Awaited<ReturnType<typeof fill>>;
  let held: Sent;
  before(async () => {
    source = await openSource();
    database = await openTestDatabase({ empty: true });
    filled = await fill(source);
    // The server died with this one under way.
    held = await source.world.send(filled.brief, (await source.world.pair()).endpoint).catch(async () => {
      const endpoint = await source.world.endpoint(filled.brief);
      return source.world.send(filled.brief, endpoint);
    });
  });
  after(async () => {
    await source.close();
    await database.drop();
  });

  test("is there as it was, and goes on in its order", async () => {
    const apps = [filled.shop, filled.brief];
    const seen = await seenOf(source.world.store, apps);
    const reader = (await source.world.store.read.find("replay", { id: filled.replay })) ?? assert.fail();
    const next = await source.world.store.read.list("event", {
      appId: filled.shop.id,
      limit: 100,
      oldestFirst: true,
      ...(reader.cursor === null ? {} : { cursor: reader.cursor }),
    });
    await source.world.store.close();

    const result = await copy(source, database.url);
    assert.deepEqual(
      result.tables.filter(({ differing }) => differing.length > 0),
      [],
    );
    assert.equal(result.equal, true);
    const count = (table: string) => result.tables.find((each) => each.table === table)?.source;
    for (const table of [
      "apps",
      "endpoints",
      "lane_blocks",
      "replays",
      "fan_outs",
      "figures",
      "idempotency",
      "audit_log",
    ])
      assert.ok((count(table) ?? 0) > 0, table);
    assert.equal(count("expunged payloads"), 1);

    const store = await openCopy(source, database.url);
    const world = new World(
      { ...source.world.harness },
      store,
      await store.write.enlist({ name: "node", version: "0", roles: ["dispatch"] }),
    );
    try {
      assert.deepEqual(await seenOf(store, apps), seen);
      // The chain goes on where it was; browsers sign in anew, and the day's quotas begin anew.
      await store.write.save({ kind: "audit" }, auditEntry("app.update", null));
      const entries = await auditOf(store);
      assert.equal(entries.length, 4);
      for (const [index, entry] of entries.entries())
        assert.equal(auditFault(entries[index - 1] ?? null, entry), null);
      assert.equal(await store.read.find("session", { id: filled.session }), undefined);
      assert.deepEqual((await store.read.usage([filled.shop.id])).usages, []);

      const replay = await store.read.find("replay", { id: filled.replay });
      const rest = await store.read.list("event", {
        appId: filled.shop.id,
        limit: 100,
        oldestFirst: true,
        ...(replay?.cursor == null ? {} : { cursor: replay.cursor }),
      });
      assert.ok(next.data.length > 3);
      assert.deepEqual(
        rest.data.map(({ id }) => id),
        next.data.map(({ id }) => id),
      );

      const twice = await world.accept({
        ...filled.wide,
        event: { ...filled.wide.event, id: newId("evt", filled.shop.locator) },
      });
      assert.deepEqual(twice, {
        kind: "duplicate",
        eventId: filled.wide.event.id,
        deliveries: 3,
        fanOut: "pending",
      });

      const rescued = await store.write.rescue(100);
      assert.equal(rescued.done, 1);
      assert.deepEqual(
        (await world.attempts(held.id)).map(({ outcome }) => outcome.kind),
        ["unknown"],
      );

      assert.deepEqual(await world.claim(filled.fifo), []);
      await store.write.save({ kind: "unblock", endpointId: filled.fifo });
      for (const [endpoint, expected] of [
        [filled.fifo, filled.waiting],
        [filled.keyed, filled.ofKey],
      ] as const) {
        for (const sent of expected) {
          assert.deepEqual(
            (await world.claim(endpoint)).map(({ id }) => id),
            [sent.id],
          );
          assert.equal((await world.settle(sent, DELIVERED)).kind, "settled");
        }
      }
      // A new one takes a place after all that came before.
      const last = await world.send(filled.shop, filled.fifo, { orderKey: "" });
      assert.equal((await world.settle(last, DELIVERED)).kind, "settled");

      const fannedOut = await store.write.extendFanOut(100);
      assert.deepEqual(fannedOut, { done: 2, more: false });
    } finally {
      await store.close();
    }
    await assert.rejects(copy(source, database.url), /Nodes have worked on the copy/);
  });
});

describe("a store that a server goes on writing to", () => {
  let source: Source;
  let database: TestDatabase;
  before(async () => {
    source = await openSource();
    database = await openTestDatabase({ empty: true });
  });
  after(async () => {
    await source.close();
    await database.drop();
  });

  test("is copied behind its back, broken off and gone on with, and the last of it when it is held", async () => {
    const { world } = source;
    const filled = await fill(source);
    const { app, endpoint } = await world.pair();
    const open: Sent[] = [];
    let published = 0;
    const write = async (): Promise<void> => {
      const sent = await world.send(app, endpoint);
      published += 1;
      open.push(sent);
      const oldest = open.length > 5 ? open.shift() : undefined;
      if (oldest !== undefined) await world.settle(oldest, published % 7 === 0 ? retryIn(HOUR) : DELIVERED);
    };
    for (let n = 0; n < 30; n++) await write();

    let going = true;
    const writing = (async () => {
      while (going) await write();
    })();
    let takes = 0;
    const holding: Holding = {
      async take() {
        going = false;
        await writing;
        if (takes++ === 0) {
          // What was under way ends, and what waits in memory goes back.
          for (const sent of open) await world.settle(sent, { kind: "release" });
          const late = filled.again;
          assert.equal((await world.claim(late.endpointId)).length, 1);
          await world.settle(late, DELIVERED);
        }
        return { since: "then" };
      },
      release: async () => assert.fail("it stays held"),
    };

    const stages: string[] = [];
    const breaking: CopyOptions["report"] = {
      note() {},
      stage: (what) => ({
        add() {
          stages.push(what);
          if (what === "history") throw new Error("pulled the plug");
        },
        end() {},
      }),
    };
    await assert.rejects(
      copy(source, database.url, { holding: async () => holding, report: breaking }),
      /pulled the plug/,
    );
    assert.equal(takes, 0);
    await world.store.write.remove({ kind: "payload", eventId: filled.later.eventId });
    const publishedBefore = published;
    while (published < publishedBefore + 20) await new Promise(setImmediate);

    const notes: string[] = [];
    const report = { ...silent, note: (line: string) => void notes.push(line) };
    const result = await copy(source, database.url, { holding: async () => holding, report });
    assert.deepEqual(
      result.tables.filter(({ differing }) => differing.length > 0),
      [],
    );
    assert.ok(result.held && result.heldMs !== null && takes >= 2);
    assert.match(notes[0] ?? "", /goes on/);
    assert.equal(result.tables.find(({ table }) => table === "expunged payloads")?.target, 2);

    const apps = [filled.shop, filled.brief, app];
    const seen = await seenOf(world.store, apps);
    const copied = await openCopy(source, database.url);
    try {
      assert.deepEqual(await seenOf(copied, apps), seen);
    } finally {
      await copied.close();
    }
  });

  test("what the copy lacks is found, and mended by copying again; what was changed in it is found", async () => {
    const database = await openTestDatabase({ empty: true });
    const holding = async (): Promise<Holding> => ({
      take: async () => ({ since: "then" }),
      release: async () => {},
    });
    const client = new pg.Client({ connectionString: database.url });
    const differing = async (): Promise<string[]> => {
      const { tables } = await copy(source, database.url, { holding });
      return tables.filter((each) => each.differing.length > 0).map(({ table }) => table);
    };
    try {
      assert.deepEqual(await differing(), []);
      await client.connect();
      await client.query(
        "DELETE FROM posthorn.events WHERE id = (SELECT max(id) FROM posthorn.events WHERE expunged_at_ms IS NULL)",
      );
      assert.deepEqual(await differing(), ["events"]);
      assert.deepEqual(await differing(), []);
      await client.query(
        "UPDATE posthorn.attempts SET url = url || '?' WHERE id = (SELECT min(id) FROM posthorn.attempts)",
      );
      assert.deepEqual(await differing(), ["attempts"]);
    } finally {
      await client.end();
      await database.drop();
    }
  });

  test("a hold that was interrupted is no hold, and the server is given back", async () => {
    const database = await openTestDatabase({ empty: true });
    let takes = 0;
    let released = 0;
    const holding = async (): Promise<Holding> => ({
      take: async () => ({ since: String(takes++) }),
      release: async () => void released++,
    });
    try {
      await assert.rejects(copy(source, database.url, { holding }), /The hold was interrupted/);
      assert.equal(released, 1);
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      const { rows } = await client.query("SELECT finished_at_ms FROM posthorn.copies");
      await client.end();
      assert.deepEqual(rows, [{ finished_at_ms: null }]);
    } finally {
      await database.drop();
    }
  });

  test("a server that may be held although its answer was lost is given back", async () => {
    const database = await openTestDatabase({ empty: true });
    let released = 0;
    const holding = async (): Promise<Holding> => ({
      take: () => Promise.reject(new Error("no answer within 120 s")),
      release: async () => void released++,
    });
    try {
      await assert.rejects(copy(source, database.url, { holding }), /no answer/);
      assert.equal(released, 1);
    } finally {
      await database.drop();
    }
  });

  test("what cannot be copied from or to is said in one line, and nothing is written", async () => {
    const holding = async (): Promise<Holding> => ({
      take: async () => ({ since: "then" }),
      release: async () => {},
    });
    const nowhere = { ...source, dataDir: path.join(source.dataDir, "nothing") };
    await assert.rejects(copy(nowhere, database.url), /is not a directory/);
    await assert.rejects(copy({ ...source, dataDir: tmpdir() }, database.url), /has no posthorn\.db/);
    const masterKey = Buffer.alloc(32, 1).toString("base64");
    const file = path.join(source.dataDir, "master.key");
    await assert.rejects(copy(source, database.url, { holding, masterKey }), ({ message }: Error) => {
      assert.match(
        message,
        /sealed under another master key .* The key came from POSTHORN_MASTER_KEY\. Put /,
      );
      assert.ok(message.includes(source.dataDir) && message.includes(`into ${file}`), message);
      assert.ok(!message.includes(masterKey));
      return true;
    });
    const wrong = new URL(database.url);
    wrong.password = "wrong-secret";
    // In the middle of a rotation it is one of the former keys.
    const keys = { masterKey, oldMasterKeys: readFileSync(file, "utf8") };
    const error = await copy(source, wrong.href, { holding, ...keys }).catch((reason: Error) => reason);
    assert.ok(error instanceof Error);
    assert.match(error.message, /refused the password/);
    assert.doesNotMatch(error.message, /wrong-secret/);

    const another = await openSource();
    try {
      await another.world.store.close();
      await assert.rejects(copy(another, database.url), /has a copy of another store/);
      const used = await openTestDatabase();
      try {
        const store = await openPostgresStore({ url: used.url });
        await store.write.enlist({ name: "node", version: "0", roles: ["api"] });
        await store.close();
        await assert.rejects(copy(another, used.url), /is in use by a Posthorn of its own/);
      } finally {
        await used.drop();
      }
    } finally {
      await another.close();
    }
  });
});

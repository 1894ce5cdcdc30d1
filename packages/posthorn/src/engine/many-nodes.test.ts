// Two and more engines on one PostgreSQL: what one does holds at once for the others.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import pg from "pg";
import { openTestDatabase, type TestDatabase } from "../../test/postgres-database.ts";
import { PosthornError } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { auditFault } from "../domain/audit.ts";
import { createVault } from "../security/vault.ts";
import { openPostgresStore } from "../store/postgres/postgres.ts";
import type { Store, Wake } from "../store/store.ts";
import type { Shipment } from "../transports/transport.ts";
import { createEngine } from "./create.ts";
import type { Engine, PublishOutcome } from "./engine.ts";
import { rejected, ScriptedTransport, SUCCEEDED } from "./engine-harness.ts";
import type { EngineOptions } from "./options.ts";

interface Node {
  readonly engine: Engine;
  readonly store: Store;
  /** As if another node had sent it. */
  hear(wake: Wake): void;
  /** Messages of warnings and errors. */
  readonly logged: readonly string[];
  stop(): Promise<void>;
}

describe("many nodes on one store", { timeout: 120_000 }, () => {
  let database: TestDatabase;
  let transport: ScriptedTransport;
  let nodes: Node[];
  const masterKey = randomBytes(32);

  // One server for all: it ends with the last database.
  let keeper: TestDatabase;
  before(async () => {
    keeper = await openTestDatabase();
  });
  after(() => keeper.drop());
  beforeEach(async () => {
    database = await openTestDatabase();
    transport = new ScriptedTransport();
    nodes = [];
  });
  afterEach(async () => {
    for (const node of nodes) await node.stop();
    await database.drop();
  });

  interface Circumstances {
    readonly patienceMs?: number;
    /** Whatever others tell it gets lost. */
    readonly deaf?: boolean;
  }

  async function start(
    overrides: Partial<EngineOptions> = {},
    { patienceMs = 500, deaf = false }: Circumstances = {},
  ): Promise<Node> {
    const opened = await openPostgresStore({
      url: database.url,
      heartbeatMs: 100,
      deadAfterMs: 2000,
      patienceMs,
    });
    let hear = (_: Wake): void => {};
    const store: Store = {
      ...opened,
      watch(listener) {
        hear = listener;
        return deaf ? () => {} : opened.watch(listener);
      },
    };
    const logged: string[] = [];
    const note = (_: object, message: string): void => void logged.push(message);
    const engine = createEngine(
      {
        store,
        transports: { webhook: transport },
        vault: createVault(masterKey),
        logger: { ...silentLogger, warn: note, error: note },
        nodeName: `node ${nodes.length + 1}`,
        version: "0.0.0",
      },
      { overloadDelayMs: 0, leasesEveryMs: 100, ...overrides },
    );
    await engine.start();
    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await engine.stop();
      await store.close();
    };
    const node = {
      engine,
      store,
      logged,
      hear: (wake: Wake) => hear(wake),
      stop: () => (stopping ??= stop()),
    };
    nodes.push(node);
    return node;
  }

  async function publish(
    { engine }: Node,
    app: string,
    data: unknown,
  ): Promise<Extract<PublishOutcome, { kind: "accepted" }>> {
    const bytes = Buffer.from(JSON.stringify(data));
    const [outcome] = await engine.publish([
      { envelope: { app, type: "order.created" }, data: bytes, raw: bytes, idempotencyKey: null },
    ]);
    if (outcome?.kind !== "accepted") throw outcome?.error ?? new Error("no outcome");
    return outcome;
  }

  /** Once that many attempts are through, and nothing is left to be delivered. */
  async function drained(node: Node, endpoint: string): Promise<void> {
    for (;;) {
      const { data } = await node.engine.deliveries.list({ endpoint, state: "pending", limit: 1 });
      if (data.length === 0) return;
    }
  }

  async function sql(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(text);
    await client.end();
  }

  const dataOf = (shipment: Shipment) => JSON.parse(Buffer.from(shipment.body).toString()).data;
  const ENDPOINT = { url: "https://receiver.example/hook", retrySchedule: [0.05, 0.05, 0.05, 0.05] };

  test("an endpoint made through one gets the event published through the other at once", async () => {
    const [one, other] = [await start(), await start()];
    const app = (await one.engine.apps.create({ uid: "shop", name: "shop" })).id;
    assert.equal((await publish(other, "shop", 0)).deliveries, 0);
    const endpoint = await one.engine.endpoints.create(app, ENDPOINT);
    assert.equal((await publish(other, "shop", 1)).deliveries, 1);
    await transport.shipped(1);
    await one.engine.endpoints.remove(app, endpoint.id);
    assert.equal((await publish(other, "shop", 2)).deliveries, 0);
  });

  test("a key that one revokes is dead on the other with the answer", async () => {
    const [one, other] = [await start(), await start()];
    const { key, secret } = await one.engine.keys.create({ name: "billing", role: "admin" });
    assert.equal((await other.engine.keys.authenticate(secret))?.id, key.id);
    await one.engine.keys.remove(key.id);
    assert.equal(await other.engine.keys.authenticate(secret), undefined);
    assert.equal(await one.engine.keys.authenticate(secret), undefined);
  });

  test("a session is one on each, and over on all with the answer: signed out, or its key revoked", async () => {
    const [one, other] = [await start({}, { deaf: true }), await start({}, { deaf: true })];
    const { key, secret } = await one.engine.keys.create({ name: "console", role: "admin" });
    const [first, second] = [await one.engine.sessions.open(secret), await one.engine.sessions.open(secret)];
    for (const { session, token, csrfToken } of [first, second]) {
      assert.equal((await other.engine.sessions.authenticate(token))?.session.id, session.id);
      assert.ok(other.engine.sessions.checkCsrfToken(session, csrfToken));
    }
    await one.engine.sessions.close(first.session.id);
    for (const { engine } of nodes) assert.equal(await engine.sessions.authenticate(first.token), undefined);
    assert.ok(await other.engine.sessions.authenticate(second.token));
    await other.engine.keys.remove(key.id);
    for (const { engine } of nodes) assert.equal(await engine.sessions.authenticate(second.token), undefined);
    const { data } = await one.engine.audit.list({ oldestFirst: true });
    let previous: (typeof data)[number] | null = null;
    for (const entry of data) {
      assert.equal(auditFault(previous, entry), null);
      previous = entry;
    }
    const actions = data.map(({ action }) => action).filter((action) => action.startsWith("session."));
    assert.deepEqual(actions, ["session.create", "session.create", "session.remove"]);
  });

  test("nodes that start at once on an empty database have one operator's app and one admin key", async () => {
    const started = await Promise.all([start(), start(), start()]);
    const ids = await Promise.all(
      started.map(({ engine }) => engine.keys.ensureAdmin("phk_the_admin_key_of_all_nodes")),
    );
    assert.equal(new Set(ids).size, 1);
    const { data } = await started[0]!.engine.apps.list();
    assert.deepEqual(
      data.map(({ uid }) => uid),
      ["operator"],
    );
  });

  test("a fifo endpoint that is fed through both gets its events in the order of their acceptance", async () => {
    const [one, other] = [await start(), await start()];
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const endpoint = await one.engine.endpoints.create(app, { ...ENDPOINT, ordering: "fifo" });
    transport.answer = (_, nth) => (nth % 7 === 0 ? rejected(500) : SUCCEEDED);
    const COUNT = 60;
    for (let n = 0; n < COUNT; n++) await publish(n % 2 === 0 ? one : other, app, n);
    await drained(one, endpoint.id);
    const order = transport.shipments.map(dataOf).filter((n, at, all) => n !== all[at - 1]);
    assert.deepEqual(
      order,
      Array.from({ length: COUNT }, (_, n) => n),
    );
    const owners = (await one.engine.nodes.list()).data.map(({ ownedLanes }) => ownedLanes);
    assert.deepEqual(owners.sort(), [0, 1]);
  });

  test("a rate limit of 50/s is 50/s, whichever node the events come through", async () => {
    const [one, other] = [await start(), await start()];
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    await one.engine.endpoints.create(app, { ...ENDPOINT, rateLimitPerSecond: 50 });
    await Promise.all(Array.from({ length: 300 }, (_, n) => publish(n % 2 === 0 ? one : other, app, n)));
    await transport.shipped(10);
    const [fromMs, from] = [performance.now(), transport.shipments.length];
    await transport.shipped(from + 100);
    const perSecond = 100_000 / (performance.now() - fromMs);
    assert.ok(perSecond > 35 && perSecond < 53, `${perSecond} a second`);
  });

  test("an event for an endpoint that all share may be sent by any of them, each with its part of the cap", async () => {
    const [one, other] = [await start(), await start()];
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const endpoint = await one.engine.endpoints.create(app, { ...ENDPOINT, inFlightMax: 16 });
    let under = 0;
    let most = 0;
    let full = Promise.withResolvers<void>();
    // Nobody is answered before the cap is used up, which takes both: each may use half of it.
    transport.answer = async () => {
      under += 1;
      most = Math.max(most, under);
      if (under >= 16) full.resolve();
      await full.promise;
      under -= 1;
      return SUCCEEDED;
    };
    // Each learns with a heartbeat that there are two: until then it takes the whole cap for itself.
    for (let round = 0; round === 0 || most > 16; round++) {
      most = 0;
      full = Promise.withResolvers<void>();
      await Promise.all(Array.from({ length: 100 }, (_, n) => publish(n % 2 === 0 ? one : other, app, n)));
      await drained(one, endpoint.id);
    }
    assert.equal(most, 16);
    for (const { engine } of [one, other]) assert.ok((engine.counters().attempts.succeeded ?? 0) > 0);
  });

  test("a breaker that opens on one is open on the other; what comes then is held for the probe", async () => {
    const [one, other] = [
      await start({ breakerProbeEveryMs: 300 }),
      await start({ breakerProbeEveryMs: 300 }),
    ];
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const retrySchedule = new Array(40).fill(0.05);
    const endpoint = await one.engine.endpoints.create(app, { ...ENDPOINT, retrySchedule });
    let well = false;
    transport.answer = () => (well ? SUCCEEDED : rejected(500));
    for (let n = 0; n < 15; n++) await publish(one, app, n);
    while ((await other.engine.endpoints.get(app, endpoint.id)).breaker !== "open")
      await transport.shipped(1);
    const spent = transport.shipments.length;
    for (let n = 15; n < 45; n++) await publish(other, app, n);
    await transport.shipped(spent + 2);
    // In 600 ms at most 3 probes, where 30 deliveries with a retry each 50 ms would have been hundreds of attempts.
    assert.ok(transport.shipments.length < spent + 45, `${transport.shipments.length - spent} attempts`);
    well = true;
    await drained(one, endpoint.id);
    assert.equal((await one.engine.endpoints.get(app, endpoint.id)).breaker, "closed");
    const delivered = await one.engine.deliveries.list({
      endpoint: endpoint.id,
      state: "delivered",
      limit: 250,
    });
    assert.equal(delivered.data.length, 45);
  });

  test("a node that stops hands everything over: nothing is lost, nothing is sent twice", async () => {
    const [one, other] = [await start(), await start()];
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const shared = await one.engine.endpoints.create(app, {
      ...ENDPOINT,
      url: "https://shared.example/",
      inFlightMax: 4,
    });
    const fifo = await one.engine.endpoints.create(app, {
      ...ENDPOINT,
      url: "https://fifo.example/",
      ordering: "fifo",
    });
    transport.answer = async () => {
      await new Promise((resolve) => setTimeout(resolve, 3));
      return SUCCEEDED;
    };
    const outcomes = await Promise.all(Array.from({ length: 120 }, (_, n) => publish(one, app, n)));
    await transport.shipped(20);
    await one.stop();
    const before = transport.shipments.length;
    for (const endpoint of [shared, fifo]) await drained(other, endpoint.id);
    assert.ok(before < 240, "there was something to hand over");
    assert.equal(transport.shipments.length, 240);
    for (const url of ["https://shared.example/", "https://fifo.example/"]) {
      const ids = transport.shipments
        .filter((each) => each.url === url)
        .map(({ headers }) => headers["webhook-id"]);
      assert.deepEqual([...ids].sort(), outcomes.map(({ id }) => id).sort());
    }
    const states = (await other.engine.nodes.list()).data.map(({ name, state }) => [name, state]);
    assert.deepEqual(states, [
      ["node 2", "alive"],
      ["node 1", "retired"],
    ]);
  });

  test("a node that was given up joins again: what it held is sent by whoever has it then, and it goes on", async () => {
    const one = await start();
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const endpoint = await one.engine.endpoints.create(app, { ...ENDPOINT, inFlightMax: 2 });
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    transport.answer = () => held.then(() => SUCCEEDED);
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map((n) => publish(one, app, n)));
    await transport.shipped(2);
    await sql("UPDATE posthorn.incarnations SET voided_at_ms = posthorn.now_ms(), ended = 'silent'");
    while (!one.logged.includes("node.voided")) await one.engine.health();
    transport.answer = () => SUCCEEDED;
    release();
    await drained(one, endpoint.id);
    assert.deepEqual(
      one.logged.filter((message) => message.startsWith("node.")),
      ["node.voided", "node.rejoined"],
    );
    for (const { id } of outcomes) {
      const [delivery] = (await one.engine.deliveries.list({ event: id })).data;
      assert.equal(delivery?.state, "delivered");
    }
    await publish(one, app, 6);
    await drained(one, endpoint.id);
    assert.deepEqual((await one.engine.health()).problems, []);
  });

  test("what is leased to a node that does not hold it, is given back and sent", async () => {
    const one = await start();
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const endpoint = await one.engine.endpoints.create(app, ENDPOINT);
    const accept = one.store.write.accept.bind(one.store.write);
    one.store.write.accept = async (acceptances) => {
      one.store.write.accept = accept;
      await accept(acceptances);
      throw new Error("the connection broke before the answer came");
    };
    await assert.rejects(publish(one, app, 1));
    await drained(one, endpoint.id);
    assert.equal(transport.shipments.length, 1);
    assert.ok(one.logged.includes("leases.unheld"));
  });

  test("a node without the role sends nothing; one with it does", async () => {
    const door = await start({ roles: ["api"] });
    const app = (await door.engine.apps.create({ name: "shop" })).id;
    const endpoint = await door.engine.endpoints.create(app, ENDPOINT);
    await publish(door, app, 1);
    const { data } = await door.engine.deliveries.list({ endpoint: endpoint.id });
    assert.deepEqual(
      data.map(({ state, leased }) => [state, leased]),
      [["pending", false]],
    );
    await start({ roles: ["dispatch"] });
    await transport.shipped(1);
    await publish(door, app, 2);
    await transport.shipped(2);
  });

  test("a replay that is started through one runs though the other has the duty", async () => {
    const [one, other] = [await start(), await start()];
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    for (let n = 0; n < 3; n++) await publish(one, app, n);
    for (const node of [one, other]) {
      const endpoint = await node.engine.endpoints.create(app, ENDPOINT);
      const shipped = transport.shipments.length;
      await node.engine.endpoints.replay(app, endpoint.id, { since: "2026-01-01T00:00:00Z" });
      await transport.shipped(shipped + 3);
    }
  });

  for (const { how, circumstances } of [
    { how: "at once", circumstances: {} },
    { how: "within two looks at the leases when the word of it is lost", circumstances: { deaf: true } },
  ]) {
    test(`what one cancels or expunges the other does not send, though it waits in its memory: ${how}`, async () => {
      const one = await start({ leasesEveryMs: circumstances.deaf ? 100 : 60_000 }, circumstances);
      const other = await start({ roles: ["api"] });
      const app = (await one.engine.apps.create({ name: "shop" })).id;
      const endpoint = await one.engine.endpoints.create(app, { ...ENDPOINT, inFlightMax: 16 });
      const answered = Promise.withResolvers<typeof SUCCEEDED>();
      transport.answer = () => answered.promise;
      const COUNT = 250;
      const outcomes = await Promise.all(Array.from({ length: COUNT }, (_, n) => publish(one, app, n)));
      const { inFlight } = one.engine.counters();
      assert.ok(inFlight > 0 && inFlight <= 16 && one.engine.counters().waiting === COUNT);
      const waiting = async (count: number): Promise<void> => {
        while (one.engine.counters().waiting > count) await one.engine.health();
      };
      const [cancelled, expunged] = outcomes.slice(-2).map(({ id }) => id) as [string, string];
      const [delivery] = (await other.engine.deliveries.list({ event: cancelled })).data;
      await other.engine.deliveries.cancel(delivery!.id);
      await waiting(COUNT - 1);
      await other.engine.events.expunge(expunged);
      await waiting(COUNT - 2);
      // More than one notification has room for.
      await other.store.write.cancel({ kind: "endpoint", id: endpoint.id, reason: "by_hand" }, 500);
      await waiting(inFlight);
      answered.resolve(SUCCEEDED);
      await waiting(0);
      assert.equal(transport.shipments.length, inFlight);
    });
  }

  test("an endpoint that is paused and resumed goes on, though no node was told of it", async () => {
    const one = await start({}, { deaf: true });
    const other = await start({ roles: ["api"] });
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const endpoint = await one.engine.endpoints.create(app, { ...ENDPOINT, inFlightMax: 16 });
    const answered = Promise.withResolvers<typeof SUCCEEDED>();
    transport.answer = () => answered.promise;
    await Promise.all(Array.from({ length: 40 }, (_, n) => publish(one, app, n)));
    await other.engine.endpoints.act(app, endpoint.id, "pause");
    while (one.engine.counters().waiting > one.engine.counters().inFlight) await one.engine.health();
    answered.resolve(SUCCEEDED);
    while (one.engine.counters().inFlight > 0) await one.engine.health();
    assert.ok(transport.shipments.length < 40);
    await other.engine.endpoints.act(app, endpoint.id, "resume");
    await transport.shipped(40);
    await drained(one, endpoint.id);
  });

  test("a node that may have missed something asks about every lane that it knows", async () => {
    const one = await start({}, { deaf: true });
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const endpoint = await one.engine.endpoints.create(app, ENDPOINT);
    await publish(one, app, 1);
    await drained(one, endpoint.id);
    while (one.engine.counters().waiting > 0) await one.engine.health();
    const { read } = one.store;
    const refresh = read.refresh.bind(read);
    const asked = Promise.withResolvers<void>();
    read.refresh = (known) => {
      if (known.some(({ endpointId }) => endpointId === endpoint.id)) asked.resolve();
      return refresh(known);
    };
    one.hear({ kind: "all_changed" });
    await asked.promise;
  });

  test("a node that stops while the database is away waits for it no longer than it was told to", async (t) => {
    const { server } = database;
    if (server === null) return t.skip("the server belongs to others");
    const one = await start({ stopGraceMs: 300 }, { patienceMs: 10_000 });
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    await one.engine.endpoints.create(app, ENDPOINT);
    const answered = Promise.withResolvers<typeof SUCCEEDED>();
    transport.answer = () => answered.promise;
    await publish(one, app, 1);
    await transport.shipped(1);
    await server.halt("immediate");
    try {
      const stopping = one.engine.stop();
      answered.resolve(SUCCEEDED);
      const endedAtMs = performance.now();
      await stopping;
      assert.ok(performance.now() - endedAtMs < 3000, `${performance.now() - endedAtMs} ms`);
    } finally {
      await server.start();
    }
  });

  test("while the database is away publishing is refused with 503, and what was accepted is sent when it is back", async (t) => {
    const { server } = database;
    if (server === null) return t.skip("the server belongs to others");
    const [one, other] = [await start(), await start()];
    const app = (await one.engine.apps.create({ name: "shop" })).id;
    const endpoint = await one.engine.endpoints.create(app, { ...ENDPOINT, inFlightMax: 2 });
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    transport.answer = () => held.then(() => SUCCEEDED);
    await Promise.all([1, 2, 3, 4, 5, 6].map((n) => publish(n % 2 === 0 ? one : other, app, n)));
    await transport.shipped(2);
    await server.halt("immediate");
    const refusal = await publish(one, app, 7).catch((error: unknown) => error);
    assert.ok(refusal instanceof PosthornError);
    assert.deepEqual([refusal.code, refusal.status], ["store_unavailable", 503]);
    assert.ok((refusal.retryAfterSeconds ?? 0) > 0);
    const { ready, problems } = await one.engine.health();
    assert.deepEqual([ready, problems.length > 0], [false, true]);
    release();
    transport.answer = () => SUCCEEDED;
    await server.start();
    const backMs = performance.now();
    while (!(await one.engine.health()).ready) await publish(other, app, 8).catch(() => {});
    await publish(one, app, 9);
    await drained(one, endpoint.id);
    assert.ok(performance.now() - backMs < 5000, `${performance.now() - backMs} ms`);
  });
});

// Publishing inside a user's own transaction: from the user's commit to the receiver.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, beforeEach, describe, test } from "node:test";
import pg from "pg";
import { silentLogger } from "../src/base/logger.ts";
import { createEngine } from "../src/engine/create.ts";
import type { Engine } from "../src/engine/engine.ts";
import { ScriptedTransport } from "../src/engine/engine-harness.ts";
import { openPosthorn, type Posthorn, type PosthornError } from "../src/index.ts";
import { createVault } from "../src/security/vault.ts";
import { openPostgresStore } from "../src/store/postgres/postgres.ts";
import type { Store } from "../src/store/store.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

/** Receives on a path for each story, and keeps what came. */
class Receiver {
  #server = createServer(async (request, response) => {
    const body = JSON.parse((await buffer(request)).toString());
    this.#of(request.url ?? "").push({ id: request.headers["webhook-id"] as string, ...body });
    response.writeHead(204).end();
    for (const look of this.#looks) look();
  });
  #received = new Map<string, Received[]>();
  #looks = new Set<() => void>();

  async start(): Promise<void> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
  }

  url(story: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${story}`;
  }

  /** Resolves with all that came, once so many different events have. */
  async until(story: string, count: number): Promise<readonly Received[]> {
    const received = this.#of(`/${story}`);
    const enough = (): boolean => new Set(received.map(({ id }) => id)).size >= count;
    if (!enough()) {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          if (!enough()) return;
          this.#looks.delete(look);
          resolve();
        };
        this.#looks.add(look);
      });
    }
    return received;
  }

  end(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #of(path: string): Received[] {
    const known = this.#received.get(path) ?? [];
    this.#received.set(path, known);
    return known;
  }
}
interface Received {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly data: unknown;
}

describe("publishing inside a transaction", { timeout: 60_000 }, () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-inside-"));
  const receiver = new Receiver();
  const pool = { clients: [] as pg.Client[] };
  let database: TestDatabase;
  let first: Posthorn;
  let second: Posthorn;
  let client: pg.Client;
  let nth = 0;
  let app: string;

  const open = (more: object = {}): Promise<Posthorn> =>
    openPosthorn({
      store: database.url,
      dataDir,
      allowNetworks: ["127.0.0.0/8"],
      allowPorts: "all",
      strictTypes: true,
      ...more,
    });
  const connect = async (): Promise<pg.Client> => {
    const made = new pg.Client({ connectionString: database.url });
    await made.connect();
    pool.clients.push(made);
    return made;
  };

  before(async () => {
    database = await openTestDatabase();
    await receiver.start();
    first = await open();
    second = await open();
    client = await connect();
    await client.query("CREATE TABLE orders (id integer PRIMARY KEY)");
    await first.eventTypes.create({ name: "order.created" });
  });
  after(async () => {
    for (const each of pool.clients) await each.end();
    await Promise.all([first.close(), second.close()]);
    receiver.end();
    await database.drop();
    rmSync(dataDir, { recursive: true });
  });
  beforeEach(async () => {
    nth += 1;
    app = `shop${nth}`;
    await first.apps.create({ uid: app, name: app });
  });
  const endpoint = (more: object = {}) =>
    first.endpoints.create(app, { url: receiver.url(app), retrySchedule: [], ...more });
  const left = async (): Promise<number> =>
    Number(
      (await client.query("SELECT count(*) FROM posthorn.publications WHERE refused_at_ms IS NULL")).rows[0]
        .count,
    );
  /** Resolves once a publication was refused. */
  const refusalOf = async (id: string) => {
    for (;;) {
      const found = await first.publications.get(id);
      if (found.problem !== null) return found;
      await client.query("SELECT pg_sleep(0.01)");
    }
  };

  test("commits with the caller's work or not at all, and arrives as it was given", async () => {
    await endpoint();
    const event = { app, type: "order.created" };
    await client.query("BEGIN; INSERT INTO orders VALUES (1)");
    await first.publish({ ...event, data: "rolled back" }, { client });
    await client.query("ROLLBACK");

    await client.query("BEGIN; INSERT INTO orders VALUES (2)");
    const timestamp = "2026-01-31T12:00:00.5+01:00";
    const dataJson = '{"n":9007199254740993}';
    const { publicationId } = await second.publish({ ...event, timestamp, dataJson }, { client });
    await assert.rejects(first.publications.get(publicationId), { code: "not_found" }, "before the commit");
    await assert.rejects(first.publications.get(publicationId), { code: "not_found" }, "before the commit");
    await client.query("COMMIT");
    const [received, ...others] = await receiver.until(app, 1);
    assert.deepEqual([received?.type, received?.timestamp, others], ["order.created", timestamp, []]);
    const { event: stored, data } = await second.events.get(received?.id ?? "");
    assert.equal(Buffer.from(data ?? []).toString(), dataJson);
    assert.equal(stored.timestamp, timestamp);
    assert.equal(await left(), 0);
    assert.equal((await first.events.list({ app })).data.length, 1);
    assert.deepEqual((await client.query("SELECT id FROM orders")).rows, [{ id: 2 }]);
  });

  test("a thousand at once through many clients: each that commits arrives once, none that is rolled back", async () => {
    await endpoint();
    const clients = await Promise.all(Array.from({ length: 20 }, connect));
    const committed = new Set<string>();
    await Promise.all(
      clients.map(async (each, nthClient) => {
        for (let turn = 0; turn < 50; turn++) {
          const mark = `${nthClient}.${turn}`;
          const node = turn % 2 === 0 ? first : second;
          await each.query("BEGIN");
          if (turn % 3 === 0)
            await node.publish({ app, type: "order.created", data: mark }, { client: each });
          else
            await each.query("SELECT posthorn.publish($1, 'order.created', $2)", [app, JSON.stringify(mark)]);
          await each.query(
            `SAVEPOINT s; SELECT posthorn.publish('${app}', 'order.created', '"undone"'); ROLLBACK TO s`,
          );
          const commits = turn % 5 !== 0;
          await each.query(commits ? "COMMIT" : "ROLLBACK");
          if (commits) committed.add(mark);
        }
      }),
    );
    const received = await receiver.until(app, committed.size);
    assert.equal(committed.size, 800);
    assert.deepEqual(new Set(received.map(({ data }) => data)), committed);
    assert.equal(received.length, 800, "none twice");
    assert.equal(await left(), 0);
  });

  test("an ordered endpoint gets them as they were published, whichever node picks them up", async () => {
    await endpoint({ ordering: "fifo" });
    for (let turn = 0; turn < 25; turn++) {
      await client.query("BEGIN");
      for (let part = 0; part < 6; part++)
        await client.query("SELECT posthorn.publish($1, 'order.created', $2)", [
          app,
          JSON.stringify([turn, part]),
        ]);
      await client.query("COMMIT");
      // The configuration changes meanwhile: what was planned with the old one is planned anew, in its order.
      if (turn % 10 === 5)
        await second.endpoints.update(app, (await second.endpoints.list(app)).data[0]?.id ?? "", {
          description: `${turn}`,
        });
    }
    const received = await receiver.until(app, 150);
    const order = received.map(({ data }) => (data as number[])[0]! * 6 + (data as number[])[1]!);
    assert.deepEqual(
      order,
      Array.from({ length: 150 }, (_, index) => index),
    );
  });

  test("the event occurred when it was published, not when it was picked up", async () => {
    await endpoint();
    await client.query("SELECT posthorn.publish($1, 'order.created', '1')", [app]);
    const [received] = await receiver.until(app, 1);
    const { event } = await first.events.get(received?.id ?? "");
    assert.ok(Date.parse(received?.timestamp ?? "") <= event.acceptedAtMs);
    assert.equal(event.timestamp, received?.timestamp);
  });

  test("a uid or key counts as for other events: the same again is no second event, another is refused", async () => {
    await endpoint();
    const publish = async (data: string): Promise<string> => {
      const call =
        "SELECT posthorn.publish($1, 'order.created', $2, uid => 'order-7', idempotency_key => 'k') AS id";
      return (await client.query(call, [app, data])).rows[0].id;
    };
    for (let turn = 0; turn < 3; turn++) await publish("7");
    const refused = await refusalOf(await publish("8"));
    assert.equal(refused.problem?.code, "idempotency_conflict");
    assert.equal((await receiver.until(app, 1)).length, 1);
    assert.equal((await first.events.list({ app })).data.length, 1);
    assert.equal(await left(), 0);
    await first.publications.remove(refused.id);
  });

  test("one that cannot become an event is kept with its problem, told of, and taken once it can", async () => {
    await endpoint();
    await first.eventTypes.create({ name: "posthorn.publication.refused" });
    await first.endpoints.create("operator", {
      url: receiver.url("operator"),
      eventTypes: ["posthorn.publication.*"],
    });
    const { publicationId } = await first.publish(
      { app, type: "order.shipped", data: { id: 1 } },
      { client },
    );
    const refused = await refusalOf(publicationId);
    assert.deepEqual(
      [refused.problem?.code, refused.problem?.pointer, Buffer.from(refused.data).toString()],
      ["unknown_event_type", "/type", '{"id":1}'],
    );
    assert.deepEqual((await second.publications.list({ app })).data, [refused]);
    const [news] = await receiver.until("operator", 1);
    assert.equal(news?.type, "posthorn.publication.refused");
    const { message, ...facts } = (news?.data ?? {}) as Record<string, unknown>;
    assert.match(String(message), /order\.shipped/);
    assert.deepEqual(facts, {
      appId: refused.appId,
      publicationId,
      eventType: "order.shipped",
      code: "unknown_event_type",
      pointer: "/type",
    });

    await second.eventTypes.create({
      name: "order.shipped",
      schema: { type: "object", required: ["total"] },
    });
    await first.publications.retry(publicationId);
    const again = await refusalOf(publicationId);
    assert.equal(again.problem?.code, "schema_mismatch");
    await second.eventTypes.put("order.shipped", {});
    await second.publications.retry(publicationId);
    assert.deepEqual((await receiver.until(app, 1))[0]?.data, { id: 1 });
    assert.deepEqual((await first.publications.list({ app })).data, []);
  });

  test("what PostgreSQL takes for JSON and we do not, and an app that is removed meanwhile, are refused and can be forgotten", async () => {
    const { rows } = await client.query(
      `SELECT posthorn.publish($1, 'order.created', '{"a":1,"a":2}') AS twice, posthorn.publish($1, 'order.created', $2) AS deep`,
      [app, "[".repeat(65) + "]".repeat(65)],
    );
    assert.equal((await refusalOf(rows[0].twice)).problem?.code, "duplicate_key");
    assert.equal((await refusalOf(rows[0].deep)).problem?.code, "too_deep");
    await client.query("BEGIN");
    const { publicationId } = await first.publish({ app, type: "order.created", data: 1 }, { client });
    await first.apps.remove(app);
    await client.query("COMMIT");
    assert.equal((await refusalOf(publicationId)).problem?.code, "not_found");
    for (const id of [rows[0].twice, rows[0].deep, publicationId]) await second.publications.remove(id);
    await assert.rejects(first.publications.get(publicationId), { code: "not_found" });
    await assert.rejects(first.publications.remove(publicationId), { code: "not_found" });
  });

  test("bad input is refused before the database is asked, and leaves the transaction as it was", async () => {
    await client.query("BEGIN");
    const refusal = (event: object, inside: object = { client }): Promise<PosthornError> =>
      first.publish({ app, type: "order.created", data: 1, ...event } as never, inside as never).then(
        () => assert.fail("it was taken"),
        (thrown) => thrown,
      );
    assert.equal((await refusal({ type: "a..b" })).pointer, "/type");
    assert.equal((await refusal({ channels: ["a b"] })).pointer, "/channels/0");
    assert.equal((await refusal({ data: "x".repeat(1024 * 1024) })).code, "payload_too_large");
    assert.equal((await refusal({ data: undefined })).code, "missing_field");
    assert.equal((await refusal({}, { client: {} })).pointer, "/client");
    await first.publish({ app, type: "order.created", data: 1 }, { client });
    await client.query("ROLLBACK");
  });

  test("while no node runs they wait, and those of a node that dies over them are picked up by another", async () => {
    await endpoint({ ordering: "fifo" });
    await Promise.all([first.close(), second.close()]);
    for (let index = 0; index < 40; index++)
      await client.query("SELECT posthorn.publish($1, 'order.created', $2)", [app, JSON.stringify(index)]);
    assert.equal(await left(), 40);

    const victim = await Victim.start(database.url);
    await victim.died;
    assert.equal(await left(), 20, "half of them had been committed");
    first = await open({ heartbeatMs: 100, deadAfterMs: 1000 });
    second = await open({ heartbeatMs: 100, deadAfterMs: 1000 });
    const received = await receiver.until(app, 40);
    const firstOfEach = received.filter(
      ({ id }, index) => received.findIndex((each) => each.id === id) === index,
    );
    assert.deepEqual(
      firstOfEach.map(({ data }) => data),
      Array.from({ length: 40 }, (_, index) => index),
    );
    assert.equal(await left(), 0);
    await victim.end();
  });
});

/** A node that picks up some, and dies before it hears that they are stored: it beats no more, and gives nothing back. */
class Victim {
  readonly died: Promise<void>;
  #engine: Engine;
  /** The answer that never comes. */
  #answer = Promise.withResolvers<never>();

  private constructor(store: Store) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.died = promise;
    let dead = false;
    const answer = this.#answer.promise;
    const write: Store["write"] = {
      ...store.write,
      async accept(acceptances) {
        if (dead) return answer;
        dead = true;
        await store.write.accept(acceptances.slice(0, 20));
        await store.close();
        resolve();
        return answer;
      },
    };
    this.#engine = createEngine(
      {
        store: { ...store, write },
        transports: { webhook: new ScriptedTransport() },
        vault: createVault(randomBytes(32)),
        logger: silentLogger,
        nodeName: "victim",
        version: "0.0.0",
      },
      {},
    );
  }

  static async start(url: string): Promise<Victim> {
    const victim = new Victim(await openPostgresStore({ url, heartbeatMs: 100, deadAfterMs: 1000 }));
    await victim.#engine.start();
    return victim;
  }

  async end(): Promise<void> {
    this.#answer.reject(new Error("it died"));
    await this.#engine.stop().catch(() => {});
  }
}

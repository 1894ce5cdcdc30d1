/** What two nodes on one database may and may not do to each other. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import type { EndpointId } from "../../base/ids.ts";
import {
  DELIVERED,
  fingerprint,
  retryIn,
  SECOND,
  type TestApp,
  World,
} from "../conformance/world.conformance.ts";
import type { Acceptance, Store } from "../store.ts";
import { openPostgresStore } from "./postgres.ts";

let database: TestDatabase;
const stores: Store[] = [];

async function openWorld(url = database.url): Promise<World> {
  const store = await openPostgresStore({ url });
  stores.push(store);
  return World.open({ open: async () => store, reopen: async () => store, destroy: async () => {} });
}

async function laneOf(world: World, endpoint: EndpointId) {
  const found = await world.store.read.find("endpoint", { id: endpoint });
  assert(found);
  return found.lane;
}

describe("nodes on one database", () => {
  before(async () => {
    database = await openTestDatabase();
  });
  after(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await database.drop();
  });

  describe("a lane that one node owns", () => {
    test("is the claimer's; others get nothing of it and are not told that it is due", async () => {
      const [a, b] = [await openWorld(), await openWorld()];
      const { app, endpoint } = await a.pair({ ordering: "fifo" });
      const first = await a.publish(app, endpoint, { orderKey: "" });
      const [mine] = await a.claim(endpoint);
      assert.equal(mine?.id, first.id);
      const second = await b.publish(app, endpoint, { orderKey: "", lease: b.node });
      assert.equal((await b.delivery(second.id)).leased, false);
      await a.settle(first, DELIVERED);
      const foreign = await b.claimLane(endpoint);
      assert.deepEqual(
        { elsewhere: foreign.elsewhere, deliveries: foreign.deliveries },
        { elsewhere: true, deliveries: [] },
      );
      const due = async (world: World): Promise<boolean> =>
        (await world.store.read.dueLanes({ lanesMax: 100, for: world.node })).lanes.some(
          (lane) => lane.endpointId === endpoint,
        );
      assert.deepEqual([await due(a), await due(b)], [true, false]);
      assert.equal((await laneOf(b, endpoint)).owner, a.node);
      assert.equal((await a.claim(endpoint))[0]?.id, second.id);
      await a.settle(second, DELIVERED);
    });

    test("is taken over when its owner has ended, with a higher epoch", async () => {
      const [a, b] = [await openWorld(), await openWorld()];
      const { app, endpoint } = await a.pair({ rateLimitPerSecond: 50 });
      await a.send(app, endpoint);
      const { epoch, owner } = await laneOf(a, endpoint);
      assert.equal(owner, a.node);
      await b.publish(app, endpoint);
      assert.equal((await b.claimLane(endpoint)).elsewhere, true);
      await a.store.write.retire(a.node);
      const taken = await b.claimLane(endpoint);
      assert.equal(taken.deliveries.length, 1);
      assert(taken.epoch > epoch);
      assert.equal((await laneOf(b, endpoint)).owner, b.node);
    });

    test("belongs to whoever opened its breaker first; a later word with the old epoch is passed over", async () => {
      const [a, b] = [await openWorld(), await openWorld()];
      const { endpoint } = await a.pair();
      const { epoch } = await laneOf(a, endpoint);
      const say = (world: World, state: "open" | "half_open" | "closed") =>
        world.store.write.settle(
          [],
          [{ incarnation: world.node, epoch, endpointId: endpoint, state, probeInMs: 30 * SECOND }],
        );
      await say(a, "open");
      await say(b, "closed");
      const opened = await laneOf(b, endpoint);
      assert.deepEqual([opened.breaker, opened.owner], ["open", a.node]);
      assert(opened.epoch > epoch);
      await say(a, "half_open");
      await say(a, "closed");
      const closed = await laneOf(b, endpoint);
      assert.deepEqual([closed.breaker, closed.owner], ["closed", null]);
      await say(b, "open");
      assert.equal(
        (await laneOf(b, endpoint)).breaker,
        "closed",
        "b still speaks of the lane as it was at first",
      );
    });
  });

  describe("two nodes at once", () => {
    test("make one event of one key, in whatever order they name their keys", async () => {
      const [a, b] = [await openWorld(), await openWorld()];
      const { app, endpoint } = await a.pair();
      const keyed = (world: World, key: string): Promise<Acceptance> =>
        world.acceptance(app, [world.newDelivery(app, endpoint)], {
          idempotency: [{ key: `key:${key}`, fingerprint: fingerprint(key) }],
        });
      for (let round = 0; round < 5; round++) {
        const keys = Array.from({ length: 40 }, (_, n) => `${round}-${n}`);
        const mine = await Promise.all(keys.map((key) => keyed(a, key)));
        const theirs = await Promise.all(keys.toReversed().map((key) => keyed(b, key)));
        const [ours, others] = await Promise.all([a.store.write.accept(mine), b.store.write.accept(theirs)]);
        const kinds = ours.map((result, n) => [result.kind, others.toReversed()[n]?.kind].toSorted());
        assert.deepEqual(
          kinds,
          keys.map(() => ["accepted", "duplicate"]),
        );
      }
    });

    test("share a lane: each delivery goes to one of them, and none is overlooked", async () => {
      const [a, b] = [await openWorld(), await openWorld()];
      const { app, endpoint } = await a.pair();
      const configVersion = await a.version(app);
      const wanted = new Set<string>();
      const claimed: string[] = [];
      const publish = async (world: World): Promise<void> => {
        const batch = await Promise.all(
          Array.from({ length: 7 }, () =>
            world.acceptance(app, [world.newDelivery(app, endpoint)], { configVersion }),
          ),
        );
        for (const { deliveries } of batch) wanted.add(deliveries[0]?.id ?? "");
        await world.store.write.accept(batch);
      };
      const take = async (world: World): Promise<void> => {
        for (const { id } of await world.claim(endpoint, 5)) claimed.push(id);
      };
      for (let round = 0; round < 60; round++)
        await Promise.all([publish(a), take(b), take(a), publish(b), take(a), take(b)]);
      // The lane says that it is due until the last one has been claimed.
      while (await a.isDue(endpoint)) await Promise.all([take(a), take(b)]);
      assert.equal(claimed.length, wanted.size);
      assert.deepEqual(new Set(claimed), wanted);
    });

    test("pass over a lane that somebody keeps locked, and claim the others", async () => {
      const world = await openWorld();
      const [held, free] = [await world.pair(), await world.pair()];
      await world.publish(held.app, held.endpoint);
      const sent = await world.publish(free.app, free.endpoint);
      const holder = new pg.Client({ connectionString: database.url });
      await holder.connect();
      await holder.query("BEGIN");
      await holder.query("SELECT 1 FROM posthorn.lanes WHERE endpoint_id = $1 FOR UPDATE", [held.endpoint]);
      const lanes = [held.endpoint, free.endpoint].map((endpointId) => ({
        endpointId,
        room: [9, 9, 9] as const,
        totalMax: 9,
      }));
      const claim = () => world.store.write.claim({ incarnation: world.node, lanes, bytesMax: 1e6 });
      const [waiting, claimed] = await claim();
      assert.deepEqual([waiting?.deliveries.length, waiting?.more], [0, true]);
      assert.equal(claimed?.deliveries[0]?.id, sent.id);
      await holder.query("ROLLBACK");
      await holder.end();
      assert.equal((await claim())[0]?.deliveries.length, 1);
    });

    test("keep the order of commits in a fifo lane that both feed", async () => {
      const [a, b] = [await openWorld(), await openWorld()];
      const { app, endpoint } = await a.pair({ ordering: "fifo" });
      const sent: string[] = [];
      await Promise.all(
        [a, b].map(async (world) => {
          for (let n = 0; n < 25; n++) sent.push((await world.publish(app, endpoint, { orderKey: "" })).id);
        }),
      );
      const arrived: string[] = [];
      for (;;) {
        const [next, ...others] = await a.claim(endpoint);
        if (next === undefined) break;
        assert.deepEqual(others, [], "only the head is due");
        arrived.push(next.id);
        await a.store.write.settle([a.settlement({ ...next }, DELIVERED)], []);
      }
      assert.equal(arrived.length, 50);
      // Each publisher waited for its answers, so its own are in order.
      for (const ids of [sent, sent.toReversed()]) assert.deepEqual(new Set(arrived), new Set(ids));
      const places = new Map(arrived.map((id, place) => [id, place]));
      const half = sent.map((id) => places.get(id) ?? -1);
      assert.equal(new Set(half).size, 50);
    });
  });

  describe("an answer that is lost on the way", () => {
    /** Between a store and the database; it can swallow what the database answers, and break. */
    async function startProxy(): Promise<{
      url: string;
      swallow(): void;
      swallowed(): number;
      close(): Promise<void>;
    }> {
      const { hostname, port } = new URL(database.url);
      const pairs = new Set<readonly [Socket, Socket]>();
      let swallowing = false;
      let swallowed = 0;
      const server = createServer((client) => {
        const upstream = connect(Number(port), hostname);
        const pair = [client, upstream] as const;
        pairs.add(pair);
        // Only an answer to what was asked since then: a wake may come in on another connection at any moment.
        let hasAsked = false;
        client.on("data", (bytes) => {
          hasAsked ||= swallowing;
          upstream.write(bytes);
        });
        upstream.on("data", (bytes) => {
          if (!swallowing || !hasAsked) {
            client.write(bytes);
            return;
          }
          // What was asked is done; nobody hears of it.
          swallowing = false;
          swallowed += 1;
          client.destroy();
          upstream.destroy();
        });
        for (const socket of pair) {
          socket.on("error", () => {});
          socket.on("close", () => {
            for (const each of pair) each.destroy();
            pairs.delete(pair);
          });
        }
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      assert(address !== null && typeof address === "object");
      const url = new URL(database.url);
      url.port = String(address.port);
      return {
        url: url.href,
        swallow() {
          swallowing = true;
        },
        swallowed: () => swallowed,
        async close() {
          for (const pair of pairs) for (const socket of pair) socket.destroy();
          server.close();
          await once(server, "close");
        },
      };
    }

    async function countEvents(app: TestApp): Promise<number> {
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      const { rows } = await client.query(
        "SELECT count(*)::integer AS count FROM posthorn.events WHERE app_id = $1",
        [app.id],
      );
      await client.end();
      return rows[0].count;
    }

    test("makes no second event, and the lease that was given is known", async () => {
      const proxy = await startProxy();
      const store = await openPostgresStore({ url: proxy.url });
      const world = await World.open({
        open: async () => store,
        reopen: async () => store,
        destroy: async () => {},
      });
      try {
        const { app, endpoint } = await world.pair();
        const prepared = async (): Promise<Acceptance> => {
          const delivery = world.newDelivery(app, endpoint, { lease: world.node });
          return world.acceptance(app, [delivery], {
            idempotency: [{ key: `key:${delivery.id}`, fingerprint: fingerprint(delivery.id) }],
          });
        };
        await world.accept(await prepared());
        const next = await prepared();
        // Nothing else is under way, so it is the accept whose answer is swallowed.
        proxy.swallow();
        assert.deepEqual(await world.accept(next), { kind: "accepted", unleased: [] });
        assert.equal(proxy.swallowed(), 1);
        assert.equal(await countEvents(app), 2);

        // The retry is committed, and the node has claimed it again when the settlement comes once more.
        const sent = await world.send(app, endpoint);
        const settlement = world.settlement(sent, retryIn(0));
        proxy.swallow();
        const [settled] = await world.store.write.settle([settlement], []);
        assert(settled);
        assert(settled.kind === "fenced" || settled.kind === "settled", settled.kind);
        assert.equal(proxy.swallowed(), 2);
        assert.equal((await world.delivery(sent.id)).attempts, 1);
        assert.equal((await world.claim(endpoint))[0]?.id, sent.id);
        assert.equal((await world.attempts(sent.id)).length, 1);

        // What was given back is not given back a second time.
        proxy.swallow();
        const release = world.settlement(sent, { kind: "release" });
        assert.deepEqual(await world.store.write.settle([release], []), [
          { kind: "fenced", finished: false },
        ]);
        assert.equal(proxy.swallowed(), 3);
      } finally {
        await store.close();
        await proxy.close();
      }
    });
  });
});

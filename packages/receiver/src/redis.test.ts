import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { createClient } from "redis";
import { type RedisServer, startRedis, whyNoRedis } from "../test/redis-server.ts";
import type { RedisClient } from "./clients/redis.ts";
import { exerciseDedupe } from "./dedupe/dedupe.conformance.ts";
import { redisDedupe } from "./redis.ts";

const skip = whyNoRedis();
const WINDOW_MS = 60_000;
const never = async (): Promise<void> => assert.fail("there was nothing to do");

let server: RedisServer;
let client: ReturnType<typeof createClient>;
let places = 0;

function createPlace() {
  places += 1;
  const prefix = `place${places}:`;
  const written: string[] = [];
  return {
    prefix,
    open: async (options?: { readonly windowMs?: number }) => redisDedupe(client, { prefix, ...options }),
    async write(_: undefined, row: string) {
      written.push(row);
    },
    written: async () => written,
    marks: async () => (await client.keys(`${prefix}*`)).length,
    async advance(ms: number) {
      for (const key of await client.keys(`${prefix}*`)) {
        const leftMs = (await client.pTTL(key)) - ms;
        if (leftMs > 0) await client.pExpire(key, leftMs);
        else await client.del(key);
      }
    },
    destroy: async () => {},
  };
}

/** As node-redis is without a connection, if it is asked to give up after a time: each command fails, but not at once. */
test("a Redis that is down is waited for once: not for a lock, and then for its release", async () => {
  const failures: PromiseWithResolvers<never>[] = [];
  const down: RedisClient = {
    sendCommand() {
      const failure = Promise.withResolvers<never>();
      failures.push(failure);
      return failure.promise;
    },
  };
  const outcome = redisDedupe(down).once(["a"], never);
  await tick();
  failures[0]?.reject(new Error("timed out"));
  await assert.rejects(outcome, /timed out/);
  assert.equal(failures.length, 2, "the release is under way");
  failures[1]?.reject(new Error("timed out, too"));
});

if (skip !== false) test("dedupe store: Redis", { skip });
else {
  describe("Redis", () => {
    before(async () => {
      server = await startRedis();
      client = createClient({ url: server.url });
      await client.connect();
    });
    after(async () => {
      client.destroy();
      await server.destroy();
    });

    exerciseDedupe("Redis", createPlace, {
      isTransactional: false,
      isShared: true,
      isCountable: true,
      meanwhile: "busy",
    });
    exerciseLocks();
  });
}

/** The client, with something done before a command that holds `part`. */
function interrupt(part: string, act: () => Promise<void>): RedisClient {
  return {
    async sendCommand(command) {
      if (command.some((each) => each.includes(part))) await act();
      return client.sendCommand(command);
    },
  };
}

function exerciseLocks(): void {
  describe("locks in Redis", () => {
    test("a lock outlives its handler's process by lockMs at most, and is renewed while it works", async () => {
      const { prefix } = createPlace();
      const store = redisDedupe(client, { prefix, lockMs: 1000, windowMs: WINDOW_MS });
      await store.once(["a"], async () => {
        // As if most of its time were over.
        const key = `${prefix}a`;
        const lockedMs = await client.pTTL(key);
        assert(lockedMs > 0 && lockedMs <= 1000, String(lockedMs));
        await client.pExpire(key, 700);
        let leftMs = 700;
        while (leftMs > 0 && leftMs <= 700) leftMs = await client.pTTL(key);
        assert(leftMs > 700, "renewed before it ended");
      });
      assert((await client.pTTL(`${prefix}a`)) > 1000, "and then it is a mark");
    });

    test("of a batch with busy keys the others are worked on", async () => {
      const { prefix } = createPlace();
      const [one, other] = [redisDedupe(client, { prefix }), redisDedupe(client, { prefix })];
      await one.once(["a", "b"], async () => {
        const outcomes = await other.once(["c", "b", "d", "b"], async (_, fresh) =>
          assert.deepEqual(fresh, [0, 2]),
        );
        assert.deepEqual(outcomes, ["done", "busy", "done", "busy"]);
      });
    });

    test("a lost lock is told, and the event counts as handled", async () => {
      const { prefix } = createPlace();
      const told: Error[] = [];
      const store = redisDedupe(client, { prefix, onMarkLost: (error) => told.push(error) });
      const outcomes = await store.once(["a", "b", "c"], async () => {
        // This process stood still: one lock ended, another was taken over.
        await client.del(`${prefix}a`);
        await client.set(`${prefix}b`, "running:other");
      });
      assert.deepEqual(outcomes, ["done", "done", "done"]);
      assert.equal(told.length, 1);
      assert.match(told[0]!.message, /took over the lock: b$/);
      assert.deepEqual(await store.once(["a", "b", "c"], never), ["duplicate", "duplicate", "duplicate"]);
    });

    test("who fails does not release the lock of another", async () => {
      const { prefix } = createPlace();
      const store = redisDedupe(client, { prefix });
      const failing = store.once(["a"], async () => {
        await client.set(`${prefix}a`, "running:other");
        throw new Error("deliberate");
      });
      await assert.rejects(failing, /deliberate/);
      assert.deepEqual(await store.once(["a"], never), ["busy"]);
    });

    test("a mark that cannot be set is told, too", async () => {
      const { prefix } = createPlace();
      const told: Error[] = [];
      const broken = interrupt('"done"', async () => {
        throw new Error("the socket closed");
      });
      const store = redisDedupe(broken, { prefix, onMarkLost: (error) => told.push(error) });
      assert.deepEqual(await store.once(["a"], async () => {}), ["done"]);
      assert.match(told[0]!.message, /could not be set: a$/);
      assert.match(String(told[0]!.cause), /the socket closed/);
    });

    test("when Redis fails half way, nothing is worked on and nothing stays locked", async () => {
      const place = createPlace();
      const broken = interrupt(`${place.prefix}b`, async () => {
        throw new Error("the socket closed");
      });
      const store = redisDedupe(broken, { prefix: place.prefix });
      await assert.rejects(store.once(["a", "b"], never), /the socket closed/);
      assert.equal(await place.marks(), 0);
    });

    test("refuses a lock time that is too short to be renewed", () => {
      assert.throws(() => redisDedupe(client, { lockMs: 10 }), /lockMs is 10/);
    });
  });
}

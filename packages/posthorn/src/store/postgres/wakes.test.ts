import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { newAppId, newId } from "../../base/ids.ts";
import { silentLogger } from "../../base/logger.ts";
import type { Wake } from "../store.ts";
import type { Connections } from "./connections.ts";
import { CONNECTIONS_MIN, Pool } from "./pool.ts";
import { Wakes } from "./wakes.ts";

/** A node that listens, with what it heard. */
class Listener {
  readonly heard: Wake[] = [];
  readonly wakes: Wakes;
  #more: (() => void) | undefined;

  constructor(wakes: Wakes) {
    this.wakes = wakes;
    wakes.watch((wake) => {
      this.heard.push(wake);
      this.#more?.();
    });
  }

  async until(count: number): Promise<readonly Wake[]> {
    while (this.heard.length < count) {
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
    return this.heard.splice(0);
  }
}

describe("wakes between nodes", () => {
  let database: TestDatabase;
  let pool: Pool;
  let first: Listener;
  let second: Listener;

  before(async () => {
    database = await openTestDatabase({ empty: true });
    pool = new Pool({ url: database.url, connectionsMax: CONNECTIONS_MIN, patienceMs: 5000 });
    const listener = async (): Promise<Listener> => {
      const wakes = new Wakes({ url: database.url, connections: pool, logger: silentLogger });
      await wakes.start();
      return new Listener(wakes);
    };
    [first, second] = [await listener(), await listener()];
  });
  after(async () => {
    await first.wakes.close();
    await second.wakes.close();
    await pool.close();
    await database.drop();
  });

  test("one hears what another sends, each thing once, and never itself", async () => {
    const appId = newAppId();
    for (let i = 0; i < 3; i++) first.wakes.send({ kind: "due" });
    first.wakes.send({ kind: "app_changed", appId });
    assert.deepEqual(await second.until(2), [{ kind: "due" }, { kind: "app_changed", appId }]);
    second.wakes.send({ kind: "types_changed" });
    assert.deepEqual(await first.until(1), [{ kind: "types_changed" }]);
  });

  test("more than fits in one notification comes in several", async () => {
    const ids = Array.from({ length: 500 }, () => newAppId());
    for (const appId of ids) first.wakes.send({ kind: "app_changed", appId });
    const heard = await second.until(ids.length);
    assert.deepEqual(
      heard.map((wake) => wake.kind === "app_changed" && wake.appId),
      ids,
    );
  });

  test("what ended comes whole, however much it is", async () => {
    const endpointId = newId("ep");
    const sent = Array.from({ length: 5 }, () => ({
      kind: "ended" as const,
      endpointId,
      deliveryIds: Array.from({ length: 100 }, () => newId("dlv")),
    }));
    for (const wake of sent) first.wakes.send(wake);
    assert.deepEqual(await second.until(sent.length), sent);
  });

  test("what could not be sent is sent as soon as it can be, each thing once", {
    timeout: 10_000,
  }, async () => {
    let failures = 3;
    const connections: Connections = {
      advancedMs: 0,
      run: (purpose, statement, values) =>
        failures-- > 0
          ? Promise.reject(new Error("the database is away"))
          : pool.run(purpose, statement, values),
      runSafely: () => assert.fail(),
      transaction: () => assert.fail(),
      session: () => assert.fail(),
    };
    const third = new Wakes({ url: database.url, connections, logger: silentLogger });
    const appId = newAppId();
    third.send({ kind: "app_changed", appId });
    while (failures > 2) await new Promise(setImmediate);
    third.send({ kind: "app_changed", appId });
    third.send({ kind: "due" });
    for (const each of [first, second])
      assert.deepEqual(await each.until(2), [{ kind: "app_changed", appId }, { kind: "due" }]);
    await third.close();
  });

  test("what others put into the channel is passed over", async () => {
    for (const payload of ["", "nonsense", "null", "{}", '{"wakes":[1,null,"x",{"kind":"ended"}]}'])
      await pool.run("read", { text: "SELECT pg_notify('posthorn', $1)" }, [payload]);
    first.wakes.send({ kind: "keys_changed" });
    assert.deepEqual(await second.until(1), [{ kind: "keys_changed" }]);
  });

  test("who could not listen for a while looks at everything afterwards", async () => {
    await pool.run("read", {
      text: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'posthorn listener'",
    });
    for (const each of [first, second])
      assert.deepEqual(await each.until(4), [
        { kind: "due" },
        { kind: "all_changed" },
        { kind: "keys_changed" },
        { kind: "types_changed" },
      ]);
    first.wakes.send({ kind: "due" });
    assert.deepEqual(await second.until(1), [{ kind: "due" }]);
  });
});

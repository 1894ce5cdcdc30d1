/** What the shared store alone has to show of the audit log, of keys and sessions, of quotas, and of endpoints without consent. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { type EndpointId, newId } from "../../base/ids.ts";
import { type AuditEntry, auditFault, type NewAuditEntry } from "../../domain/audit.ts";
import { NO_ACCESS } from "../../domain/endpoint.ts";
import { fingerprint, HOUR, type Sent, World } from "../conformance/world.conformance.ts";
import type { Store, Wake } from "../store.ts";
import { Connection } from "./connection.ts";
import { openPostgresStore } from "./postgres.ts";

describe("the PostgreSQL store, with several nodes", () => {
  let database: TestDatabase;
  let observer: Connection;
  const stores: Store[] = [];
  let a: World;
  let b: World;

  before(async () => {
    database = await openTestDatabase();
    observer = await Connection.open({
      url: database.url,
      applicationName: "observer",
      statementMsMax: null,
    });
    [a, b] = [await openWorld(), await openWorld()];
  });
  after(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await observer.close();
    await database.drop();
  });

  async function openWorld(): Promise<World> {
    const store = await openPostgresStore({ url: database.url });
    stores.push(store);
    return World.open({ open: async () => store, reopen: async () => store, destroy: async () => {} });
  }

  const entry = (facts: Partial<NewAuditEntry> = {}): NewAuditEntry => ({
    id: newId("aud"),
    actor: { kind: "operator" },
    action: "app.update",
    target: { kind: "app", id: "shop" },
    appId: null,
    before: { name: 'a "quoted" \u2028 one' },
    after: { name: "\\u0000", n: 1e21 },
    address: null,
    requestId: null,
    ...facts,
  });

  const chain = async (): Promise<readonly AuditEntry[]> =>
    (await a.store.read.list("audit", { limit: 250, oldestFirst: true })).data;

  test("nodes that append at once make one chain, without a gap", async () => {
    const apps = await Promise.all([a, b, a, b, a, b].map((world) => world.app()));
    const append = (n: number) =>
      (n % 2 === 0 ? a : b).store.write.save({ kind: "audit" }, entry({ appId: apps[n % 6]?.id ?? null }));
    await Promise.all(Array.from({ length: 30 }, (_, n) => append(n)));
    const entries = await chain();
    assert.equal(entries.length, 30);
    for (const [index, each] of entries.entries())
      assert.equal(auditFault(entries[index - 1] ?? null, each), null, String(each.number));
  });

  test("a transaction that fails leaves no entry and no gap", async () => {
    const { length } = await chain();
    const taken = a.appOf({ uid: "taken" });
    await a.store.write.save({ kind: "app", create: true, app: taken }, entry());
    const again = b.appOf({ uid: "taken" });
    const result = await b.store.write.save({ kind: "app", create: true, app: again }, entry());
    assert.deepEqual(result, { kind: "uid_taken" });
    assert.equal(await b.store.write.remove({ kind: "app", id: again.id }, entry()), false);
    await b.store.write.save({ kind: "audit" }, entry());
    const entries = await chain();
    assert.equal(entries.length, length + 2);
    assert.equal(auditFault(entries.at(-2) ?? null, entries.at(-1) as AuditEntry), null);
  });

  test("nobody changes or shortens the audit log, by whatever statement", async () => {
    const before = await chain();
    for (const text of [
      "UPDATE posthorn.audit_log SET action = 'nothing' WHERE number = 1",
      "DELETE FROM posthorn.audit_log WHERE number = 1",
      "TRUNCATE posthorn.audit_log",
      `INSERT INTO posthorn.audit_log SELECT * FROM posthorn.audit_log WHERE number = 1
        ON CONFLICT (number) DO UPDATE SET action = 'nothing'`,
    ])
      await assert.rejects(observer.query({ text }), /the audit log never changes/, text);
    assert.deepEqual(await chain(), before);
  });

  test("what two nodes use at once of the same quotas adds up", async () => {
    const scopes = Array.from({ length: 200 }, () => newId("key"));
    const used = scopes.map((scope) => ({ scope, events: 2 }));
    await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        (n % 2 === 0 ? a : b).store.write.use(n % 3 === 0 ? used : used.toReversed()),
      ),
    );
    const { usages } = await b.store.read.usage(scopes);
    assert.deepEqual(
      usages,
      scopes.map((scope) => ({ scope, events: 24 })),
    );
  });

  test("a session or a key that ends is told to other nodes, and so are the keys of an app that is removed", {
    timeout: 10_000,
  }, async () => {
    const signIn = async (): Promise<{
      key: Awaited<ReturnType<World["key"]>>;
      session: `ses_${string}`;
    }> => {
      const app = await a.app();
      const key = await a.key({ role: "app", appId: app.id });
      const session = { id: newId("ses"), keyId: key.id };
      const change = { kind: "session", session, hash: fingerprint(session.id), expiresInMs: HOUR } as const;
      assert.deepEqual(await a.store.write.save(change), { kind: "saved" });
      return { key, session: session.id };
    };
    for (const ending of ["session", "key", "app"] as const) {
      const { key, session } = await signIn();
      const heard = Promise.withResolvers<Wake>();
      const stop = b.store.watch((wake) => wake.kind === "keys_changed" && heard.resolve(wake));
      const id = { session, key: key.id, app: key.appId }[ending];
      assert.equal(await a.store.write.remove({ kind: ending, id } as never), true);
      await heard.promise;
      stop();
      assert.equal(await b.store.read.find("session", { id: session }), undefined, ending);
      const left = await b.store.read.find("key", { id: key.id });
      assert.equal(left?.id, ending === "session" ? key.id : undefined);
    }
  });

  test("a key is dead with its app, though a node of before keys had one removed that and left the key", async () => {
    const app = await a.app();
    const key = await a.key({ role: "app", appId: app.id });
    const keys = async () => {
      const { find, list } = b.store.read;
      const { data } = await list("key", { limit: 100 });
      const found = [
        await find("key", { id: key.id }),
        await find("key", { hash: fingerprint(key.id) }),
        data.find(({ id }) => id === key.id),
        (await list("key", { appId: app.id, limit: 1 })).data[0],
      ];
      return found.map((each) => each?.id);
    };
    assert.deepEqual(await keys(), Array(4).fill(key.id));
    await observer.query({ text: "UPDATE posthorn.apps SET removed_at_ms = 1 WHERE id = $1" }, [app.id]);
    assert.deepEqual(await keys(), Array(4).fill(undefined));
  });

  test("a rate that a receiver granted is kept by one node", async () => {
    const verification = {
      policy: "cloudevents",
      verifiedAtMs: 1,
      checkedAtMs: 1,
      problem: null,
      checks: 1,
    } as const;
    const granted = { ...verification, origin: "shop.example", grantedPerMinute: 120, callback: null };
    const exclusive = async (id: EndpointId) => (await a.store.read.find("endpoint", { id }))?.lane.exclusive;
    const { app, endpoint } = await a.pair({ ...NO_ACCESS, verification: granted });
    assert.equal(await exclusive(endpoint), true);
    const unbound = a.endpointOf(app, {
      id: endpoint,
      verification: { ...granted, grantedPerMinute: null },
    });
    assert.deepEqual(await a.store.write.save(a.endpointChange(unbound)), { kind: "saved" });
    assert.equal(await exclusive(endpoint), false);
  });

  test("an ordered lane without consent loses what waited for 72 h, in slices, and keeps the rest in its order", async () => {
    const { app, endpoint } = await a.pair({ ordering: "fifo", status: "unverified" });
    const publish = (): Promise<Sent> => a.publish(app, endpoint, { orderKey: "" });
    const old = [await publish(), await publish(), await publish()];
    await a.store.advance(2 * HOUR);
    const young = [await publish(), await publish()];
    await a.store.advance(71 * HOUR);
    const ended: string[] = [];
    for (let more = true; more; ) {
      const result = await a.store.write.expire(2);
      ended.push(...result.ended.map(({ id, reason }) => `${id} ${reason}`));
      ({ more } = result);
    }
    assert.deepEqual(ended.sort(), old.map(({ id }) => `${id} expired`).sort());
    await a.status(endpoint, "enabled");
    for (const { id } of young) {
      const [next] = await a.claim(endpoint);
      assert.equal(next?.id, id);
      await a.settle(young.find((sent) => sent.id === id) as Sent, { kind: "delivered" });
    }
  });
});

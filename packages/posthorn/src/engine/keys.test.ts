import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NO_KEY_LIMITS } from "../domain/limits.ts";
import { actAs } from "./acting.ts";
import { World } from "./engine-harness.ts";

const refusedWith = (code: string, pointer?: string) => (error: { code?: string; pointer?: string }) =>
  error.code === code && (pointer === undefined || error.pointer === pointer);

describe("API keys", () => {
  let world: World;
  before(async () => {
    world = await World.open({ roles: [] });
  });
  after(() => world.close());

  test("a key of an app is bound to it by id or uid, any other key to none", async () => {
    const { keys } = world.engine;
    const app = await world.app("bound");
    for (const reference of [app, "bound"]) {
      const { key, secret } = await keys.create({ role: "app", app: reference, name: "theirs" });
      assert.equal(key.appId, app);
      assert.equal((await keys.authenticate(secret))?.appId, app);
    }
    const named = { role: "app", name: "x" } as const;
    await assert.rejects(keys.create(named), refusedWith("missing_field", "/app"));
    await assert.rejects(keys.create({ ...named, app: "nobody" }), refusedWith("not_found"));
    for (const role of ["admin", "publisher", "viewer"]) {
      await assert.rejects(keys.create({ role, name: "x", app }), refusedWith("invalid_field", "/app"));
      assert.equal((await keys.create({ role, name: "x" })).key.appId, null);
    }
    await assert.rejects(keys.create({ role: "owner", name: "x" }), refusedWith("invalid_field", "/role"));
  });

  test("shows a key with its limits and without its secret, alone and in lists, also of one app", async () => {
    const { keys } = world.engine;
    const app = await world.app("listed");
    const limits = { publishPerSecond: 5 };
    const { key, secret } = await keys.create({ role: "app", app, name: "one", limits });
    assert.deepEqual(key.limits, { ...NO_KEY_LIMITS, publishPerSecond: 5 });
    await keys.create({ role: "admin", name: "another" });
    assert.deepEqual(await keys.get(key.id), key);
    assert.deepEqual((await keys.list({ app: "listed" })).data, [key]);
    assert.ok((await keys.list()).data.length > 1);
    assert.ok(!JSON.stringify([key, await keys.list()]).includes(secret));
    await assert.rejects(keys.list({ app: "nobody" }), refusedWith("not_found"));
    await assert.rejects(keys.get("key_nobody"), refusedWith("not_found"));
  });

  test("a revoked key, and the keys of an app that is removed, open nothing from then on", async () => {
    const { keys, apps } = world.engine;
    const app = await world.app("gone");
    const first = await keys.create({ role: "app", app, name: "first" });
    const second = await keys.create({ role: "app", app, name: "second" });
    for (const { secret } of [first, second]) assert.ok(await keys.authenticate(secret));
    await keys.remove(first.key.id);
    assert.equal(await keys.authenticate(first.secret), undefined);
    await assert.rejects(keys.remove(first.key.id), refusedWith("not_found"));
    await apps.remove("gone");
    assert.equal(await keys.authenticate(second.secret), undefined);
    await assert.rejects(keys.get(second.key.id), refusedWith("not_found"));
  });

  test("an expired key opens nothing, though it was known before", async (context) => {
    const { keys } = world.engine;
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    const { secret } = await keys.create({ role: "viewer", name: "short", expiresAt });
    assert.ok(await keys.authenticate(secret));
    context.mock.timers.enable({ apis: ["Date"], now: Date.now() + 60_001 });
    assert.equal(await keys.authenticate(secret), undefined);
  });

  test("what strangers send makes it forget no key, and what is no key is not even looked up", async () => {
    const { keys } = world.engine;
    const { secret } = await keys.create({ role: "viewer", name: "known" });
    assert.ok(await keys.authenticate(secret));
    const { find } = world.store.read;
    let asked = 0;
    world.store.read.find = async () => {
      asked += 1;
      return undefined;
    };
    try {
      for (const junk of ["", "phk", "x".repeat(15_000), `phk_${"x".repeat(257)}`])
        assert.equal(await keys.authenticate(junk), undefined);
      assert.equal(asked, 0);
      for (let n = 0; n <= 10_000; n += 1) await keys.authenticate(`phk_${n}`);
      assert.equal(asked, 10_001);
      assert.ok(await keys.authenticate(secret), "it is known by heart");
    } finally {
      world.store.read.find = find;
    }
  });

  test("what changes nothing of an app leaves no entry", async () => {
    const { apps, audit } = world.engine;
    const app = await apps.create({ uid: "same", name: "Same", metadata: { a: "b" } });
    for (const patch of [{}, { name: "Same", metadata: { a: "b" } }])
      assert.deepEqual(await apps.update("same", patch), app);
    assert.deepEqual(
      (await audit.list({ app: app.id })).data.map(({ action }) => action),
      ["app.create"],
    );
  });

  test("what is done to keys and apps stands in the audit log, by whom, and no secret with it", async () => {
    const { keys, apps, audit } = world.engine;
    const who = { actor: { kind: "library" }, address: "192.0.2.1", requestId: "r-1" } as const;
    const [app, made] = await actAs(who, async () => {
      const app = await apps.create({ uid: "audited", name: "Before" });
      const made = await keys.create({ role: "app", app: app.id, name: "theirs" });
      await apps.update(app.id, { name: "After", limits: { endpoints: 3 } });
      await keys.remove(made.key.id);
      await apps.remove(app.id);
      return [app, made] as const;
    });
    const { data } = await audit.list({ app: app.id });
    assert.deepEqual(
      data.map(({ action, target }) => [action, target.id]),
      [
        ["app.remove", app.id],
        ["key.remove", made.key.id],
        ["app.update", app.id],
        ["key.create", made.key.id],
        ["app.create", app.id],
      ],
    );
    for (const entry of data) assert.deepEqual([entry.actor, entry.address], [who.actor, who.address]);
    const [removed, , updated, keyMade] = data;
    assert.deepEqual(updated?.before, { name: "Before", limits: app.limits });
    assert.deepEqual(updated?.after, { name: "After", limits: { ...app.limits, endpoints: 3 } });
    assert.equal(removed?.before?.name, "After");
    assert.deepEqual([keyMade?.before, keyMade?.after?.role], [null, "app"]);
    assert.ok(!JSON.stringify(data).includes(made.secret));
  });
});

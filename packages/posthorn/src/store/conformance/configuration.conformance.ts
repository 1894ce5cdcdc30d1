import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "../../base/ids.ts";
import type { Endpoint } from "../../domain/endpoint.ts";
import { fingerprint, type TestApp, type World } from "./world.conformance.ts";

export function configurationStories(world: () => World): void {
  test("an app is found by its id and by its uid, with its endpoints", async () => {
    const app = await world().app({ uid: "shop-1" });
    const endpoint = await world().endpoint(app, {
      uid: "hook-1",
      retrySchedule: [0.5, 1],
      channels: ["eu"],
      filter: "true",
    });
    const byId = await world().store.read.config(app.id);
    const byUid = await world().store.read.config("shop-1");
    assert.deepEqual(byId, byUid);
    const [config] = byId?.endpoints ?? [];
    assert(config);
    const { createdAtMs, updatedAtMs, ...facts } = config.endpoint;
    assert.equal(createdAtMs, updatedAtMs);
    const given = world().endpointOf(app, {
      id: endpoint,
      uid: "hook-1",
      retrySchedule: [0.5, 1],
      channels: ["eu"],
      filter: "true",
    });
    assert.deepEqual(facts, given);
    assert.equal(Buffer.from(config.secrets[0]?.sealed ?? []).toString(), `secret of ${endpoint}`);
    assert.equal(await world().store.read.config("nobody"), undefined);
    const found = await world().store.read.find("endpoint", { id: "hook-1", appId: app.id });
    assert.equal(found?.endpoint.id, endpoint);
    assert.equal(found?.filterErrors, 0);
  });

  test("every change of an app or its endpoints bumps its configVersion", async () => {
    const app = await world().app();
    const versions = [await world().version(app)];
    const endpoint = await world().endpoint(app);
    versions.push(await world().version(app));
    await update(app, { id: endpoint, url: "https://other.example/" });
    versions.push(await world().version(app));
    await world().store.write.save({
      kind: "endpoint_status",
      endpointId: endpoint,
      status: "paused",
      disableReason: null,
    });
    versions.push(await world().version(app));
    await world().store.write.remove({ kind: "endpoint", id: endpoint });
    versions.push(await world().version(app));
    const changed = world().appOf({
      id: app.id,
      name: "New name",
      metadata: { a: "b" },
      retentionDays: 90,
    });
    await world().store.write.save({ kind: "app", create: false, app: changed });
    versions.push(await world().version(app));
    assert.equal(new Set(versions).size, versions.length, versions.join(" "));
    const found = await world().store.read.find("app", { id: app.id });
    assert.equal(found?.name, "New name");
    assert.deepEqual(found?.metadata, { a: "b" });
    assert.equal(found?.retentionDays, 90);
  });

  test("uids are unique while their owner lives, and free again afterwards", async () => {
    const app = await world().app({ uid: "taken" });
    const other = world().appOf({ uid: "taken" });
    assert.deepEqual(await world().store.write.save({ kind: "app", create: true, app: other }), {
      kind: "uid_taken",
    });
    assert.equal(await world().store.write.remove({ kind: "app", id: app.id }), true);
    assert.deepEqual(await world().store.write.save({ kind: "app", create: true, app: other }), {
      kind: "saved",
    });

    const home = { id: other.id, locator: app.locator };
    const endpoint = await world().endpoint(home, { uid: "hook" });
    const second = world().endpointOf(home, { uid: "hook" });
    const create = () => world().store.write.save({ ...world().endpointChange(second), create: true });
    assert.deepEqual(await create(), { kind: "uid_taken" });
    await world().store.write.remove({ kind: "endpoint", id: endpoint });
    assert.deepEqual(await create(), { kind: "saved" });
  });

  test("a change made from an old version is refused", async () => {
    const { app, endpoint } = await world().pair();
    assert.deepEqual(await update(app, { id: endpoint, version: 1, description: "first" }), {
      kind: "saved",
    });
    assert.deepEqual(await update(app, { id: endpoint, version: 1, status: "paused" }), { kind: "changed" });
    const found = await world().store.read.find("endpoint", { id: endpoint });
    assert.deepEqual(
      {
        version: found?.endpoint.version,
        description: found?.endpoint.description,
        status: found?.endpoint.status,
      },
      { version: 2, description: "first", status: "enabled" },
    );
    await world().publish(app, endpoint);
    assert.equal(await world().isDue(endpoint), true, "the refused change left the lane alone");
  });

  test("what is not there cannot be changed", async () => {
    const { app } = await world().pair();
    const missing = { kind: "missing" };
    assert.deepEqual(await update(app, { id: newId("ep", app.locator) }), missing);
    const status = {
      kind: "endpoint_status",
      endpointId: newId("ep"),
      status: "paused",
      disableReason: null,
    } as const;
    assert.deepEqual(await world().store.write.save(status), missing);
    const nobody = world().appOf();
    assert.deepEqual(await world().store.write.save({ kind: "app", create: false, app: nobody }), missing);
    assert.deepEqual(await world().store.write.save({ kind: "key_used", id: newId("key") }), missing);
    assert.equal(await world().store.write.remove({ kind: "endpoint", id: newId("ep") }), false);
    assert.equal(await world().store.write.remove({ kind: "app", id: nobody.id }), false);
  });

  test("refresh tells which endpoints changed, and which are gone", async () => {
    const app = await world().app();
    const [same, changed, gone] = [
      await world().endpoint(app),
      await world().endpoint(app),
      await world().endpoint(app),
    ];
    await update(app, { id: changed, url: "https://new.example/" });
    await world().store.write.remove({ kind: "endpoint", id: gone });
    const known = [same, changed, gone].map((endpointId) => ({ endpointId, version: 1 }));
    const result = await world().store.read.refresh(known);
    assert.deepEqual(
      result.changed.map(({ endpoint }) => [endpoint.id, endpoint.url]),
      [[changed, "https://new.example/"]],
    );
    assert.deepEqual(result.gone, [gone]);
  });

  test("secrets are replaced as a whole, current first", async () => {
    const { app, endpoint } = await world().pair();
    const secrets = [
      { sealed: Buffer.from("new"), expiresAtMs: null, publicKey: null },
      { sealed: Buffer.from("old"), expiresAtMs: 1_900_000_000_000, publicKey: null },
    ];
    const sealedHeaders = Buffer.from("headers");
    const facts = world().endpointOf(app, { id: endpoint, version: 1 });
    await world().store.write.save({ ...world().endpointChange(facts), secrets, sealedHeaders });
    const config = await world().store.read.find("endpoint", { id: endpoint });
    assert.deepEqual(
      config?.secrets.map(({ sealed, expiresAtMs }) => [Buffer.from(sealed).toString(), expiresAtMs]),
      [
        ["new", null],
        ["old", 1_900_000_000_000],
      ],
    );
    assert.equal(Buffer.from(config?.sealedHeaders ?? []).toString(), "headers");
  });

  test("event types are made, changed, listed by name and removed", async () => {
    const type = (name: string, description: string, schema: unknown = null) => ({
      name,
      description,
      schema,
      example: { n: 1 },
      group: "orders",
      deprecated: false,
    });
    const save = (create: boolean, eventType: ReturnType<typeof type>) =>
      world().store.write.save({ kind: "event_type", create, eventType });
    assert.deepEqual(await save(true, type("b.second", "two")), { kind: "saved" });
    assert.deepEqual(await save(true, type("a.first", "one", { type: "object" })), { kind: "saved" });
    assert.deepEqual(await save(true, type("a.first", "again")), { kind: "uid_taken" });
    assert.deepEqual(await save(false, type("a.first", "changed", true)), { kind: "saved" });
    assert.deepEqual(await save(false, type("c.none", "")), { kind: "missing" });
    const { data } = await world().store.read.list("event_type", { limit: 10 });
    assert.deepEqual(
      data.map(({ name, description, schema, example }) => [name, description, schema, example]),
      [
        ["a.first", "changed", true, { n: 1 }],
        ["b.second", "two", null, { n: 1 }],
      ],
    );
    assert.equal(await world().store.write.remove({ kind: "event_type", name: "a.first" }), true);
    assert.equal(await world().store.read.find("event_type", { id: "a.first" }), undefined);
  });

  test("keys are found by hash, remember their last use, and end when removed", async () => {
    const { id } = await world().key();
    const hash = fingerprint(id);
    const found = await world().store.read.find("key", { hash });
    assert.equal(found?.id, id);
    assert.equal(found?.lastUsedAtMs, null);
    await world().store.write.save({ kind: "key_used", id });
    assert((await world().store.read.find("key", { id }))?.lastUsedAtMs);
    assert.equal(await world().store.write.remove({ kind: "key", id }), true);
    assert.equal(await world().store.read.find("key", { hash }), undefined);
  });

  function update(app: TestApp, facts: Partial<Endpoint>) {
    return world().store.write.save(world().endpointChange(world().endpointOf(app, facts)));
  }
}

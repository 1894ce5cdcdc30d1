import assert from "node:assert/strict";
import { test } from "node:test";
import type { Acceptance } from "../store.ts";
import { DAY, fingerprint, HOUR, type TestApp, type World } from "./world.conformance.ts";

export function idempotencyStories(world: () => World): void {
  async function keyed(app: TestApp, keys: Record<string, string>, deliveries = 0): Promise<Acceptance> {
    const endpoints = await Promise.all(Array.from({ length: deliveries }, () => world().endpoint(app)));
    const idempotency = Object.entries(keys).map(([key, body]) => ({ key, fingerprint: fingerprint(body) }));
    const chosen = endpoints.map((endpoint) => world().newDelivery(app, endpoint));
    return world().acceptance(app, chosen, { idempotency });
  }

  test("the same key and request make one event", async () => {
    const app = await world().app();
    const first = await keyed(app, { "key:a": "body" }, 2);
    assert.equal((await world().accept(first)).kind, "accepted");
    const again = await keyed(app, { "key:a": "body" });
    const duplicate = { kind: "duplicate", eventId: first.event.id, deliveries: 2, fanOut: "done" };
    assert.deepEqual(await world().accept(again), duplicate);
    assert.equal(await world().store.read.find("event", { id: again.event.id }), undefined);
  });

  test("the same key with another request is a conflict, and stores nothing", async () => {
    const app = await world().app();
    const first = await keyed(app, { "uid:1": "body" });
    await world().accept(first);
    const other = await keyed(app, { "uid:1": "other body" });
    const conflict = { kind: "conflict", key: "uid:1", eventId: first.event.id };
    assert.deepEqual(await world().accept(other), conflict);
  });

  test("a conflict of one key outweighs the match of the other", async () => {
    const app = await world().app();
    const first = await keyed(app, { "uid:1": "body" });
    const second = await keyed(app, { "key:2": "body 2" });
    await world().store.write.accept([first, second]);
    const both = await keyed(app, { "uid:1": "body", "key:2": "body" });
    assert.equal((await world().accept(both)).kind, "conflict");
  });

  test("both hold inside one batch", async () => {
    const app = await world().app();
    const [first, same, other] = await Promise.all([
      keyed(app, { "key:x": "1" }),
      keyed(app, { "key:x": "1" }),
      keyed(app, { "key:x": "2" }),
    ]);
    const results = await world().store.write.accept([first, same, other]);
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ["accepted", "duplicate", "conflict"],
    );
  });

  test("of an event that was refused for one key, the other key stays free", async () => {
    const app = await world().app();
    const [first, refused] = await Promise.all([
      keyed(app, { "uid:1": "body" }),
      keyed(app, { "uid:1": "other", "key:k": "other" }),
    ]);
    const kinds = (await world().store.write.accept([first, refused])).map(({ kind }) => kind);
    assert.deepEqual(kinds, ["accepted", "conflict"]);
    const later = await keyed(app, { "key:k": "another" });
    assert.deepEqual(await world().accept(later), { kind: "accepted", unleased: [] });
    assert.equal((await world().store.read.find("event", { id: later.event.id }))?.appId, app.id);
  });

  test("a duplicate is answered even when its configVersion is old", async () => {
    const app = await world().app();
    const first = await keyed(app, { "key:a": "body" });
    await world().accept(first);
    await world().endpoint(app);
    const again = { ...(await keyed(app, { "key:a": "body" })), configVersion: first.configVersion };
    assert.equal((await world().accept(again)).kind, "duplicate");
  });

  test("keys are each app's own", async () => {
    const [one, two] = [await world().app(), await world().app()];
    assert.equal((await world().accept(await keyed(one, { "key:a": "1" }))).kind, "accepted");
    assert.equal((await world().accept(await keyed(two, { "key:a": "2" }))).kind, "accepted");
  });

  test("a key is free again after its window, pruned or not", async () => {
    const app = await world().app();
    await world().accept(await keyed(app, { "key:a": "1", "key:b": "1" }));
    await world().store.advance(DAY - HOUR);
    assert.equal((await world().accept(await keyed(app, { "key:a": "2" }))).kind, "conflict");
    await world().store.advance(2 * HOUR);
    assert.equal((await world().accept(await keyed(app, { "key:a": "2" }))).kind, "accepted");
    await world().exhaust(() => world().store.write.prune(100));
    assert.equal((await world().accept(await keyed(app, { "key:a": "3" }))).kind, "conflict");
    assert.equal((await world().accept(await keyed(app, { "key:b": "3" }))).kind, "accepted");
  });
}

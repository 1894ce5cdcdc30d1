/** Browsers' sessions: opened with a key, and gone with it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type KeyId, newId, type SessionId } from "../../base/ids.ts";
import { DAY, fingerprint, HOUR, type World } from "./world.conformance.ts";

export function sessionStories(world: () => World): void {
  async function open(keyId: KeyId, expiresInMs = HOUR): Promise<SessionId> {
    const id = newId("ses");
    const session = { id, keyId };
    const result = await world().store.write.save({
      kind: "session",
      session,
      hash: fingerprint(id),
      expiresInMs,
    });
    assert.deepEqual(result, { kind: "saved" });
    return id;
  }
  const isThere = async (id: SessionId): Promise<boolean> =>
    (await world().store.read.find("session", { id })) !== undefined;
  const listed = async () => (await world().store.read.list("session", { limit: 100 })).data;

  test("one is found by its id and by its hash, with its key and its end", async () => {
    const { id: keyId } = await world().key();
    const id = await open(keyId);
    const found = await world().store.read.find("session", { id });
    assert(found);
    const { hash, createdAtMs, expiresAtMs, ...rest } = found;
    assert.deepEqual(rest, { id, keyId });
    assert.deepEqual(Buffer.from(hash), Buffer.from(fingerprint(id)));
    assert.equal(expiresAtMs - createdAtMs, HOUR);
    assert.deepEqual(await world().store.read.find("session", { hash: fingerprint(id) }), found);
    assert.equal(await world().store.read.find("session", { hash: fingerprint("another") }), undefined);
    const second = await open(keyId);
    assert.deepEqual(
      (await listed()).slice(0, 2).map((session) => session.id),
      [second, id],
    );
    await world().restart();
    assert.deepEqual(await world().store.read.find("session", { id }), found);
  });

  test("none is opened with a key that is not there", async () => {
    const { id: keyId } = await world().key();
    await world().store.write.remove({ kind: "key", id: keyId });
    const id = newId("ses");
    const change = { kind: "session", hash: fingerprint(id), expiresInMs: HOUR } as const;
    const result = await world().store.write.save({ ...change, session: { id, keyId } });
    assert.deepEqual(result, { kind: "missing" });
    assert.equal(await isThere(id), false);
  });

  test("it ends by hand, alone", async () => {
    const { id: keyId } = await world().key();
    const [id, other] = [await open(keyId), await open(keyId)];
    assert.equal(await world().store.write.remove({ kind: "session", id }), true);
    assert.deepEqual([await isThere(id), await isThere(other)], [false, true]);
    assert.equal(await world().store.write.remove({ kind: "session", id }), false);
    assert(await world().store.read.find("key", { id: keyId }));
  });

  test("it ends with its key, and with the app of its key", async () => {
    const app = await world().app();
    const keys = [await world().key(), await world().key({ role: "app", appId: app.id })] as const;
    const bystander = await open((await world().key()).id);
    const [withKey, withApp] = [await open(keys[0].id), await open(keys[1].id)];
    await world().store.write.remove({ kind: "key", id: keys[0].id });
    assert.deepEqual([await isThere(withKey), await isThere(withApp)], [false, true]);
    await world().store.write.remove({ kind: "app", id: app.id });
    assert.deepEqual([await isThere(withApp), await isThere(bystander)], [false, true]);
  });

  test("it ends in its time: not there any more, and pruned", async () => {
    const { id: keyId } = await world().key();
    const [short, long] = [await open(keyId, HOUR), await open(keyId, 3 * DAY)];
    await world().store.advance(HOUR);
    assert.deepEqual([await isThere(short), await isThere(long)], [false, true]);
    assert.equal(await world().store.read.find("session", { hash: fingerprint(short) }), undefined);
    await world().exhaust(() => world().store.write.prune(100));
    assert.deepEqual(
      (await listed()).filter(({ id }) => id === short || id === long).map(({ id }) => id),
      [long],
    );
    assert.equal(await world().store.write.remove({ kind: "session", id: short }), false, "prune took it");
    assert.equal(await isThere(long), true);
  });
}

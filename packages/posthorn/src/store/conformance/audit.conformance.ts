/** The audit log: written with what it tells about, or not at all, and chained. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "../../base/ids.ts";
import { type AuditEntry, auditFault, FIRST_HASH, type NewAuditEntry } from "../../domain/audit.ts";
import type { ListQuery } from "../store.ts";
import { DAY, fingerprint, type World } from "./world.conformance.ts";

function entryOf(facts: Partial<NewAuditEntry> = {}): NewAuditEntry {
  return {
    id: newId("aud"),
    actor: { kind: "operator" },
    action: "app.create",
    target: { kind: "app", id: "app_1" },
    appId: null,
    before: null,
    after: null,
    address: null,
    requestId: null,
    ...facts,
  };
}

export function auditStories(world: () => World): void {
  async function entries(query: Partial<ListQuery> = {}, limit = 100): Promise<AuditEntry[]> {
    const found: AuditEntry[] = [];
    let cursor: string | undefined;
    do {
      const page = await world().store.read.list("audit", {
        limit,
        ...query,
        ...(cursor === undefined ? {} : { cursor }),
      });
      found.push(...page.data);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return found;
  }
  const count = async (): Promise<number> => (await entries()).length;
  const append = (facts: Partial<NewAuditEntry> = {}) => {
    const entry = entryOf(facts);
    return world()
      .store.write.save({ kind: "audit" }, entry)
      .then((result) => {
        assert.deepEqual(result, { kind: "saved" });
        return entry;
      });
  };

  test("a log without entries is empty, and the first entry follows on nothing", async () => {
    assert.deepEqual(await entries(), []);
    const { id } = await append();
    const [first] = await entries();
    assert.deepEqual([first?.id, first?.number, first?.previousHash], [id, 1, FIRST_HASH]);
  });

  test("an entry is read back as it was given", async () => {
    const app = await world().app();
    const given = entryOf({
      actor: { kind: "session", keyId: newId("key"), role: "admin", name: "Zoë" },
      action: "endpoint.update",
      target: { kind: "endpoint", id: newId("ep", app.locator) },
      appId: app.id,
      before: { url: "https://a.example/", rate: 0.1, channels: ["eu", null], nested: { b: 1, a: true } },
      after: { url: 'https://b.example/?q="\u2028\ud83d\ude00', left: undefined, rate: 1e21, channels: [] },
      address: "2001:db8::1",
      requestId: newId("req"),
    });
    await world().store.write.save({ kind: "audit" }, given);
    const found = await world().store.read.find("audit", { id: given.id });
    assert(found);
    const { number, atMs, previousHash, hash, ...content } = found;
    assert.deepEqual(content, JSON.parse(JSON.stringify(given)));
    assert.deepEqual((await entries())[0], found);
    assert.deepEqual(await world().store.read.find("audit", { id: given.id, appId: app.id }), found);
    const stranger = await world().app();
    assert.equal(await world().store.read.find("audit", { id: given.id, appId: stranger.id }), undefined);
    assert.equal(await world().store.read.find("audit", { id: newId("aud") }), undefined);
  });

  test("halves of surrogate pairs, which no text of a database can hold, do not break the chain", async () => {
    const [last] = await entries({}, 1);
    const { id } = await append({
      after: { name: "a\ud800" },
      address: "b\ud800",
      requestId: "\udc00c",
    });
    const found = await world().store.read.find("audit", { id });
    assert(found);
    assert.equal(auditFault(last ?? null, found), null);
    const { after, address, requestId } = found;
    assert.deepEqual([after, address, requestId], [{ name: "a\ud800" }, "b\ufffd", "\ufffdc"]);
  });

  test("it is appended when the change is saved, and only then", async () => {
    const app = await world().app({ uid: "audited" });
    const endpoint = await world().endpoint(app);
    const before = await count();
    const { write } = world().store;
    const nobody = world().appOf();
    const old = world().endpointChange(world().endpointOf(app, { id: endpoint, version: 7 }));
    for (const [change, kind] of [
      [{ kind: "app", create: true, app: world().appOf({ uid: "audited" }) }, "uid_taken"],
      [{ kind: "app", create: false, app: nobody }, "missing"],
      [old, "changed"],
      [{ kind: "key_used", id: newId("key") }, "missing"],
    ] as const) {
      assert.deepEqual(await write.save(change, entryOf()), { kind });
    }
    assert.equal(await write.remove({ kind: "endpoint", id: newId("ep") }, entryOf()), false);
    const { id: keyId } = await world().key();
    const again = { kind: "key", hash: fingerprint(keyId), key: await keyLike(keyId) } as const;
    await assert.rejects(write.save(again, entryOf()), "a fault undoes both");
    assert.equal(await count(), before);

    const renamed = world().appOf({ id: app.id, uid: "audited", name: "New" });
    const kept = [entryOf(), entryOf(), entryOf()] as const;
    await write.save({ kind: "app", create: false, app: renamed }, kept[0]);
    assert.equal(await write.remove({ kind: "endpoint", id: endpoint }, kept[1]), true);
    assert.equal(await write.remove({ kind: "app", id: app.id }, kept[2]), true);
    assert.deepEqual(
      (await entries({ limit: 3 })).slice(0, 3).map(({ id }) => id),
      kept.map(({ id }) => id).toReversed(),
    );
    await write.save({ kind: "app", create: true, app: world().appOf() });
    assert.equal(await count(), before + 3, "what is not told is not in it");
  });

  test("the chain has no gap, however many write at once, and goes on after a restart", async () => {
    const write = (n: number) => append({ after: { n } });
    await Promise.all(Array.from({ length: 20 }, (_, n) => write(n)));
    await world().restart();
    await Promise.all(Array.from({ length: 5 }, (_, n) => write(n)));
    let previous = null as AuditEntry | null;
    const chain = await entries({ oldestFirst: true }, 7);
    assert(chain.length >= 26);
    for (const entry of chain) {
      assert.equal(auditFault(previous, entry), null, `entry ${entry.number}`);
      assert(entry.atMs >= (previous?.atMs ?? 0));
      previous = entry;
    }
    const [last] = await entries({ limit: 1 });
    assert.equal(last?.hash, previous?.hash);
    const [second, third] = chain.slice(1, 3) as [AuditEntry, AuditEntry];
    assert.equal(auditFault(second, { ...third, action: "app.delete" })?.kind, "changed");
  });

  test("it is listed newest first or in the order of the chain, by app and by time, in pages", async () => {
    const [app, other] = [await world().app(), await world().app()];
    const made: string[] = [];
    const times: number[] = [];
    for (let n = 0; n < 9; n++) {
      const { id } = await append({ appId: [app.id, other.id, null][n % 3] ?? null });
      made.push(id);
      times.push((await world().store.read.find("audit", { id }))?.atMs ?? 0);
      await world().store.advance(DAY);
    }
    assert((times[8] ?? 0) - (times[0] ?? 0) >= 8 * DAY, "times are those of the store's clock");
    const ids = async (query: Partial<ListQuery>) => (await entries(query, 2)).map(({ id }) => id);
    const ofApp = made.filter((_, n) => n % 3 === 0);
    assert.deepEqual(await ids({ appId: app.id }), ofApp.toReversed());
    assert.deepEqual(await ids({ appId: app.id, oldestFirst: true }), ofApp);
    const window = { sinceMs: times[2] ?? 0, untilMs: times[7] ?? 0 };
    assert.deepEqual(await ids(window), made.slice(2, 7).toReversed());
    assert.deepEqual(await ids({ ...window, oldestFirst: true }), made.slice(2, 7));
    assert.deepEqual(await ids({ ...window, appId: app.id }), [made[6], made[3]]);
    assert.deepEqual((await ids({})).slice(0, 9), made.toReversed());
    await world().store.write.remove({ kind: "app", id: app.id });
    assert.deepEqual(await ids({ appId: app.id }), ofApp.toReversed(), "it outlives the app");
    await assert.rejects(world().store.read.list("audit", { limit: 1, cursor: "x" }), {
      code: "invalid_field",
    });
  });

  async function keyLike(id: string) {
    const found = await world().store.read.find("key", { id });
    assert(found);
    const { hash: _, createdAtMs: __, lastUsedAtMs: ___, ...key } = found;
    return { ...key, id: newId("key") };
  }
}

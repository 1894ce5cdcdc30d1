import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { type AppId, newAppId, newId } from "../base/ids.ts";
import { PUBLIC_KEYS_KEPT_MS, PUBLIC_KEYS_MAX, PUBLIC_KEYS_OF_ALL_MAX, PublicKeys } from "./public-keys.ts";

describe("public keys, as strangers ask for them", () => {
  const shop = newAppId();
  /** How many keys an app has; who is not here is unknown. */
  let counts: Map<string, number>;
  let lists: (AppId | undefined)[];
  let finds: number;
  let keys: PublicKeys;
  let hold: Promise<void> | undefined;
  beforeEach(() => {
    counts = new Map([[shop, 2]]);
    lists = [];
    finds = 0;
    hold = undefined;
    keys = new PublicKeys({
      find: (async (_kind: string, { id }: { id: string }) => {
        finds += 1;
        return counts.has(id) ? { id } : undefined;
      }) as never,
      async publicKeys({ appId, limit }) {
        lists.push(appId);
        await hold;
        const count = appId === undefined ? Number.POSITIVE_INFINITY : (counts.get(appId) ?? 0);
        const record = {
          appId: shop,
          endpointId: newId("ep"),
          publicKey: Buffer.alloc(32),
          expiresAtMs: null,
        };
        return Array.from({ length: Math.min(count, limit) }, () => record);
      },
    });
  });
  afterEach(() => mock.restoreAll());

  test("who asks at the same time waits for one look, and gets the same list for a minute", async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => keys.list(shop)));
    assert.equal(new Set(all).size, 1);
    assert.equal(await keys.list(shop), all[0]);
    assert.deepEqual([lists, finds], [[shop], 1]);
    const endMs = performance.now() + PUBLIC_KEYS_KEPT_MS;
    mock.method(performance, "now", () => endMs);
    assert.notEqual(await keys.list(shop), all[0]);
  });

  test("one more than fit tells that there are more: 1,000 of all apps, 10,000 of one", async () => {
    counts.set(shop, 20_000);
    assert.equal((await keys.list()).length, PUBLIC_KEYS_OF_ALL_MAX + 1);
    assert.equal((await keys.list(shop)).length, PUBLIC_KEYS_MAX + 1);
  });

  test("questions for apps that are not there are not remembered, and push nothing out", async () => {
    const known = await keys.list(shop);
    for (let nth = 0; nth < 2000; nth++) assert.deepEqual(await keys.list(`nobody${nth}`), []);
    assert.equal(await keys.list(shop), known);
    counts.set("nobody0", 1);
    assert.equal((await keys.list("nobody0")).length, 1);
  });

  test("what is kept is bounded: the earliest goes first", async () => {
    const apps = Array.from({ length: 6 }, () => newAppId());
    for (const app of apps) counts.set(app, 9000);
    const [first = []] = await Promise.all(apps.slice(0, 1).map((app) => keys.list(app)));
    const rest = [];
    for (const app of apps.slice(1)) rest.push(await keys.list(app));
    assert.equal(await keys.list(apps[5]), rest[4]);
    assert.notEqual(await keys.list(apps[0]), first);
  });

  test("a change of an app is seen at once, also by who asked while it was made", async () => {
    const other = newAppId();
    counts.set(other, 1);
    const [all, others] = [await keys.list(), await keys.list(other)];
    const answer = Promise.withResolvers<void>();
    hold = answer.promise;
    const asked = keys.list(shop);
    while (lists.length < 3) await Promise.resolve();
    keys.forget(shop);
    answer.resolve();
    const before = await asked;
    assert.notEqual(await keys.list(shop), before);
    assert.notEqual(await keys.list(), all);
    assert.equal(await keys.list(other), others, "of another app nothing changed");
  });

  test("what could not be read is asked for again", async () => {
    hold = Promise.reject(new Error("the store is away"));
    await assert.rejects(keys.list(shop), /away/);
    hold = undefined;
    assert.equal((await keys.list(shop)).length, 2);
  });
});

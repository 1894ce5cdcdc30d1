/** What was used of the quotas of a day. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AppId, type KeyId, newAppId, newId } from "../../base/ids.ts";
import { DAY, HOUR, SECOND, type World } from "./world.conformance.ts";

export function usageStories(world: () => World): void {
  const used = async (...scopes: (AppId | KeyId)[]) => {
    const { usages } = await world().store.read.usage(scopes);
    return new Map(usages.map(({ scope, events }) => [scope, events]));
  };
  /** So that no story sees midnight by chance. */
  async function atNoon(): Promise<void> {
    const { dayEndsInMs } = await world().store.read.usage([]);
    await world().store.advance(dayEndsInMs + 12 * HOUR);
  }

  test("it adds up, for each scope apart, and for those asked for", async () => {
    await atNoon();
    const [app, key, unused] = [newAppId(), newId("key"), newAppId()];
    const use = (events: number, scope: AppId | KeyId) => world().store.write.use([{ scope, events }]);
    await Promise.all([use(1, app), use(2, app), use(10, key), use(3, app)]);
    await world().store.write.use([
      { scope: app, events: 100 },
      { scope: key, events: 1000 },
    ]);
    await world().store.write.use([]);
    assert.deepEqual(
      await used(app, key, unused),
      new Map<string, number>([
        [app, 106],
        [key, 1010],
      ]),
    );
    assert.deepEqual(await used(key), new Map([[key, 1010]]));
    assert.deepEqual(await used(), new Map());
    await world().restart();
    assert.deepEqual(await used(app), new Map([[app, 106]]));
  });

  test("a new day begins at 0:00 UTC of the store's clock", async () => {
    await atNoon();
    const app = newAppId();
    await world().store.write.use([{ scope: app, events: 7 }]);
    const { dayEndsInMs } = await world().store.read.usage([app]);
    assert(dayEndsInMs > 11 * HOUR && dayEndsInMs <= 12 * HOUR, String(dayEndsInMs));
    const { createdAtMs = 0 } = (await world().store.read.find("app", await world().app())) ?? {};
    const untilMidnightMs = DAY - (createdAtMs % DAY);
    assert(Math.abs(untilMidnightMs - dayEndsInMs) < 60 * SECOND, "the day is that of UTC");
    await world().store.advance(dayEndsInMs - 60 * SECOND);
    assert.deepEqual(await used(app), new Map([[app, 7]]));
    await world().store.advance(60 * SECOND);
    assert.deepEqual(await used(app), new Map());
    await world().store.write.use([{ scope: app, events: 1 }]);
    assert.deepEqual(await used(app), new Map([[app, 1]]));
    await world().exhaust(() => world().store.write.prune(100));
    assert.deepEqual(await used(app), new Map([[app, 1]]), "prune leaves the day that goes on");
  });
}

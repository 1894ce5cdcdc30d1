import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import type { PosthornError } from "../base/errors.ts";
import type { AppId, KeyId } from "../base/ids.ts";
import { silentLogger } from "../base/logger.ts";
import type { Key } from "../domain/key.ts";
import { type AppLimits, isLimited, type KeyLimits, NO_APP_LIMITS, NO_KEY_LIMITS } from "../domain/limits.ts";
import type { Usage } from "../store/store.ts";
import type { AppRuntime } from "./app-runtime.ts";
import { type Charge, Limits } from "./limits.ts";

const DAY_MS = 86_400_000;
const APP = "app_1" as AppId;

/** The part of a store that counts days; several nodes may share it. */
class Days {
  readonly used = new Map<string, number>();
  readonly written: Usage[][] = [];
  dayEndsInMs = DAY_MS;
  looks = 0;
  away = false;
  /** A write ends when this does. */
  busy: Promise<void> = Promise.resolve();

  async use(usages: readonly Usage[]): Promise<void> {
    if (this.away) throw new Error("away");
    await this.busy;
    this.written.push([...usages]);
    for (const { scope, events } of usages) this.used.set(scope, (this.used.get(scope) ?? 0) + events);
  }

  async usage(scopes: readonly (AppId | KeyId)[]) {
    this.looks += 1;
    const usages = scopes.flatMap((scope) => {
      const events = this.used.get(scope);
      return events === undefined ? [] : [{ scope, events }];
    });
    return { usages, dayEndsInMs: this.dayEndsInMs };
  }
}

function appWith(limits: Partial<AppLimits>, id = APP): AppRuntime {
  const all = { ...NO_APP_LIMITS, ...limits };
  return { app: { id, uid: `uid-${id}`, limits: all }, limited: isLimited(all) } as unknown as AppRuntime;
}

function keyWith(limits: Partial<KeyLimits>): Key {
  return { id: "key_1", limits: { ...NO_KEY_LIMITS, ...limits } } as unknown as Key;
}

describe("the limits on publishing", () => {
  let days: Days;
  let nowMs: number;
  let nodes: number;
  let limits: Limits;

  const node = (): Limits =>
    new Limits({ read: days, write: days, logger: silentLogger, nodes: () => nodes, nowMs: () => nowMs });
  const admit = (app: AppRuntime, key: Key | null = null, payloadBytes = 10): Promise<Charge> =>
    limits.admit({ app, key, payloadBytes });
  /** How many of so many events are admitted, and accepted. */
  const publish = async (count: number, app: AppRuntime, key: Key | null = null): Promise<number> => {
    let admitted = 0;
    for (let nth = 0; nth < count; nth++) {
      const charge = await admit(app, key).catch(() => null);
      charge?.accepted();
      if (charge !== null) admitted += 1;
    }
    return admitted;
  };
  const refusal = (error: Promise<unknown>): Promise<PosthornError> =>
    error.then(
      () => assert.fail("it was admitted"),
      (thrown: PosthornError) => thrown,
    );

  beforeEach(() => {
    days = new Days();
    nowMs = 0;
    nodes = 1;
    limits = node();
  });

  test("a rate lets one second's worth through at once, and says when the next may come", async () => {
    const app = appWith({ publishPerSecond: 0.5 });
    assert.equal(await publish(3, app), 1);
    const error = await refusal(admit(app));
    assert.deepEqual([error.code, error.status, error.retryAfterSeconds], ["rate_limited", 429, 2]);
    assert.match(
      error.message,
      /^App uid-app_1 may publish 0.5 events per second \(its limit publishPerSecond\)/,
    );
    nowMs = 2000;
    assert.equal(await publish(3, app), 1);
    assert.equal(days.looks, 0, "a rate asks no store");
  });

  test("of several nodes each takes its part, and follows when one comes or goes", async () => {
    const app = appWith({ publishPerSecond: 30 });
    nodes = 3;
    assert.equal(await publish(50, app), 10);
    nodes = 2;
    assert.equal(await publish(50, app), 0, "a node that goes leaves nothing behind at once");
    nowMs = 1000;
    assert.equal(await publish(50, app), 15);
    nodes = 6;
    nowMs = 9000;
    assert.equal(await publish(50, app), 5);
  });

  test("a rate counts what was asked, a quota what was accepted", async () => {
    const app = appWith({ publishPerSecond: 2, eventsPerDay: 2 });
    (await admit(app)).refused();
    (await admit(app)).refused();
    assert.equal((await refusal(admit(app))).code, "rate_limited");
    nowMs = 1000;
    assert.equal(await publish(2, app), 2);
    nowMs = 2000;
    assert.equal((await refusal(admit(app))).code, "quota_exceeded");
    await limits.flush();
    assert.deepEqual(days.written, [[{ scope: APP, events: 2 }]]);
  });

  test("what is asked again has never been asked", async () => {
    const app = appWith({ publishPerSecond: 1, eventsPerDay: 1 });
    for (let turn = 0; turn < 5; turn++) (await admit(app)).undo();
    assert.equal(await publish(2, app), 1);
  });

  test("what is on its way to the store has its place in the quota", async () => {
    const app = appWith({ eventsPerDay: 2 });
    const charges = await Promise.all([admit(app), admit(app)]);
    assert.equal((await refusal(admit(app))).code, "quota_exceeded");
    charges[0].refused();
    (await admit(app)).accepted();
    charges[1].accepted();
    assert.equal(await publish(1, app), 0);
  });

  test("a quota is what the store knows of, and its refusal says when the day ends", async () => {
    days.used.set(APP, 7);
    days.dayEndsInMs = 3_599_500;
    const app = appWith({ eventsPerDay: 10 });
    assert.equal(await publish(5, app), 3);
    const error = await refusal(admit(app));
    assert.deepEqual([error.code, error.status, error.retryAfterSeconds], ["quota_exceeded", 429, 3600]);
    assert.match(error.message, /App uid-app_1 may publish 10 events per day \(its limit eventsPerDay\)/);
    assert.equal(days.looks, 1);
  });

  test("a new day begins anew, without a look", async () => {
    days.dayEndsInMs = 1000;
    const app = appWith({ eventsPerDay: 3 });
    assert.equal(await publish(5, app), 3);
    await limits.flush();
    nowMs = 999;
    assert.equal(await publish(5, app), 0);
    nowMs = 1000;
    assert.equal(await publish(5, app), 3);
  });

  test("two nodes go over by no more than what one accepts between two looks", async () => {
    const app = appWith({ eventsPerDay: 100 });
    const [one, other] = [limits, node()];
    let accepted = 0;
    for (let second = 0; second < 10; second++) {
      for (limits of [one, other]) accepted += await publish(15, app);
      for (const each of [one, other]) await each.duty.runOnce();
      nowMs += 1000;
    }
    // One wrote before the other, and so does not know of its last 15.
    assert.ok(accepted >= 100 && accepted <= 100 + 2 * 15, `${accepted} accepted`);
    await one.duty.runOnce();
    for (limits of [one, other]) assert.equal(await publish(1, app), 0);
    assert.equal(days.used.get(APP), accepted, "all are counted, and none twice");
  });

  test("what could not be written is not forgotten, and goes with the next turn", async () => {
    const app = appWith({ eventsPerDay: 5 });
    await publish(4, app);
    days.away = true;
    await assert.rejects(limits.duty.runOnce(), /away/);
    assert.equal(await publish(5, app), 1);
    days.away = false;
    await limits.stop();
    assert.deepEqual(days.written, [[{ scope: APP, events: 5 }]]);
  });

  test("what is being written is used already", async () => {
    const app = appWith({ eventsPerDay: 5 });
    await publish(4, app);
    const { promise, resolve } = Promise.withResolvers<void>();
    days.busy = promise;
    const flushed = limits.flush();
    assert.equal(await publish(3, app), 1);
    resolve();
    await flushed;
    assert.equal(await publish(3, app), 0);
  });

  test("key and app both count; what one refuses costs the other nothing", async () => {
    const app = appWith({ publishPerSecond: 100, eventsPerDay: 100 });
    const key = keyWith({ eventsPerDay: 2 });
    assert.equal(await publish(10, app, key), 2);
    const error = await refusal(admit(app, key));
    assert.match(error.message, /^Key key_1 may publish 2 events per day/);
    await limits.flush();
    assert.deepEqual(days.written[0], [
      { scope: APP, events: 2 },
      { scope: "key_1", events: 2 },
    ]);
    assert.deepEqual(
      limits.standings(key, [app]).map(({ policy, quota, remaining }) => [policy, quota, remaining]),
      [
        ["app-rate", 100, 98],
        ["app-day", 100, 98],
        ["key-day", 2, 0],
      ],
    );
  });

  test("a payload is measured before anything is counted", async () => {
    const app = appWith({ payloadBytes: 100, publishPerSecond: 1 });
    const error = await refusal(admit(app, null, 101));
    assert.deepEqual([error.code, error.status, error.pointer], ["payload_too_large", 413, "/data"]);
    assert.match(
      error.message,
      /has 101 bytes; app uid-app_1 may publish at most 100 \(its limit payloadBytes\)/,
    );
    assert.equal((await refusal(admit(app, keyWith({ payloadBytes: 9 })))).code, "payload_too_large");
    assert.equal(await publish(1, app), 1);
  });

  test("what nobody was asked about counts, and is never refused", async () => {
    const app = appWith({ eventsPerDay: 3 });
    for (let nth = 0; nth < 5; nth++) limits.count(app);
    assert.equal(await publish(1, app), 0);
    await limits.flush();
    assert.equal(days.used.get(APP), 5);
    assert.equal(limits.standings(null, [app])[0]?.remaining, 0);
  });

  test("limits that are changed hold at once", async () => {
    assert.equal(await publish(5, appWith({ eventsPerDay: 2 })), 2);
    assert.equal(await publish(5, appWith({ eventsPerDay: 4 })), 2);
    assert.equal(await publish(5, appWith({ eventsPerDay: null, publishPerSecond: 3 })), 3);
  });

  test("who publishes no more is forgotten once nothing is lost by it", async () => {
    const app = appWith({ eventsPerDay: 100, publishPerSecond: 0.1 });
    await publish(1, app);
    nowMs = 6000;
    await limits.duty.runOnce();
    assert.equal(limits.standings(null, [app]).length, 2, "its bucket is not full yet");
    nowMs = 10_000;
    await limits.duty.runOnce();
    assert.equal(limits.standings(null, [app]).length, 0);
    assert.equal(await publish(1, app), 1);
    assert.equal(limits.standings(null, [app])[1]?.remaining, 98, "the store remembers");
  });

  test("who waits for the store is not forgotten, however long that takes", async () => {
    const charge = await admit(appWith({ eventsPerDay: 100 }));
    nowMs = 60_000;
    await limits.duty.runOnce();
    charge.accepted();
    await limits.duty.runOnce();
    assert.equal(days.used.get(APP), 1);
  });

  test("of several apps the tightest is told; of who has no limits nothing", async () => {
    const apps = [appWith({ publishPerSecond: 9 }), appWith({ publishPerSecond: 2 }, "app_2" as AppId)];
    for (const app of apps) await publish(1, app);
    assert.deepEqual(limits.standings(null, [...apps, appWith({}), undefined]), [
      { policy: "app-rate", quota: 2, windowSeconds: 1, remaining: 1, resetSeconds: 1 },
    ]);
    assert.deepEqual(limits.standings(null, [appWith({ endpoints: 3 })]), []);
  });
});

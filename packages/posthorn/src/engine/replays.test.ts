// Replays and dry runs are work that somebody asks for with one request: nobody can ask for so much of it that others wait.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { AppId } from "../base/ids.ts";
import { createVault } from "../security/vault.ts";
import type { EndpointRow, ListQuery, ReplayStep, StoredEvent } from "../store/store.ts";
import { World } from "./engine-harness.ts";
import { FiguresCounter } from "./figures.ts";
import { ReplayRunner } from "./replays.ts";

const SINCE = { since: "2020-01-01T00:00:00Z" };
const DRY = { ...SINCE, dryRun: true };

let world: World;
let runner: ReplayRunner;
before(async () => {
  // Nothing is sent, and no duty takes a replay further: this runner does.
  world = await World.open({ roles: [] });
  const figures = new FiguresCounter();
  const vault = createVault(randomBytes(32));
  runner = new ReplayRunner({ store: world.store, vault, figures, due() {}, started() {} });
});
after(() => world.close());

async function endpointOf(app: string, more: Record<string, unknown> = {}): Promise<EndpointRow> {
  const { id } = await world.endpoint(app, more);
  return (await world.store.read.find("endpoint", { id, appId: app as AppId })) as EndpointRow;
}

async function publishMany(app: string, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, n) => world.publish(app, "order.created", { n })));
}

async function started(row: EndpointRow): Promise<string> {
  const result = await runner.start(row, SINCE);
  assert.ok(result.kind === "started");
  return result.replay.id;
}

test("an endpoint has one replay at a time, however many are asked for at once", async () => {
  const app = await world.app("once");
  const [row, other] = [await endpointOf(app), await endpointOf(app)];
  await publishMany(app, 1);
  const asked = await Promise.allSettled(Array.from({ length: 5 }, () => runner.start(row, SINCE)));
  assert.equal(asked.filter(({ status }) => status === "fulfilled").length, 1);
  const { data } = await world.store.read.list("replay", { endpointId: row.endpoint.id, limit: 10 });
  const [running] = data;
  assert.equal(data.length, 1);
  assert.ok(running !== undefined);
  const named = { code: "state_conflict", message: new RegExp(`${running.id}.*cancel`) };
  await assert.rejects(runner.start(row, SINCE), named);
  await started(other);
  await runner.cancel(running.id);
  await started(row);
  while ((await runner.runOnce()).more);
  await started(row);
  while ((await runner.runOnce()).more);
});

test("an endpoint for which 10,000 deliveries wait gets no replay on top of them", async () => {
  const app = await world.app("full");
  const row = await endpointOf(app);
  const { stats } = world.store.read;
  let pending = 10_000;
  world.store.read.stats = async (query) => ({ ...(await stats.call(world.store.read, query)), pending });
  try {
    await assert.rejects(runner.start(row, SINCE), { code: "state_conflict", message: /10000 deliveries/ });
    pending = 9999;
    await started(row);
  } finally {
    world.store.read.stats = stats;
  }
  while ((await runner.runOnce()).more);
});

test("replays take turns, the earliest first and a step each; one that fails keeps no other from its turn", async () => {
  const [many, few] = [await world.app("many"), await world.app("few")];
  const rows = [await endpointOf(many), await endpointOf(many), await endpointOf(few)];
  await Promise.all([publishMany(many, 201), publishMany(few, 5)]);
  const [first = "", second = "", third = ""] = [
    await started(rows[0] as EndpointRow),
    await started(rows[1] as EndpointRow),
    await started(rows[2] as EndpointRow),
  ];
  const steps: string[] = [];
  const { advanceReplay } = world.store.write;
  let failing = true;
  world.store.write.advanceReplay = async (step: ReplayStep) => {
    steps.push(step.replayId);
    if (failing) throw new Error("this step fails");
    return advanceReplay.call(world.store.write, step);
  };
  try {
    await assert.rejects(runner.runOnce(), /this step fails/);
    failing = false;
    while ((await runner.runOnce()).more);
  } finally {
    world.store.write.advanceReplay = advanceReplay;
  }
  assert.deepEqual(steps, [first, second, third, first, second, first]);
  const created = await Promise.all([first, second, third].map(async (id) => (await runner.get(id)).created));
  assert.deepEqual(created, [201, 201, 5]);
});

describe("a dry run", () => {
  /** What the store is asked for, and what it answers instead of its events. */
  async function withEvents(
    page: (query: ListQuery) => readonly Partial<StoredEvent>[],
    story: (asked: ListQuery[]) => Promise<void>,
  ): Promise<void> {
    const { list } = world.store.read;
    const asked: ListQuery[] = [];
    world.store.read.list = (async (kind: never, query: ListQuery) => {
      // The newest event is looked up to know where the window ends.
      if (kind !== "event" || query.oldestFirst !== true)
        return list.call(world.store.read, kind, query) as never;
      asked.push(query);
      const data = page(query).slice(0, query.limit);
      return { data, nextCursor: String(asked.length) };
    }) as typeof list;
    try {
      await story(asked);
    } finally {
      world.store.read.list = list;
    }
  }
  const payload = Buffer.from('{"data":{"n":1}}');
  const event: Partial<StoredEvent> = {
    eventType: "order.created",
    channels: [],
    expungedAtMs: null,
    payloadBytes: 1024 * 1024,
    dataStart: 8,
    dataEnd: 15,
  };
  const page200 = Array.from({ length: 200 }, () => event);

  test("is one at a time for an app, and does not keep another app waiting", async () => {
    const [app, other] = [await world.app("counted"), await world.app("counted-too")];
    const [row, second, theirs] = [await endpointOf(app), await endpointOf(app), await endpointOf(other)];
    await publishMany(app, 3);
    const first = runner.start(row, DRY);
    await assert.rejects(runner.start(second, DRY), { code: "rate_limited", retryAfterSeconds: 1 });
    assert.equal((await runner.start(theirs, DRY)).kind, "dry_run");
    assert.deepEqual(await first, { kind: "dry_run", examined: 3, matching: 3, capped: false });
    assert.equal((await runner.start(second, DRY)).kind, "dry_run");
  });

  test("stops counting at 100,000 events and says so; without a filter no payload is read", async () => {
    const row = await endpointOf(await world.app("endless"));
    await withEvents(
      () => page200,
      async (asked) => {
        const counted = await runner.start(row, DRY);
        assert.deepEqual(counted, { kind: "dry_run", examined: 100_000, matching: 100_000, capped: true });
        assert.ok(asked.every(({ payloads }) => payloads === undefined));
      },
    );
  });

  test("with a filter reads no more than 8 MiB of payloads at once", async () => {
    const row = await endpointOf(await world.app("filtered"), { filter: "event.data.n == 1" });
    await withEvents(
      ({ payloads }) => (payloads === true ? page200.map((each) => ({ ...each, payload })) : page200),
      async (asked) => {
        const counted = await runner.start(row, DRY);
        assert.deepEqual(counted, { kind: "dry_run", examined: 100_000, matching: 100_000, capped: true });
        const loaded = asked.filter(({ payloads }) => payloads === true);
        assert.deepEqual([...new Set(loaded.map(({ limit }) => limit))], [8]);
      },
    );
  });
});

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import { rejected, SUCCEEDED, World } from "./engine-harness.ts";

describe("the engine", () => {
  let world: World;
  before(async () => {
    world = await World.open();
  });
  after(() => world.close());
  let nth = 0;
  let app: string;
  beforeEach(async () => {
    world.transport.shipments.length = 0;
    world.transport.answer = () => SUCCEEDED;
    nth += 1;
    app = await world.app(`shop${nth}`);
  });

  test("delivers a published event, signed, with its bytes as they came", async () => {
    await world.endpoint(app);
    const data = Buffer.from('{"2":1,"1":2,"n":9007199254740993,"d":1.0,"e":1e2 }');
    const ended = world.ended();
    const [outcome] = await world.engine.publish([
      {
        envelope: { app, type: "order.created", timestamp: "2026-01-01T00:00:00Z" },
        data,
        raw: data,
        idempotencyKey: null,
      },
    ]);
    assert.equal(outcome?.kind, "accepted");
    await ended;
    const [shipment] = world.transport.shipments;
    assert.equal(
      Buffer.from(shipment?.body ?? []).toString(),
      `{"type":"order.created","timestamp":"2026-01-01T00:00:00Z","data":${data}}`,
    );
    assert.match(shipment?.headers["webhook-signature"] ?? "", /^v1,/);
  });

  test("retries by the schedule, and shows every attempt", async () => {
    await world.endpoint(app, { retrySchedule: [0.01, 0.01] });
    world.transport.answer = (_shipment, count) => (count < 3 ? rejected(500) : SUCCEEDED);
    const ended = world.ended();
    await world.publish(app, "order.created", { id: 1 });
    const { deliveryId } = await ended;
    const { delivery, attempts } = await world.engine.deliveries.get(deliveryId);
    assert.equal(delivery.state, "delivered");
    assert.deepEqual(
      attempts.map(({ number, outcome }) => [number, outcome.kind]),
      [
        [1, "rejected"],
        [2, "rejected"],
        [3, "succeeded"],
      ],
    );
  });

  test("dead-letters when the schedule is used up, and redelivers by hand with the same webhook-id", async () => {
    await world.endpoint(app, { retrySchedule: [] });
    world.transport.answer = () => rejected(500);
    const ended = world.ended();
    await world.publish(app, "order.created", {});
    const { deliveryId } = await ended;
    const { delivery } = await world.engine.deliveries.get(deliveryId);
    assert.deepEqual([delivery.state, delivery.reason], ["dead_lettered", "attempts_exhausted"]);
    world.transport.answer = () => SUCCEEDED;
    const again = world.ended();
    const redelivery = await world.engine.deliveries.redeliver(deliveryId);
    await again;
    assert.equal((await world.engine.deliveries.get(redelivery)).delivery.state, "delivered");
    assert.equal((await world.engine.deliveries.get(deliveryId)).delivery.state, "dead_lettered");
    const ids = world.transport.shipments.map((shipment) => shipment.headers["webhook-id"]);
    assert.equal(new Set(ids).size, 1);
  });

  test("a receiver that answers 410 is disabled; what waits goes on once it is enabled", async () => {
    const endpoint = await world.endpoint(app, { retrySchedule: [0.01] });
    world.transport.answer = () => rejected(410);
    const retried = world.next((entry) => entry.kind === "attempt");
    const outcome = await world.publish(app, "order.created", {});
    await retried;
    while ((await world.engine.endpoints.get(app, endpoint.id)).status !== "disabled") await retried;
    assert.equal((await world.engine.endpoints.get(app, endpoint.id)).disableReason, "gone");
    assert.equal(
      (await world.publish(app, "order.created", {})).kind === "accepted" && outcome.kind === "accepted",
      true,
    );
    world.transport.answer = () => SUCCEEDED;
    const ended = world.ended();
    await world.engine.endpoints.act(app, endpoint.id, "enable");
    await ended;
    assert.equal(
      world.transport.shipments.length,
      2,
      "the event published while it was disabled made no delivery",
    );
  });

  test("a receiver may end a delivery, or ask to be disabled", async () => {
    const endpoint = await world.endpoint(app);
    world.transport.answer = () => rejected(400, { control: "abort-message" });
    const refused = world.ended();
    await world.publish(app, "order.created", {});
    const { delivery } = await world.engine.deliveries.get((await refused).deliveryId);
    assert.equal(delivery.reason, "refused");
    world.transport.answer = () => ({ kind: "succeeded", status: 200, control: "disable" });
    const ended = world.ended();
    await world.publish(app, "order.created", {});
    await ended;
    while ((await world.engine.endpoints.get(app, endpoint.id)).status !== "disabled") await ended;
    assert.equal((await world.engine.endpoints.get(app, endpoint.id)).disableReason, "receiver_asked");
  });

  test("fifo: the next one starts only when the one before it is final", async () => {
    await world.endpoint(app, { ordering: "fifo", retrySchedule: [0.01, 0.01] });
    let failures = 0;
    world.transport.answer = ({ body }) => {
      const first = Buffer.from(body).toString().includes('{"n":0}');
      return first && failures++ < 2 ? rejected(500) : SUCCEEDED;
    };
    const last = world.next((entry) => entry.kind === "attempt" && world.transport.bodies().length >= 7);
    for (let n = 0; n < 5; n++) await world.publish(app, "order.created", { n });
    await last;
    const order = world.transport.bodies().map((body) => JSON.parse(body).data.n);
    assert.deepEqual(order, [0, 0, 0, 1, 2, 3, 4]);
  });

  test("keyed: order holds within a key, and one key does not wait for another", async () => {
    await world.endpoint(app, { ordering: "keyed", retrySchedule: [0.05] });
    let failed = false;
    world.transport.answer = ({ body }) => {
      if (failed || !Buffer.from(body).toString().includes('"a1"')) return SUCCEEDED;
      failed = true;
      return rejected(500);
    };
    const done = world.next((entry) => entry.kind === "attempt" && world.transport.bodies().length >= 4);
    await world.publish(app, "t", "a1", { orderingKey: "a" });
    await world.publish(app, "t", "a2", { orderingKey: "a" });
    await world.publish(app, "t", "b1", { orderingKey: "b" });
    await done;
    assert.deepEqual(
      world.transport.bodies().map((body) => JSON.parse(body).data),
      ["a1", "b1", "a1", "a2"],
    );
  });

  test("a paused endpoint keeps its deliveries until it is resumed", async () => {
    const endpoint = await world.endpoint(app);
    await world.engine.endpoints.act(app, endpoint.id, "pause");
    const outcome = await world.publish(app, "order.created", {});
    assert.equal(outcome.kind === "accepted" && outcome.deliveries, 1);
    assert.equal(world.transport.shipments.length, 0);
    const ended = world.ended();
    await world.engine.endpoints.act(app, endpoint.id, "resume");
    await ended;
    assert.equal(world.transport.shipments.length, 1);
  });

  test("the same uid or Idempotency-Key makes one event; another request under it is refused", async () => {
    await world.endpoint(app);
    const [first, second] = await Promise.all([
      world.publish(app, "t", 1, { uid: "u1" }),
      world.publish(app, "t", 1, { uid: "u1" }),
    ]);
    assert.equal(first.kind === "accepted" && second.kind === "accepted" && first.id === second.id, true);
    assert.equal(second.kind === "accepted" && second.duplicate, true);
    const other = await world.publish(app, "t", 2, { uid: "u1" });
    assert.equal(other.kind === "refused" && other.error.code, "idempotency_conflict");
    await world.publish(app, "t", 1, {}, "k1");
    const repeated = await world.publish(app, "t", 1, {}, "k1");
    assert.equal(repeated.kind === "accepted" && repeated.duplicate, true);
  });

  test("types, channels and filters choose the endpoints", async () => {
    await world.endpoint(app, { url: "https://types.example/", eventTypes: ["order.*"] });
    await world.endpoint(app, { url: "https://channels.example/", channels: ["eu"] });
    await world.endpoint(app, { url: "https://filter.example/", filter: "event.data.amount > 100" });
    const small = await world.publish(app, "order.created", { amount: 5 }, { channels: ["us"] });
    const large = await world.publish(app, "user.created", { amount: 500 }, { channels: ["eu"] });
    assert.equal(small.kind === "accepted" && small.deliveries, 1);
    assert.equal(large.kind === "accepted" && large.deliveries, 2);
  });

  test("an event with deliverAt waits for its time", async () => {
    await world.endpoint(app);
    const deliverAt = new Date(Date.now() + 500).toISOString();
    const outcome = await world.publish(app, "t", {}, { deliverAt });
    assert.equal(outcome.kind, "accepted");
    assert.equal(world.transport.shipments.length, 0);
    const ended = world.ended();
    await world.store.advance(500);
    await ended;
  });

  test("a new endpoint gets history by a replay, in the lowest class and with the same webhook-id", async () => {
    const outcome = await world.publish(app, "order.created", { n: 1 });
    await world.publish(app, "user.created", { n: 2 });
    const endpoint = await world.endpoint(app, { eventTypes: ["order.created"] });
    const since = new Date(Date.now() - 60_000).toISOString();
    const dry = await world.engine.endpoints.replay(app, endpoint.id, { since, dryRun: true });
    assert.deepEqual(dry, { kind: "dry_run", examined: 2, matching: 1, capped: false });
    const ended = world.ended();
    const started = await world.engine.endpoints.replay(app, endpoint.id, { since });
    await ended;
    assert.equal(
      outcome.kind === "accepted" && world.transport.shipments[0]?.headers["webhook-id"],
      outcome.kind === "accepted" && outcome.id,
    );
    if (started.kind !== "started") throw new Error("the replay did not start");
    let replay = started.replay;
    while (replay.state === "running") replay = await world.engine.replays.get(replay.id);
    assert.deepEqual([replay.state, replay.examined, replay.created], ["finished", 2, 1]);
  });

  test("an event for more endpoints than fit is continued in chunks", async () => {
    const many = await World.open({ fanOutAtOnceMax: 3 });
    try {
      const crowd = await many.app("crowd");
      for (let n = 0; n < 7; n++) await many.endpoint(crowd, { url: `https://receiver.example/${n}` });
      const outcome = await many.publish(crowd, "t", {});
      assert.deepEqual(outcome.kind === "accepted" && [outcome.deliveries, outcome.fanOut], [7, "pending"]);
      await many.transport.shipped(7);
      assert.equal(new Set(many.transport.shipments.map(({ url }) => url)).size, 7);
    } finally {
      await many.close();
    }
  });

  test("expunging zeroes the payload and cancels what waits", async () => {
    const endpoint = await world.endpoint(app);
    await world.engine.endpoints.act(app, endpoint.id, "pause");
    const outcome = await world.publish(app, "t", { secret: "personal" });
    if (outcome.kind !== "accepted") throw outcome.error;
    await world.engine.events.expunge(outcome.id);
    assert.equal((await world.engine.events.get(outcome.id)).data, null);
    const [delivery] = await world.deliveriesOf(outcome.id);
    assert.deepEqual([delivery?.state, delivery?.reason], ["cancelled", "expunged"]);
  });

  test("a delivery that is cancelled while it waits in memory is not sent, and counts once", async () => {
    await world.endpoint(app, { rateLimitPerSecond: 5 });
    const outcomes = await Promise.all([1, 2, 3].map((n) => world.publish(app, "t", n)));
    await world.transport.shipped(1);
    const [, second, third] = outcomes;
    if (second?.kind !== "accepted" || third?.kind !== "accepted") throw new Error("not accepted");
    const [delivery] = await world.deliveriesOf(second.id);
    const ended = world.next((entry) => entry.eventId === third.id);
    await world.engine.deliveries.cancel(delivery?.id ?? "");
    await ended;
    assert.deepEqual(
      world.transport.bodies().map((body) => JSON.parse(body).data),
      [1, 3],
    );
    const finals = { ...world.engine.counters().finals };
    assert.equal((await world.deliveriesOf(second.id))[0]?.state, "cancelled");
    assert.equal(
      finals.cancelled,
      world.entries.filter((entry) => entry.kind === "final" && entry.state === "cancelled").length,
    );
  });

  test("a removed endpoint is sent nothing more, and its deliveries are cancelled", async () => {
    const endpoint = await world.endpoint(app);
    await world.engine.endpoints.act(app, endpoint.id, "pause");
    const outcome = await world.publish(app, "t", {});
    if (outcome.kind !== "accepted") throw outcome.error;
    const ended = world.ended();
    await world.engine.endpoints.remove(app, endpoint.id);
    await ended;
    const [delivery] = await world.deliveriesOf(outcome.id);
    assert.deepEqual([delivery?.state, delivery?.reason], ["cancelled", "endpoint_deleted"]);
    assert.equal(world.transport.shipments.length, 0);
  });

  test("operational events go to whoever listens at the app `operator`", async () => {
    await world.endpoint("operator", { url: "https://operator.example/", eventTypes: ["posthorn.**"] });
    await world.endpoint(app, { retrySchedule: [] });
    world.transport.answer = ({ url }) => (url.includes("operator") ? SUCCEEDED : rejected(500));
    const told = world.next(
      (entry) => entry.kind === "attempt" && entry.eventType === "posthorn.delivery.dead_lettered",
    );
    await world.publish(app, "t", {});
    await told;
    const [body = ""] = world.transport.bodies("https://operator.example/");
    assert.equal(JSON.parse(body).data.reason, "attempts_exhausted");
  });

  test("ten failures open the breaker: the lane spends nothing until the probe", async () => {
    const endpoint = await world.endpoint(app, { retrySchedule: [0.005, 0.005] });
    world.transport.answer = () => rejected(500);
    for (let n = 0; n < 12; n++) await world.publish(app, "t", { n });
    while ((await world.engine.endpoints.get(app, endpoint.id)).breaker !== "open")
      await world.transport.shipped(10);
    const spent = world.transport.shipments.length;
    const other = await world.endpoint(app, { url: "https://other.example/" });
    const ended = world.next((entry) => entry.endpointId === other.id);
    await world.publish(app, "t", { n: 13 });
    await ended;
    assert.ok(spent <= 40);
    const pending = await world.engine.deliveries.list({ endpoint: endpoint.id, state: "pending" });
    assert.ok(pending.data.length > 0);
  });

  test("a publish sees an endpoint that was made a moment ago, and none that was removed", async () => {
    assert.equal(await deliveriesNow(), 0);
    const endpoint = await world.endpoint(app);
    assert.equal(await deliveriesNow(), 1);
    await world.engine.endpoints.remove(app, endpoint.id);
    assert.equal(await deliveriesNow(), 0);

    async function deliveriesNow(): Promise<number> {
      const outcome = await world.publish(app, "t", {});
      return outcome.kind === "accepted" ? outcome.deliveries : -1;
    }
  });
});

test("after a crash, what was leased gets an attempt `unknown` and is sent again", async () => {
  const world = await World.open();
  try {
    const app = await world.app();
    await world.endpoint(app);
    let release = (): void => {};
    world.transport.answer = () => new Promise((resolve) => (release = () => resolve(SUCCEEDED)));
    const outcome = await world.publish(app, "t", {});
    if (outcome.kind !== "accepted") throw outcome.error;
    await world.transport.shipped(1);
    world.transport.answer = () => SUCCEEDED;
    const ended = world.ended();
    await world.crash();
    await ended;
    release();
    const [delivery] = await world.deliveriesOf(outcome.id);
    const { attempts } = await world.engine.deliveries.get(delivery?.id ?? "");
    assert.deepEqual(
      attempts.map(({ outcome: { kind } }) => kind),
      ["unknown", "succeeded"],
    );
  } finally {
    await world.close();
  }
});

test("stopping lets attempts end, hands back what was not sent, and loses nothing", async () => {
  const world = await World.open();
  const app = await world.app();
  await world.endpoint(app, { inFlightMax: 1 });
  let finish = (): void => {};
  world.transport.answer = () => new Promise((resolve) => (finish = () => resolve(SUCCEEDED)));
  const [first, second] = await Promise.all([world.publish(app, "t", 1), world.publish(app, "t", 2)]);
  await world.transport.shipped(1);
  const stopped = world.engine.stop();
  const late = await world.publish(app, "t", 3);
  assert.equal(late.kind === "refused" && late.error.code, "stopping");
  finish();
  await stopped;
  const states = [];
  for (const outcome of [first, second]) {
    if (outcome.kind !== "accepted") throw outcome.error;
    const [delivery] = (await world.store.read.list("delivery", { eventId: outcome.id, limit: 1 })).data;
    states.push([delivery?.state, delivery?.leased]);
  }
  assert.deepEqual(states, [
    ["delivered", false],
    ["pending", false],
  ]);
  await world.close();
});

test("while outcomes cannot be written no new attempt starts, nothing is lost, and it heals by itself", async () => {
  const world = await World.open({ settleQueueMax: 1 });
  const app = await world.app();
  await world.endpoint(app, { inFlightMax: 1 });
  const settle = world.store.write.settle.bind(world.store.write);
  let failing = true;
  const tried = Promise.withResolvers<void>();
  world.store.write.settle = async (...args) => {
    if (!failing) return settle(...args);
    tried.resolve();
    throw new PosthornError("storage_full", "The disk is full.");
  };
  const outcomes = await Promise.all([1, 2, 3].map((n) => world.publish(app, "t", n)));
  await tried.promise;
  assert.equal(world.transport.shipments.length, 1);
  assert.deepEqual((await world.engine.health()).ready, false);
  failing = false;
  await world.transport.shipped(3);
  await world.engine.stop();
  for (const outcome of outcomes) {
    if (outcome.kind !== "accepted") throw outcome.error;
    const [delivery] = await world.deliveriesOf(outcome.id);
    assert.equal(delivery?.state, "delivered");
  }
  await world.close();
});

test("an endpoint whose every attempt has failed for long enough is disabled, and the operator is told", async () => {
  const world = await World.open({ disableAfterFailingMs: 0, disableAttemptsMin: 3 });
  await world.endpoint("operator", { url: "https://operator.example/", eventTypes: ["posthorn.endpoint.*"] });
  const app = await world.app();
  const endpoint = await world.endpoint(app, { retrySchedule: [0.001, 0.001, 0.001, 0.001] });
  world.transport.answer = ({ url }) => (url.includes("operator") ? SUCCEEDED : rejected(500));
  const told = world.next(
    (entry) => entry.kind === "attempt" && entry.eventType === "posthorn.endpoint.disabled",
  );
  await world.publish(app, "t", {});
  await told;
  const { status, disableReason } = await world.engine.endpoints.get(app, endpoint.id);
  assert.deepEqual([status, disableReason], ["disabled", "failing"]);
  await world.close();
});

test("a receiver that is back after its breaker opened gets everything: probes, then a ramp", async () => {
  const world = await World.open({ breakerProbeEveryMs: 20 });
  const app = await world.app();
  const endpoint = await world.endpoint(app, { retrySchedule: [0.005, ...new Array(40).fill(0.02)] });
  let back = false;
  world.transport.answer = () => (back ? SUCCEEDED : rejected(500));
  const opened = new Promise<void>((resolve) => {
    world.engine.feed.subscribe(() => {
      if (world.transport.shipments.length >= 10) resolve();
    });
  });
  for (let n = 0; n < 20; n++) await world.publish(app, "t", n);
  await opened;
  while ((await world.engine.endpoints.get(app, endpoint.id)).breaker !== "open") await opened;
  back = true;
  let delivered = 0;
  const all = Promise.withResolvers<void>();
  world.engine.feed.subscribe((entry) => {
    if (entry.kind === "attempt" && entry.next === "delivered" && ++delivered === 20) all.resolve();
  });
  await all.promise;
  assert.equal((await world.engine.endpoints.get(app, endpoint.id)).breaker, "closed");
  await world.close();
});

test("a 410 from an address that was replaced meanwhile does not disable the endpoint", async () => {
  const world = await World.open();
  const app = await world.app();
  const endpoint = await world.endpoint(app, { url: "https://old.example/", retrySchedule: [0.01] });
  const answer = Promise.withResolvers<typeof SUCCEEDED>();
  world.transport.answer = ({ url }) => (url.includes("old") ? answer.promise : SUCCEEDED);
  await world.publish(app, "t", 1);
  await world.transport.shipped(1);
  await world.engine.endpoints.update(app, endpoint.id, { url: "https://new.example/" });
  const ended = world.ended();
  answer.resolve(rejected(410));
  await ended;
  assert.equal((await world.engine.endpoints.get(app, endpoint.id)).status, "enabled");
  assert.equal(world.transport.shipments.at(-1)?.url, "https://new.example/");
  await world.close();
});

test("an endpoint whose removal failed is sent what comes after", async () => {
  const world = await World.open();
  const app = await world.app();
  const endpoint = await world.endpoint(app);
  await world.publish(app, "t", 1);
  await world.transport.shipped(1);
  const { remove } = world.store.write;
  world.store.write.remove = async () => {
    throw new PosthornError("storage_full", "The disk is full.");
  };
  await assert.rejects(world.engine.endpoints.remove(app, endpoint.id), { code: "storage_full" });
  world.store.write.remove = remove;
  await world.publish(app, "t", 2);
  await world.transport.shipped(2);
  await world.close();
});

test("a replay by state sends each event once, and not what it made itself", async () => {
  const world = await World.open();
  const app = await world.app();
  const endpoint = await world.endpoint(app);
  for (let n = 0; n < 5; n++) await world.publish(app, "t", n);
  await world.transport.shipped(5);
  const { data } = await world.engine.deliveries.list({ endpoint: endpoint.id });
  const redelivered = world.ended(await world.engine.deliveries.redeliver(data[0]?.id ?? ""));
  await redelivered;
  const since = new Date(Date.now() - 60_000).toISOString();
  const until = new Date(Date.now() + 3_600_000).toISOString();
  const started = await world.engine.endpoints.replay(app, endpoint.id, {
    since,
    until,
    states: ["delivered"],
  });
  if (started.kind !== "started") throw new Error("the replay did not start");
  await world.transport.shipped(11);
  let { replay } = started;
  while (replay.state === "running") replay = await world.engine.replays.get(replay.id);
  assert.equal(replay.created, 5);
  assert.equal(world.transport.shipments.length, 11);
  await world.close();
});

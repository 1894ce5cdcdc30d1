import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { OPERATOR_UID } from "../domain/defaults.ts";
import type { Key } from "../domain/key.ts";
import type { Publication } from "../domain/publication.ts";
import { rejected, SUCCEEDED, World } from "./engine-harness.ts";

describe("publishing within limits, on a real store", () => {
  let world: World;
  beforeEach(async () => {
    world = await World.open();
  });
  afterEach(() => world.close());

  const publication = (app: string, nth = 0, more: Partial<Publication> = {}): Publication => ({
    envelope: { app, type: "order.created" },
    data: Buffer.from(String(nth)),
    raw: Buffer.from(`${app} ${nth}`),
    idempotencyKey: null,
    ...more,
  });
  const many = (app: string, count: number): Publication[] =>
    Array.from({ length: count }, (_, nth) => publication(app, nth));
  /** What became of each: `accepted`, `duplicate`, or the code of its refusal. */
  const publish = async (publications: readonly Publication[], by?: Key): Promise<string[]> =>
    (await world.engine.publish(publications, by)).map((outcome) => {
      if (outcome.kind === "refused") return outcome.error.code;
      return outcome.duplicate ? "duplicate" : "accepted";
    });
  const keyWith = async (limits: object): Promise<Key> =>
    (await world.engine.keys.create({ role: "publisher", name: "load", limits })).key;
  const stored = async (app: string): Promise<number> =>
    (await world.engine.events.list({ app })).data.length;

  test("each of a batch is judged alone, and what is refused is not stored", async () => {
    await world.engine.apps.create({ uid: "shop", name: "Shop", limits: { publishPerSecond: 2 } });
    await world.app("free");
    const outcomes = await publish([...many("shop", 3), publication("free"), publication("nowhere")]);
    assert.deepEqual(outcomes, ["accepted", "accepted", "rate_limited", "accepted", "not_found"]);
    assert.equal(await stored("shop"), 2);
  });

  test("a quota counts what was accepted: neither duplicates nor what was refused for another reason", async () => {
    await world.engine.apps.create({ uid: "shop", name: "Shop", limits: { eventsPerDay: 3 } });
    const schema = { type: "number" };
    await world.engine.eventTypes.create({ name: "order.created", schema });
    const once = publication("shop", 1, { idempotencyKey: "once" });
    const bad = publication("shop", 0, { data: Buffer.from('"no number"') });
    assert.deepEqual(await publish([once, bad]), ["accepted", "schema_mismatch"]);
    assert.deepEqual(await publish([once, once]), ["duplicate", "duplicate"]);
    assert.deepEqual(await publish(many("shop", 3)), ["accepted", "accepted", "quota_exceeded"]);
    const standings = world.engine.standings(await keyWith({}), ["shop", "shop"]);
    assert.deepEqual(
      standings.map(({ policy, quota, remaining }) => [policy, quota, remaining]),
      [["app-day", 3, 0]],
    );
  });

  test("a day outlives the server", async () => {
    await world.engine.apps.create({ uid: "shop", name: "Shop", limits: { eventsPerDay: 3 } });
    assert.deepEqual(await publish(many("shop", 2)), ["accepted", "accepted"]);
    await world.engine.stop();
    await world.crash();
    assert.deepEqual(await publish(many("shop", 2)), ["accepted", "quota_exceeded"]);
  });

  test("the limits of a key hold for all apps together, next to theirs", async () => {
    await world.engine.apps.create({ uid: "small", name: "Small", limits: { payloadBytes: 20 } });
    await world.app("free");
    const key = await keyWith({ eventsPerDay: 2 });
    assert.deepEqual(await publish([publication("small")], key), ["payload_too_large"]);
    assert.deepEqual(await publish(many("free", 3), key), ["accepted", "accepted", "quota_exceeded"]);
    assert.deepEqual(await publish(many("free", 1)), ["accepted"]);
    assert.deepEqual(await publish(many("free", 1), await keyWith({})), ["accepted"]);
  });

  test("limits that an app is given hold for the next event, and end with the last of them", async () => {
    const app = await world.app("shop");
    assert.deepEqual(await publish(many("shop", 2)), ["accepted", "accepted"]);
    await world.engine.apps.update(app, { limits: { publishPerSecond: 1 } });
    assert.deepEqual(await publish(many("shop", 2)), ["accepted", "rate_limited"]);
    await world.engine.apps.update(app, { limits: null });
    assert.deepEqual(await publish(many("shop", 2)), ["accepted", "accepted"]);
    assert.deepEqual(world.engine.standings(await keyWith({}), ["shop"]), []);
  });

  test("the test button counts like any event; news about Posthorn itself is not lost to a limit", async () => {
    const app = await world.engine.apps.create({ uid: "shop", name: "Shop", limits: { eventsPerDay: 1 } });
    const endpoint = await world.endpoint(app.id);
    await world.engine.endpoints.test("shop", endpoint.id, { eventType: "order.created" });
    const again = world.engine.endpoints.test("shop", endpoint.id, { eventType: "order.created" });
    await assert.rejects(again, { code: "quota_exceeded" });
    await world.engine.apps.update(OPERATOR_UID, { limits: { eventsPerDay: 0 } });
    await world.endpoint(OPERATOR_UID, { url: "https://operator.example/" });
    world.transport.answer = ({ url }) => (url.includes("operator") ? SUCCEEDED : rejected(410));
    const told = world.next((entry) => entry.kind === "attempt" && entry.eventType.startsWith("posthorn."));
    await world.engine.apps.update("shop", { limits: null });
    assert.deepEqual(await publish(many("shop", 1)), ["accepted"]);
    await told;
  });

  test("the test button counts for the key that presses it", async () => {
    const app = await world.app("shop");
    const { id } = await world.endpoint(app);
    const input = { role: "app", app, name: "shop", limits: { eventsPerDay: 1 } };
    const { key } = await world.engine.keys.create(input);
    const press = (by: Key) => world.engine.endpoints.test(app, id, { eventType: "order.created" }, by);
    await press(key);
    await assert.rejects(press(key), { code: "quota_exceeded" });
    await press(await keyWith({}));
  });

  test("an event remembers its hops, and one too many is refused with what to do", async () => {
    await world.app("shop");
    assert.deepEqual(await publish([publication("shop", 0, { hops: 8 })]), ["accepted"]);
    const [event] = (await world.engine.events.list({ app: "shop" })).data;
    assert.equal(event?.hops, 8);
    const [outcome] = await world.engine.publish([publication("shop", 0, { hops: 9 })]);
    assert.ok(outcome?.kind === "refused");
    assert.deepEqual([outcome.error.code, outcome.error.status], ["loop_detected", 508]);
    assert.match(outcome.error.message, /through 9 webhooks, and 8 are allowed.*hopsMax/);
  });
});

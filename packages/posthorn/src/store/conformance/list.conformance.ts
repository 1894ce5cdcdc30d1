import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointId } from "../../base/ids.ts";
import type { ListQuery } from "../store.ts";
import { DEAD, DELIVERED, HOUR, retryIn, SECOND, type Sent, type World } from "./world.conformance.ts";

export function listStories(world: () => World): void {
  /** All ids that a query gives, page by page. */
  async function ids(
    kind: "event" | "delivery" | "app" | "endpoint",
    query: Omit<ListQuery, "limit">,
    limit = 3,
  ): Promise<string[]> {
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await world().store.read.list(kind, {
        ...query,
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      assert(page.data.length <= limit);
      found.push(...page.data.map((row) => ("endpoint" in row ? row.endpoint.id : row.id)));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return found;
  }

  test("events of an app, newest first, page by page, by type and by time", async () => {
    const app = await world().app();
    const events: string[] = [];
    const times: number[] = [];
    for (let n = 0; n < 8; n++) {
      const acceptance = await world().acceptance(app, [], {
        event: { eventType: n % 2 === 0 ? "even" : "odd" },
      });
      await world().accept(acceptance);
      events.push(acceptance.event.id);
      times.push((await world().store.read.find("event", { id: acceptance.event.id }))?.acceptedAtMs ?? 0);
      await world().store.advance(SECOND);
    }
    await world().accept(await world().acceptance(await world().app(), []));
    assert.deepEqual(await ids("event", { appId: app.id }), events.toReversed());
    assert.deepEqual(await ids("event", { appId: app.id, oldestFirst: true }), events);
    const even = events.filter((_, index) => index % 2 === 0);
    assert.deepEqual(await ids("event", { appId: app.id, eventType: "even" }), even.toReversed());
    const window = { sinceMs: times[2] as number, untilMs: times[5] as number };
    assert.deepEqual(await ids("event", { appId: app.id, ...window }), events.slice(2, 5).toReversed());
    assert.deepEqual(await ids("event", { appId: app.id, oldestFirst: true, ...window }), events.slice(2, 5));
    const all = await ids("event", {}, 250);
    assert.deepEqual(all.slice(1, 9), events.toReversed(), "without an app: all of them");
  });

  test("events come with their payloads only when asked", async () => {
    const app = await world().app();
    await world().accept(await world().acceptance(app, []));
    const [bare] = (await world().store.read.list("event", { appId: app.id, limit: 1 })).data;
    const [whole] = (await world().store.read.list("event", { appId: app.id, limit: 1, payloads: true }))
      .data;
    assert.equal(bare?.payload, null);
    assert.equal(whole?.payload?.length, bare?.payloadBytes);
  });

  test("deliveries, unfinished and finished as one list, under every filter", async () => {
    const app = await world().app();
    const [one, two] = [await world().endpoint(app), await world().endpoint(app)];
    const stranger = await world().pair();
    await world().publish(stranger.app, stranger.endpoint);
    const sent: Sent[] = [];
    const times: number[] = [];
    for (let n = 0; n < 12; n++) {
      const made = await world().send(app, n % 3 === 0 ? two : one);
      if (n % 4 === 0) await world().settle(made, DELIVERED);
      if (n % 4 === 1) await world().settle(made, DEAD);
      if (n % 4 === 2) await world().settle(made, retryIn(HOUR));
      sent.push(made);
      times.push((await world().delivery(made.id)).createdAtMs);
      await world().store.advance(SECOND);
    }
    const where = (keep: (n: number) => boolean): string[] =>
      sent
        .filter((_, n) => keep(n))
        .map(({ id }) => id)
        .toReversed();
    const all = { appId: app.id };
    assert.deepEqual(
      await ids("delivery", all),
      where(() => true),
    );
    assert.deepEqual(await ids("delivery", { ...all, oldestFirst: true }), where(() => true).toReversed());
    assert.deepEqual(
      await ids("delivery", { endpointId: two }),
      where((n) => n % 3 === 0),
    );
    assert.deepEqual(
      await ids("delivery", { ...all, states: ["pending"] }),
      where((n) => n % 4 > 1),
    );
    assert.deepEqual(
      await ids("delivery", { ...all, states: ["dead_lettered", "cancelled"] }),
      where((n) => n % 4 === 1),
    );
    assert.deepEqual(
      await ids("delivery", { ...all, states: ["delivered"] }),
      where((n) => n % 4 === 0),
    );
    assert.deepEqual(
      await ids("delivery", { ...all, states: ["pending", "dead_lettered"], endpointId: one }),
      where((n) => n % 4 !== 0 && n % 3 !== 0),
    );
    assert.deepEqual(await ids("delivery", { ...all, eventType: "no.such" }), []);
    const window = { sinceMs: times[3] as number, untilMs: times[9] as number };
    assert.deepEqual(
      await ids("delivery", { ...all, ...window }),
      where((n) => n >= 3 && n < 9),
    );
    assert.deepEqual(
      await ids("delivery", { endpointId: stranger.endpoint, appId: app.id }),
      [],
      "a foreign endpoint has none here",
    );
    const everything = await ids("delivery", {}, 250);
    assert.deepEqual(
      everything.slice(0, 12),
      where(() => true),
    );
    const dead = await ids("delivery", { states: ["dead_lettered"] }, 2);
    assert.deepEqual(
      dead.slice(0, 3),
      where((n) => n % 4 === 1),
    );
  });

  test("the deliveries of an event, with those made later", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await world().publish(app, endpoint);
    await world().settle(sent, DELIVERED);
    const again = await world().redeliver(sent);
    const { eventId } = sent;
    assert.deepEqual(await ids("delivery", { eventId }), [again.id, sent.id]);
    assert.deepEqual(await ids("delivery", { eventId, states: ["pending"] }, 1), [again.id]);
    assert.deepEqual(await ids("delivery", { eventId, endpointId: endpoint, states: ["delivered"] }, 1), [
      sent.id,
    ]);
  });

  test("apps and endpoints, newest first, removed ones left out", async () => {
    const app = await world().app();
    const endpoints: EndpointId[] = [];
    for (let n = 0; n < 5; n++) endpoints.push(await world().endpoint(app));
    await world().store.write.remove({ kind: "endpoint", id: endpoints[2] as EndpointId });
    const left = endpoints.filter((_, index) => index !== 2).toReversed();
    assert.deepEqual(await ids("endpoint", { appId: app.id }, 2), left);
    const [newest] = await ids("app", {}, 250);
    assert.equal(newest, app.id);
  });

  test("attempts, first first, in pages", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    for (let number = 1; number <= 4; number++) {
      await world().settle(sent, retryIn(0), { number });
      await world().claim(endpoint);
    }
    const first = await world().store.read.list("attempt", { deliveryId: sent.id, limit: 3 });
    assert.deepEqual(
      first.data.map(({ number }) => number),
      [1, 2, 3],
    );
    assert(first.nextCursor);
    const rest = await world().store.read.list("attempt", {
      deliveryId: sent.id,
      limit: 3,
      cursor: first.nextCursor,
    });
    assert.deepEqual(
      rest.data.map(({ number }) => number),
      [4],
    );
    assert.equal(rest.nextCursor, null);
  });

  test("a cursor that was never given out is refused", async () => {
    for (const kind of ["event", "delivery", "app"] as const) {
      await assert.rejects(world().store.read.list(kind, { limit: 1, cursor: "x' OR 1" }), {
        code: "invalid_field",
      });
    }
  });
}

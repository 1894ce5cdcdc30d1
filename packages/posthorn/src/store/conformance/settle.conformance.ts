import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "../../base/ids.ts";
import type { AttemptOutcome } from "../../domain/attempt.ts";
import type { DeadLetterReason } from "../../domain/delivery.ts";
import { DAY, DEAD, DELIVERED, OK, REFUSED, retryIn, SECOND, type World } from "./world.conformance.ts";

export function settleStories(world: () => World): void {
  test("a success ends the delivery, with its attempt on record", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const settlement = world().settlement(sent, DELIVERED);
    const results = await world().store.write.settle([settlement], []);
    assert.deepEqual(results, [{ kind: "settled", lane: null, released: false }]);
    const { state, reason, attempts, dueAtMs, expiresAtMs, leased, finishedAtMs } = await world().delivery(
      sent.id,
    );
    assert.deepEqual(
      { state, reason, attempts, dueAtMs, expiresAtMs, leased },
      { state: "delivered", reason: null, attempts: 1, dueAtMs: null, expiresAtMs: null, leased: false },
    );
    assert(finishedAtMs);
    const [attempt, ...others] = await world().attempts(sent.id);
    assert(attempt);
    assert.equal(others.length, 0);
    const { startedAtMs, responseBody, ...facts } = attempt;
    assert.equal(startedAtMs, finishedAtMs - 12);
    assert.equal(Buffer.from(responseBody ?? []).toString(), "thanks");
    assert.deepEqual(facts, {
      id: settlement.attempt?.id,
      deliveryId: sent.id,
      endpointId: endpoint,
      eventId: sent.eventId,
      appId: app.id,
      number: 1,
      durationMs: 10,
      outcome: OK,
      url: "https://shop.example/hooks",
    });
    assert.deepEqual(
      await world().store.read.find("attempt", { id: facts.id, deliveryId: sent.id }),
      attempt,
    );
  });

  test("every outcome comes back as it was", async () => {
    const { app, endpoint } = await world().pair();
    const outcomes: AttemptOutcome[] = [
      { kind: "succeeded", status: 204, control: "abort-message" },
      { kind: "rejected", status: 429, retryAfterMs: 1500, control: "disable" },
      { kind: "rejected", status: 200, cause: "unacknowledged", retryAfterMs: null, control: null },
      { kind: "timed_out", phase: "connect" },
      { kind: "unreachable", cause: "dns", detail: "ENOTFOUND" },
      { kind: "invalid", detail: "the secret cannot be opened" },
    ];
    const sent = await world().send(app, endpoint);
    for (const [index, outcome] of outcomes.entries()) {
      await world().settle(sent, retryIn(0), { outcome, number: index + 1 });
      await world().claim(endpoint);
    }
    const attempts = await world().attempts(sent.id);
    assert.deepEqual(
      attempts.map((attempt) => attempt.outcome),
      outcomes,
    );
    assert.deepEqual(
      attempts.map(({ number }) => number),
      [1, 2, 3, 4, 5, 6],
    );
  });

  test("a retry waits for its time, in the class of retries, and counts its failures", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const result = await world().settle(sent, retryIn(5 * SECOND));
    assert.deepEqual(result, { kind: "settled", lane: { failingForMs: 0, failures: 1 }, released: false });
    const { state, attempts, leased, dueAtMs, expiresAtMs } = await world().delivery(sent.id);
    assert.deepEqual({ state, attempts, leased }, { state: "pending", attempts: 1, leased: false });
    assert.equal(expiresAtMs, (dueAtMs ?? 0) + 7 * DAY);
    assert.deepEqual(await world().claim(endpoint), []);
    await world().store.advance(5 * SECOND);
    const [claimed] = await world().claim(endpoint);
    assert.equal(claimed?.class, 1);
    assert.equal(claimed?.failures, 1);
    await world().settle(sent, DELIVERED, { number: 2 });
    assert.equal((await world().delivery(sent.id)).attempts, 2);
  });

  test("every reason for a dead letter is kept", async () => {
    const { app, endpoint } = await world().pair();
    const reasons: DeadLetterReason[] = [
      "attempts_exhausted",
      "expired",
      "endpoint_disabled",
      "refused",
      "invalid",
    ];
    for (const reason of reasons) {
      const sent = await world().send(app, endpoint);
      await world().settle(sent, { kind: "dead_lettered", reason });
      const found = await world().delivery(sent.id);
      assert.equal(found.state, "dead_lettered");
      assert.equal(found.reason, reason);
    }
  });

  test("what is handed back unsent is due at once, without an attempt", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    assert.deepEqual(await world().settle(sent, { kind: "release" }), {
      kind: "settled",
      lane: null,
      released: false,
    });
    assert.deepEqual(await world().attempts(sent.id), []);
    const [claimed] = await world().claim(endpoint);
    assert.equal(claimed?.id, sent.id);
    assert.equal(claimed?.class, 0);
  });

  test("settling twice changes nothing the second time", async () => {
    const { app, endpoint } = await world().pair();
    const [ended, waiting] = [await world().send(app, endpoint), await world().send(app, endpoint)];
    const settlements = [world().settlement(ended, DELIVERED), world().settlement(waiting, retryIn(SECOND))];
    await world().store.write.settle(settlements, []);
    const before = await world().delivery(waiting.id);
    const results = await world().store.write.settle(settlements, []);
    assert.deepEqual(results, [
      { kind: "final", state: "delivered" },
      { kind: "fenced", finished: false },
    ]);
    assert.deepEqual(await world().delivery(waiting.id), before);
    assert.equal((await world().attempts(ended.id)).length, 1);
    assert.equal((await world().attempts(waiting.id)).length, 1);
  });

  test("a fenced writer's attempt is on record, its verdict is not", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const late = world().settlement(sent, DEAD);
    await world().takeOver();
    await world().exhaust(() => world().store.write.rescue(100));
    assert.deepEqual(await world().store.write.settle([late], []), [{ kind: "fenced", finished: false }]);
    assert.equal((await world().delivery(sent.id)).state, "pending");
    const attempts = await world().attempts(sent.id);
    assert.deepEqual(
      attempts.map(({ number, outcome }) => [number, outcome.kind]),
      [
        [1, "unknown"],
        [2, "rejected"],
      ],
    );
    const [claimed] = await world().claim(endpoint);
    assert.equal(claimed?.attempts, 2, "so that the next attempt is the third");
    await world().settle(sent, DELIVERED, { number: 3 });
  });

  test("a late attempt that takes a number does not get in the way of the one under way", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const late = world().settlement(sent, DEAD);
    await world().takeOver();
    await world().exhaust(() => world().store.write.rescue(100));
    const [claimed] = await world().claim(endpoint);
    await world().store.write.settle([late], []);
    const result = await world().settle(sent, DELIVERED, { number: (claimed?.attempts ?? 0) + 1 });
    assert.equal(result.kind, "settled");
    assert.deepEqual(
      (await world().attempts(sent.id)).map(({ number, outcome }) => [number, outcome.kind]),
      [
        [1, "unknown"],
        [2, "rejected"],
        [3, "succeeded"],
      ],
    );
  });

  test("a fenced writer's late success ends a delivery that is still unfinished", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    const late = world().settlement(sent, DELIVERED);
    await world().takeOver();
    assert.deepEqual(await world().store.write.settle([late], []), [{ kind: "fenced", finished: true }]);
    assert.equal((await world().delivery(sent.id)).state, "delivered");
    assert.deepEqual(await world().store.write.settle([late], []), [{ kind: "final", state: "delivered" }]);
  });

  test("what ended meanwhile stays as it ended, and the attempt is on record", async () => {
    const { app, endpoint } = await world().pair();
    const sent = await world().send(app, endpoint);
    await world().store.write.cancel({ kind: "delivery", id: sent.id, reason: "by_hand" }, 1);
    assert.deepEqual(await world().settle(sent, DELIVERED), { kind: "final", state: "cancelled" });
    assert.equal((await world().delivery(sent.id)).state, "cancelled");
    assert.equal((await world().attempts(sent.id)).length, 1);
  });

  test("one bad settlement fails alone", async () => {
    const { app, endpoint } = await world().pair();
    const [one, two] = [await world().send(app, endpoint), await world().send(app, endpoint)];
    const results = await world().store.write.settle(
      [
        world().settlement(one, DELIVERED),
        world().settlement({ ...one, id: newId("dlv", app.locator) }, DELIVERED),
        { ...world().settlement(two, DELIVERED), attempt: null },
        world().settlement(two, DELIVERED, { outcome: OK }),
      ],
      [],
    );
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ["settled", "failed", "failed", "settled"],
    );
    assert.equal((await world().delivery(one.id)).state, "delivered");
    assert.equal((await world().delivery(two.id)).state, "delivered");
  });

  test("a batch of settlements larger than a transaction is answered in order", async () => {
    const { app, endpoint } = await world().pair();
    const deliveries = Array.from({ length: 2100 }, () =>
      world().newDelivery(app, endpoint, { lease: world().node }),
    );
    const acceptances = await Promise.all(
      [deliveries.slice(0, 1500), deliveries.slice(1500)].map((slice) => world().acceptance(app, slice)),
    );
    await world().store.write.accept(acceptances);
    const sents = acceptances.flatMap(({ event, deliveries: made }) =>
      made.map(({ id }) => ({ id, appId: app.id, endpointId: endpoint, eventId: event.id })),
    );
    const results = await world().store.write.settle(
      sents.map((sent, index) =>
        world().settlement(sent, index % 2 === 0 ? DELIVERED : retryIn(SECOND), {
          outcome: index % 2 === 0 ? OK : REFUSED,
        }),
      ),
      [],
    );
    assert.equal(results.length, 2100);
    assert(
      results.every(
        (result, index) => result.kind === "settled" && (result.lane === null) === (index % 2 === 0),
      ),
    );
  });
}

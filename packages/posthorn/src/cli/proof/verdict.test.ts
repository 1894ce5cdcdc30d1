import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AttemptFacts, BREACHES, type BreachKind, type DeliveryFacts, pairKey } from "./breach.ts";
import type { AcceptedLine, ReceivedLine } from "./ledger.ts";
import type { PlannedEndpoint } from "./plan.ts";
import { judge, pairsToLookUp, type Verdict } from "./verdict.ts";

/** A run in which one event of the shop was accepted, refused once by its endpoint, and delivered a second later. */
const endpoint: PlannedEndpoint = {
  name: "shop-1",
  app: "shop",
  endpointId: "ep_1",
  secret: "",
  eventTypes: ["order.created"],
  ordering: "unordered",
  retrySchedule: [1, 1],
};
const other: PlannedEndpoint = { ...endpoint, name: "bank-1", app: "bank", endpointId: "ep_2" };
const event: AcceptedLine = {
  eventId: "evt_1",
  app: "shop",
  eventType: "order.created",
  orderingKey: "",
  bodyHash: "h1",
  sequence: 1,
  intendedUs: 0,
  answeredUs: 500,
};
const refused: ReceivedLine = {
  eventId: "evt_1",
  endpoint: "shop-1",
  bodyHash: "h1",
  signatureValid: true,
  status: 500,
  receivedUs: 1000,
};
const taken: ReceivedLine = { ...refused, status: 200, receivedUs: 1_101_000 };
const attempts: AttemptFacts[] = [
  { number: 1, outcome: "rejected", startedAtMs: 1000, durationMs: 2 },
  { number: 2, outcome: "succeeded", startedAtMs: 2102, durationMs: 2 },
];
const delivery: DeliveryFacts = {
  eventId: "evt_1",
  endpointId: "ep_1",
  state: "delivered",
  reason: null,
  hold: null,
  dueAt: null,
  attempts,
};

interface Run {
  plan?: PlannedEndpoint[];
  accepted?: AcceptedLine[];
  received?: ReceivedLine[];
  deliveries?: DeliveryFacts[];
}

function verdictOf({
  plan = [endpoint, other],
  accepted = [event],
  received = [refused, taken],
  deliveries = [delivery],
}: Run): Verdict {
  const nameOf = new Map(plan.map(({ endpointId, name }) => [endpointId, name]));
  const facts = new Map(
    deliveries.map((facts) => [pairKey(facts.eventId, nameOf.get(facts.endpointId)!), facts]),
  );
  return judge({ plan, accepted, received, facts });
}

function assertBreaches(run: Run, expected: Partial<Record<BreachKind, number>>): void {
  const verdict = verdictOf(run);
  const none = Object.fromEntries(Object.keys(BREACHES).map((kind) => [kind, 0]));
  assert.deepEqual(verdict.breaches, { ...none, ...expected }, JSON.stringify(verdict.examples));
  assert.equal(verdict.ok, Object.keys(expected).length === 0);
}

describe("a run that kept the promise", () => {
  test("counts one delivery after a retry", () => {
    assertBreaches({}, {});
    const { accepted, expected, delivered, requests } = verdictOf({});
    assert.deepEqual(
      { accepted, expected, delivered, requests },
      { accepted: 1, expected: 1, delivered: 1, requests: 2 },
    );
  });

  test("may dead-letter after every attempt of the schedule", () => {
    const three = [1000, 2100, 3200].map((startedAtMs, index) => ({
      number: index + 1,
      outcome: "rejected",
      startedAtMs,
      durationMs: 2,
    }));
    const received = three.map(({ startedAtMs }) => ({ ...refused, receivedUs: startedAtMs * 1000 }));
    const dead = { ...delivery, state: "dead_lettered", reason: "attempts_exhausted", attempts: three };
    assertBreaches({ received, deliveries: [dead] }, {});
    assert.equal(verdictOf({ received, deliveries: [dead] }).deadLettered, 1);
  });

  test("may leave a delivery waiting for its next attempt", () => {
    const waiting = {
      ...delivery,
      state: "pending",
      dueAt: "2026-01-01T00:00:00.000Z",
      attempts: [attempts[0]!],
    };
    assertBreaches({ received: [refused], deliveries: [waiting] }, {});
    assert.equal(verdictOf({ received: [refused], deliveries: [waiting] }).pending, 1);
  });

  test("may send twice around a crash, when the log says so", () => {
    const unknown = { number: 1, outcome: "unknown", startedAtMs: 1000, durationMs: 0 };
    const deliveries = [{ ...delivery, attempts: [unknown, { ...attempts[1]!, startedAtMs: 1010 }] }];
    const received = [{ ...taken, receivedUs: 1000 }, taken];
    assertBreaches({ received, deliveries }, {});
    assert.equal(verdictOf({ received, deliveries }).duplicatesExplained, 1);
  });

  test("may have the attempt of a writer taken for dead, told late, outside of the schedule", () => {
    const [failed] = attempts as [AttemptFacts];
    const unknown = { number: 2, outcome: "unknown", startedAtMs: 9000, durationMs: 0 };
    const again = { ...failed, number: 3, startedAtMs: 9010 };
    const last = { ...attempts[1]!, number: 5, startedAtMs: 10_050 };
    const late = { ...failed, number: 4, startedAtMs: 2100, durationMs: 7920 };
    const received = [refused, refused, refused, taken];
    const withAttempts = (...log: AttemptFacts[]) => ({
      received,
      deliveries: [{ ...delivery, attempts: log }],
    });
    assertBreaches(withAttempts(failed, unknown, again, late, last), {});
    const begunSince = { ...late, startedAtMs: 9050, durationMs: 2 };
    assertBreaches(withAttempts(failed, unknown, again, begunSince, { ...last, startedAtMs: 10_060 }), {
      early_retry: 1,
    });
  });

  test("may count an answer that came late, when the sender was late itself", () => {
    const late = { ...taken, status: -200 };
    assertBreaches({ received: [refused, late] }, {});
    const timedOut = { ...delivery, state: "pending", attempts };
    assertBreaches({ received: [refused, late], deliveries: [timedOut] }, { lost: 1 });
  });

  test("needs no look at the API for what went well at once", () => {
    assert.deepEqual(pairsToLookUp({ plan: [endpoint], accepted: [event], received: [taken] }), []);
    assertBreaches({ received: [taken], deliveries: [] }, {});
    const [pair] = pairsToLookUp({ plan: [endpoint], accepted: [event], received: [refused, taken] });
    assert.equal(pair?.key, pairKey("evt_1", "shop-1"));
  });
});

describe("every kind of breach is found", () => {
  test("lost: nobody received it", () => {
    assertBreaches(
      { received: [], deliveries: [{ ...delivery, attempts: [attempts[1]!] }] },
      { lost: 1, missing_attempt: 1 },
    );
    assertBreaches({ received: [], deliveries: [] }, { lost: 1 });
  });

  test("lost: given up before the schedule ended", () => {
    const dead = {
      ...delivery,
      state: "dead_lettered",
      reason: "attempts_exhausted",
      attempts: [attempts[0]!],
    };
    assertBreaches({ received: [refused], deliveries: [dead] }, { lost: 1 });
    const three = [...attempts.map((attempt) => ({ ...attempt, outcome: "rejected" }))];
    const disabled = { ...dead, reason: "endpoint_disabled", attempts: three };
    assertBreaches({ received: [refused], deliveries: [disabled] }, { lost: 1 });
  });

  test("lost: pending with neither a due time nor a place in an order", () => {
    const stuck = { ...delivery, state: "pending", attempts: [attempts[0]!] };
    assertBreaches({ received: [refused], deliveries: [stuck] }, { lost: 1 });
  });

  test("phantom: an event that nobody published, or a type that the endpoint does not want", () => {
    assertBreaches({ received: [refused, taken, { ...taken, eventId: "evt_9" }] }, { phantom: 1 });
    const unwanted = { ...event, eventId: "evt_2", eventType: "order.paid" };
    assertBreaches(
      { accepted: [event, unwanted], received: [refused, taken, { ...taken, eventId: "evt_2" }] },
      { phantom: 1 },
    );
  });

  test("duplicate: a second success that no unknown attempt explains", () => {
    const received = [{ ...taken, receivedUs: 1000 }, taken];
    const twice = attempts.map((attempt) => ({ ...attempt, outcome: "succeeded" }));
    assertBreaches({ received, deliveries: [{ ...delivery, attempts: twice }] }, { duplicate: 1 });
    assertBreaches({ received, deliveries: [] }, { duplicate: 1 });
  });

  test("bad signature", () => {
    assertBreaches({ received: [refused, { ...taken, signatureValid: false }] }, { bad_signature: 1 });
  });

  test("changed body", () => {
    assertBreaches({ received: [{ ...refused, bodyHash: "h2" }, taken] }, { changed_body: 1 });
  });

  test("missing attempt: a request that the log does not have", () => {
    const onlyLast = [{ ...attempts[1]!, number: 1 }];
    assertBreaches({ deliveries: [{ ...delivery, attempts: onlyLast }] }, { missing_attempt: 1 });
  });

  test("missing attempt: a success that the log calls a failure, and a gap in the numbers", () => {
    const failed = attempts.map((attempt) => ({ ...attempt, outcome: "rejected" }));
    assertBreaches({ deliveries: [{ ...delivery, attempts: failed }] }, { missing_attempt: 1 });
    const gap = [attempts[0]!, { ...attempts[1]!, number: 3 }];
    assertBreaches({ deliveries: [{ ...delivery, attempts: gap }] }, { missing_attempt: 1 });
  });

  test("early retry: by the log, and by the receiver's clock", () => {
    const hasty = [attempts[0]!, { ...attempts[1]!, startedAtMs: 1700 }];
    assertBreaches({ deliveries: [{ ...delivery, attempts: hasty }] }, { early_retry: 1 });
    assertBreaches({ received: [refused, { ...taken, receivedUs: 700_000 }] }, { early_retry: 1 });
  });

  test("wrong app", () => {
    assertBreaches({ received: [refused, taken, { ...taken, endpoint: "bank-1" }] }, { wrong_app: 1 });
  });
});

describe("order", () => {
  const events = [1, 2, 3].map((sequence) => ({ ...event, eventId: `evt_${sequence}`, sequence }));
  const inOrder = events.map(({ eventId, sequence }) => ({ ...taken, eventId, receivedUs: sequence * 1000 }));
  const fifo: PlannedEndpoint = { ...endpoint, ordering: "fifo" };
  const [first, second, third] = inOrder as [ReceivedLine, ReceivedLine, ReceivedLine];

  test("is kept by requests that never run backwards", () => {
    assertBreaches({ plan: [fifo], accepted: events, received: inOrder, deliveries: [] }, {});
  });

  test("is broken by one that comes before its predecessor has ended", () => {
    const received = [{ ...first, status: 500 }, second, first, third];
    const deliveries = [{ ...delivery, attempts: [attempts[0]!, { ...attempts[1]!, startedAtMs: 1000 }] }];
    const { breaches } = verdictOf({ plan: [fifo], accepted: events, received, deliveries });
    assert.equal(breaches.out_of_order, 2, "the second too early, and the first after it");
  });

  test("is not broken by what a node sends once more that was taken for dead", () => {
    const unknown = { number: 1, outcome: "unknown", startedAtMs: 1000, durationMs: 0 };
    const takenOver = { ...delivery, attempts: [unknown, { ...attempts[1]!, startedAtMs: 1010 }] };
    const run = { plan: [fifo], accepted: events, deliveries: [takenOver] };
    assertBreaches({ ...run, received: [first, second, first, third] }, {});
    assert.equal(verdictOf({ ...run, received: [first, second, first, third] }).duplicatesExplained, 1);
    // One unknown attempt explains one late repeat, and only of its own delivery.
    const twice = verdictOf({ ...run, received: [first, second, first, first, third] });
    assert.equal(twice.breaches.out_of_order, 1);
    assert.equal(verdictOf({ ...run, received: [first, second, third, second] }).breaches.out_of_order, 1);
  });

  test("is broken by a first arrival out of its place, whatever was unknown", () => {
    const unknown = { number: 1, outcome: "unknown", startedAtMs: 1000, durationMs: 0 };
    const both = events.map(({ eventId }) => ({
      ...delivery,
      eventId,
      attempts: [unknown, { ...attempts[1]!, startedAtMs: 1010 }],
    }));
    const run = { plan: [fifo], accepted: events, deliveries: both };
    // The second before the first had ended, and the first for the first time after it.
    assert.equal(verdictOf({ ...run, received: [second, first, third] }).breaches.out_of_order, 2);
    // The first has arrived but not ended; its retry is a late repeat, the second still too early.
    const failedFirst = { ...first, status: 500 };
    assert.equal(
      verdictOf({ ...run, received: [failedFirst, second, first, third] }).breaches.out_of_order,
      1,
    );
  });

  test("goes on past a dead letter", () => {
    const dead = { ...delivery, state: "dead_lettered", reason: "attempts_exhausted" };
    const deliveries = [
      {
        ...dead,
        attempts: [1000, 2100, 3200].map((startedAtMs, index) => ({
          number: index + 1,
          outcome: "rejected",
          startedAtMs,
          durationMs: 2,
        })),
      },
    ];
    const refusals = [0, 1100, 2200].map((ms) => ({ ...first, status: 500, receivedUs: ms * 1000 }));
    assertBreaches(
      { plan: [fifo], accepted: events, received: [...refusals, second, third], deliveries },
      {},
    );
  });

  test("holds per key where the endpoint is keyed", () => {
    const keyed: PlannedEndpoint = { ...endpoint, ordering: "keyed" };
    const accepted = events.map((line) => ({ ...line, orderingKey: line.sequence === 2 ? "b" : "a" }));
    assertBreaches({ plan: [keyed], accepted, received: [second, first, third], deliveries: [] }, {});
    assertBreaches(
      { plan: [keyed], accepted, received: [second, third, first], deliveries: [] },
      { out_of_order: 2 },
    );
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import type { Publication } from "../domain/publication.ts";
import type { PublishOutcome } from "../engine/engine.ts";
import { type NewEvent, publishInside, publishMany, publishOne } from "./publish.ts";

const envelope = { app: "shop", type: "order.created" };

function engineThat(outcome: (publication: Publication) => PublishOutcome) {
  const publications: Publication[] = [];
  return {
    publications,
    async publish(given: readonly Publication[]) {
      publications.push(...given);
      return given.map(outcome);
    },
  };
}
const accept = () =>
  engineThat(() => ({ kind: "accepted", id: "evt_1", duplicate: false, deliveries: 1, fanOut: "done" }));
const dataOf = (publication: Publication | undefined) => Buffer.from(publication?.data ?? []).toString();

describe("publishing from the library", () => {
  test("a value is written as JSON, JSON is taken as it is", async () => {
    const engine = accept();
    assert.deepEqual(await publishOne(engine, { ...envelope, data: { b: 1, a: [null] } }), {
      id: "evt_1",
      duplicate: false,
      deliveries: 1,
      fanOut: "done",
    });
    const exact = '{"2":1,"1":2,\n"n":9007199254740993,"d":1.0,"e":1e2}';
    await publishOne(engine, { ...envelope, dataJson: ` ${exact}\n` });
    await publishOne(engine, { ...envelope, dataJson: Buffer.from(exact), idempotencyKey: "k" });
    assert.deepEqual(engine.publications.map(dataOf), ['{"b":1,"a":[null]}', exact, exact]);
    assert.deepEqual(engine.publications[2]?.envelope, envelope);
    assert.equal(engine.publications[2]?.idempotencyKey, "k");
  });

  test("a Date is a time; the order of fields does not make another request", async () => {
    const engine = accept();
    const timestamp = new Date(0);
    await publishOne(engine, { ...envelope, timestamp, data: 1 });
    await publishOne(engine, {
      timestamp: timestamp.toISOString(),
      data: 1,
      type: envelope.type,
      app: envelope.app,
    });
    const [first, second] = engine.publications;
    assert.deepEqual(first?.envelope, { ...envelope, timestamp: "1970-01-01T00:00:00.000Z" });
    assert.deepEqual(first?.raw, second?.raw);
  });

  test("what is no JSON is refused, with its field", async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const bad: [NewEvent, string][] = [
      [{ ...envelope, data: circular }, "invalid_field"],
      [{ ...envelope, data: 1n }, "invalid_field"],
      [{ ...envelope, dataJson: '{"a":1,"a":2}' }, "duplicate_key"],
      [{ ...envelope, dataJson: "{" }, "invalid_json"],
      [{ ...envelope, dataJson: Buffer.from([0x22, 0xff, 0x22]) }, "invalid_utf8"],
      [{ ...envelope, dataJson: `${"[".repeat(65)}${"]".repeat(65)}` }, "too_deep"],
      [{ ...envelope, data: 1, dataJson: "1" } as never, "invalid_field"],
      [{ ...envelope, data: 1, timestamp: new Date(Number.NaN) }, "invalid_field"],
    ];
    const engine = accept();
    for (const [event, code] of bad) {
      await assert.rejects(
        publishOne(engine, event),
        (error) => error instanceof PosthornError && error.code === code,
      );
    }
    assert.equal(engine.publications.length, 0);
    const outcomes = await publishMany(engine, [...bad.map(([event]) => event), { ...envelope, data: 1 }]);
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.kind === "refused" ? outcome.error.code : outcome.id)),
      [...bad.map(([, code]) => code), "evt_1"],
    );
  });

  test("data that is undefined is missing, for the engine to say", async () => {
    const engine = accept();
    await publishOne(engine, { ...envelope, data: undefined });
    assert.equal(engine.publications[0]?.data, undefined);
  });

  test("a refusal is thrown for one, and stands at its place for many", async () => {
    const error = new PosthornError("unknown_event_type", "no");
    const engine = engineThat(() => ({ kind: "refused", error }));
    await assert.rejects(publishOne(engine, { ...envelope, data: 1 }), error);
    assert.deepEqual(await publishMany(engine, [{ ...envelope, data: 1 }]), [{ kind: "refused", error }]);
    await assert.rejects(publishMany(engine, new Array(1001).fill({ ...envelope, data: 1 })));
  });

  test("inside a transaction: only on a store that is a database of theirs, and through a client", async () => {
    const asked: unknown[][] = [];
    const client = {
      async query(...args: unknown[]) {
        asked.push(args);
        return { rows: [{ id: "pub_01h00000000000000000000000000a" }] };
      },
    };
    const event = { ...envelope, dataJson: ' {"d":1.0} ', deliverAt: new Date(0), idempotencyKey: "k" };
    const onFile = publishInside({ shared: false }, event, client);
    await assert.rejects(onFile, {
      code: "invalid_field",
      pointer: "/client",
      message: /needs a store on PostgreSQL/,
    });
    const noClient = publishInside({ shared: true }, event, undefined as never);
    await assert.rejects(noClient, { code: "invalid_field", pointer: "/client" });
    assert.deepEqual(asked, []);
    await publishInside({ shared: true }, event, client);
    const values = asked[0]?.[1];
    const { app, type } = envelope;
    assert.deepEqual(values, [
      app,
      type,
      '{"d":1.0}',
      null,
      null,
      null,
      null,
      "1970-01-01T00:00:00.000Z",
      "k",
    ]);
  });
});

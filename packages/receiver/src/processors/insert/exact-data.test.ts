import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { exactData } from "./exact-data.ts";

function eventOf(payload: string, read: (parsed: never) => unknown): ReceivedEvent {
  return {
    id: "evt_1",
    type: "order.created",
    timestampSeconds: null,
    receivedAtMs: 0,
    headers: {},
    payload: new TextEncoder().encode(payload),
    data: read(payload.startsWith("{") ? (JSON.parse(payload) as never) : (payload as never)),
  };
}

const digits = '{"id":9007199254740993,"price":12345678901234.567,"few":1.50,"text":"9007199254740993"}';

for (const [where, payload, read] of [
  ["the whole payload", digits, (all: unknown) => all],
  ["its member data", `{"type":"t","data":${digits}}`, (all: { data: unknown }) => all.data],
  [
    "deeper inside",
    `{"data":{"object":[1,${digits}]}}`,
    (all: { data: { object: unknown[] } }) => all.data.object[1],
  ],
] as const) {
  test(`numbers come as the sender wrote them: data is ${where}`, () => {
    const { data, isExact } = exactData(eventOf(payload, read as (parsed: never) => unknown));
    assert.ok(isExact);
    assert.equal(
      JSON.stringify(data),
      '{"id":9007199254740993,"price":12345678901234.567,"few":1.5,"text":"9007199254740993"}',
    );
  });
}

test("of two parts that are the same once rounded, neither is taken for the data", () => {
  const read = (all: { data: { object: unknown } }) => all.data.object;
  const two = (before: string) =>
    eventOf(`{"data":{"before":{"n":${before}},"object":{"n":9007199254740992}}}`, read);
  assert.equal(exactData(two("9007199254740993")).isExact, false);
  assert.equal(exactData(two("9007199254740992")).isExact, true);
});

test("a payload without long numbers is not parsed again", () => {
  const event = eventOf('{"data":{"id":123456789012345}}', (all: { data: unknown }) => all.data);
  assert.equal(exactData(event).data, event.data);
});

test("what is not a part of the payload is told to be rounded", () => {
  const form = eventOf("total=9007199254740993", () => ({ total: 9007199254740992 }));
  assert.deepEqual(exactData(form), { data: form.data, isExact: false });
  const changed = eventOf('{"data":{"id":9007199254740993}}', () => ({ other: 1 }));
  assert.deepEqual(exactData(changed), { data: changed.data, isExact: false });
});

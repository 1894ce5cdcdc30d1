import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { dataText } from "./data-text.ts";

function eventOf(payload: string, data: unknown): ReceivedEvent {
  return {
    id: "evt_1",
    type: "t",
    data,
    timestampSeconds: null,
    payload: new TextEncoder().encode(payload),
    headers: {},
    receivedAtMs: 0,
  };
}

const own = '{"2":1, "1":[2.50,1e2,"\\u00e9\\/ \\"]}"],"n":9007199254740993}';

test("data keeps the sender's bytes, as the whole payload and as a member of it", () => {
  const data = JSON.parse(own);
  assert.equal(dataText(eventOf(own, data)), own);
  const around = `{"timestamp":{"data":[1,{}]},"other":"data","data" : ${own} ,"type":"t"}`;
  assert.equal(dataText(eventOf(around, data)), own);
  assert.equal(dataText(eventOf(`{"event":${own}}`, data)), own);
  assert.equal(dataText(eventOf('{"copy":1.50,"data":1.5}', 1.5)), "1.5");
  assert.equal(dataText(eventOf(`{"data":1,"data":${own}}`, data)), own);
});

test("data from elsewhere is written anew, and its numbers keep their digits", () => {
  const deep = `{"data":{"object":${own}}}`;
  const text = dataText(eventOf(deep, JSON.parse(own)));
  assert.equal(text, '{"1":[2.5,100,"é/ \\"]}"],"2":1,"n":9007199254740993}');
  assert.equal(dataText(eventOf("a=1&b=2", { a: "1", b: "2" })), '{"a":"1","b":"2"}');
  assert.equal(dataText(eventOf("", undefined)), "null");
});

test("of members that differ in digits alone none is taken, and a number that cannot be told is refused", () => {
  const payload = '{"summary":{"n":9007199254740993},"resource":{"n":9007199254740992}}';
  assert.throws(() => dataText(eventOf(payload, { n: 9007199254740992 })), {
    name: "RangeError",
    message: /its data must hold a number up to 2\^53/,
  });
  const same = payload.replace("3}", "2}");
  assert.equal(dataText(eventOf(same, { n: 9007199254740992 })), '{"n":9007199254740992}');
});

test("it is one line, and half of a surrogate pair is replaced", () => {
  assert.equal(dataText(eventOf('{\r\n "a":1\n}', { a: 1 })), '{   "a":1 }');
  const halves = String.raw`["\ud83d\ude00","\ud83d","\udE00x","\\ud83d"]`;
  const expected = String.raw`["\ud83d\ude00","\ufffd","\ufffdx","\\ud83d"]`;
  assert.equal(dataText(eventOf(halves, JSON.parse(halves))), expected);
});

test("whatever the data is, its text stands in the payload and means the same", () => {
  const property = fc.property(
    fc.json(),
    fc.json(),
    fc.constantFrom("", " ", "\n\t"),
    (before, text, space) => {
      const payload = `{"before":${before},${space}"data":${space}${text}${space}}`;
      const data = JSON.parse(text);
      const found = dataText(eventOf(payload, data));
      assert.deepEqual(JSON.parse(found), data);
      assert.ok(payload.includes(found));
    },
  );
  fc.assert(property, { numRuns: 200 });
});

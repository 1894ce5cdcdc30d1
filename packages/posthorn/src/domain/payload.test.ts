import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { buildPayload, readPayload } from "./payload.ts";

test("the payload is type, timestamp and the bytes of data as they came", () => {
  const data = Buffer.from('{"2":1,"1":2,"n":9007199254740993,"d":1.0,"e":1e2 }');
  const payload = buildPayload("order.created", "2026-01-31T12:00:00Z", data);
  assert.equal(
    Buffer.from(payload.bytes).toString(),
    `{"type":"order.created","timestamp":"2026-01-31T12:00:00Z","data":${data}}`,
  );
});

test("any data lies in it unchanged, in a buffer that holds nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      const { bytes, dataStart, dataEnd } = buildPayload("a", "2026-01-31T12:00:00Z", data);
      assert.deepEqual(new Uint8Array(bytes.subarray(dataStart, dataEnd)), data);
      assert.equal(bytes[dataEnd], "}".charCodeAt(0));
      assert.equal(bytes.length, dataEnd + 1);
      assert.equal(bytes.buffer.byteLength, bytes.length);
    }),
  );
});

test("it is taken apart into what it was built of, without a copy of the data", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{1,20})*$/),
      fc.constantFrom("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123+08:00"),
      fc.json(),
      (eventType, timestamp, json) => {
        const { bytes } = buildPayload(eventType, timestamp, Buffer.from(json));
        const { data, ...head } = readPayload(bytes);
        assert.deepEqual(head, { type: eventType, timestamp });
        assert.equal(Buffer.from(data).toString(), json);
        assert.equal(data.buffer, bytes.buffer);
      },
    ),
  );
  for (const text of ["", "{}", '{"type":"a"}', '{"data":1,"type":"a","timestamp":"b"}'])
    assert.throws(() => readPayload(Buffer.from(text)), /not in the form/);
});

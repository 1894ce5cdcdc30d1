import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { buildPayload } from "./payload.ts";

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

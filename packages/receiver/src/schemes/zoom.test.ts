import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { zoom } from "./zoom.ts";

const [OLD, NEW] = ["zoom-old", "zoom-new"];
const NOW = 1_739_923_528;

const mac = (secret: string, content: string) => createHmac("sha256", secret).update(content).digest("hex");
function receive(body: string, secret: string, signature = `v0=${mac(secret, `v0:${NOW}:${body}`)}`) {
  const headers = { "x-zm-signature": signature, "x-zm-request-timestamp": String(NOW) };
  const request = { method: "POST", url: "https://r.example/", headers, body };
  return zoom.verifier([NEW, OLD])(request, { nowSeconds: NOW, toleranceSeconds: 300 });
}
const question = (plainToken: unknown) =>
  JSON.stringify({ payload: { plainToken }, event_ts: 1_654_503_849_680, event: "endpoint.url_validation" });

describe("Zoom", () => {
  test("validates the URL: the answer is made with the secret that signed the question", () => {
    for (const secret of [OLD, NEW]) {
      const verified = receive(question("qgg8vlvZRS6UYooatFL8Aw"), secret);
      assert.ok(verified.kind === "handshake");
      assert.equal(verified.answer.status, 200);
      assert.deepEqual(JSON.parse(verified.answer.body), {
        plainToken: "qgg8vlvZRS6UYooatFL8Aw",
        encryptedToken: mac(secret, "qgg8vlvZRS6UYooatFL8Aw"),
      });
    }
  });
  test("answers no stranger, and makes no signature for anybody", () => {
    // An answer to this would be the signature of a request of the asker's choice.
    const forged = `v0:${NOW}:{"event":"meeting.started"}`;
    assert.throws(() => receive(question(forged), NEW, `v0=${"0".repeat(64)}`), {
      code: "no_matching_signature",
    });
    assert.equal(receive(question(forged), NEW).kind, "event");
    assert.equal(receive(question(7), NEW).kind, "event");
    const about = question("abc").replace(
      /"endpoint.url_validation"/,
      '"chat.sent","text":"endpoint.url_validation"',
    );
    assert.equal(receive(about, NEW).kind, "event");
  });
  test("has no ids: the bytes stand for the event", () => {
    const body = '{"event":"meeting.started","event_ts":1739923528546,"payload":{"object":{"id":"1"}}}';
    const verified = receive(body, OLD);
    assert.ok(verified.kind === "event");
    const read = (text: string) => zoom.describe(Buffer.from(text), linesOf({}));
    const { id, type, data } = read(body);
    assert.deepEqual({ type, data }, { type: "meeting.started", data: { object: { id: "1" } } });
    assert.match(id ?? "", /^sha256:[0-9a-f]{64}$/);
    assert.equal(read(body).id, id);
    assert.notEqual(read(body.replace("546", "547")).id, id);
    assert.throws(() => read('{"payload":{}}'), { code: "invalid_payload" });
  });
  test("what we send in its form is signed like Zoom's", () => {
    const data = Buffer.from('{"n":1.0}');
    const event = { id: "evt_1", type: "order.created", timestamp: "2025-02-19T00:05:28.546Z", data };
    const { body, contentType } = zoom.compose(event);
    assert.equal(
      Buffer.from(body).toString(),
      '{"event":"order.created","event_ts":1739923528546,"payload":{"n":1.0}}',
    );
    const url = "https://r.example/";
    const { headers } = zoom.sign({ ...event, body, contentType, timestampSeconds: NOW, url }, [NEW, OLD]);
    assert.equal(headers["x-zm-signature"], `v0=${mac(NEW, `v0:${NOW}:${Buffer.from(body)}`)}`);
  });
});

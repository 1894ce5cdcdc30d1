import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { slack } from "./slack.ts";

const SECRET = "8f742231b10e8888abcd99yyyzzz85a5";
const NOW = 1_531_420_618;

const mac = (content: string) => createHmac("sha256", SECRET).update(content).digest("hex");
function receive(
  body: string,
  { signature = `v0=${mac(`v0:${NOW}:${body}`)}`, timestamp = String(NOW) } = {},
) {
  const headers = { "X-Slack-Signature": signature, "X-Slack-Request-Timestamp": timestamp };
  const request = { method: "POST", url: "https://r.example/", headers, body };
  return slack.verifier(["another", SECRET])(request, { nowSeconds: NOW, toleranceSeconds: 300 });
}
/** What a signed body says. */
function read(body: string) {
  const verified = receive(body);
  assert.ok(verified.kind === "event");
  assert.equal(verified.timestampSeconds, NOW);
  return slack.describe(verified.payload, linesOf({}));
}

describe("Slack", () => {
  test("asks for its challenge, which is answered once the signature is good", () => {
    const body = '{"token":"t","challenge":"3eZbrw1aBm2r","type":"url_verification"}';
    const verified = receive(body);
    assert.ok(verified.kind === "handshake");
    assert.equal(verified.answer.body, "3eZbrw1aBm2r");
    assert.equal(verified.answer.status, 200);
    assert.match(verified.answer.headers["content-type"] ?? "", /^text\/plain/);
    for (const signature of [`v0=${"0".repeat(64)}`, mac(`v0:${NOW}:${body}`), "v1=abc"]) {
      assert.throws(() => receive(body, { signature }), { code: "no_matching_signature" });
    }
  });
  test("an event that only mentions a url_verification is an event", () => {
    const body =
      '{"type":"event_callback","event_id":"Ev1","challenge":"x","event":{"type":"message","text":"url_verification"}}';
    assert.equal(read(body).id, "Ev1");
    assert.equal(receive("text=url_verification&command=%2Fx").kind, "event");
  });
  test("an event is what its envelope holds, with the envelope's id", () => {
    const event = { type: "app_mention", user: "U1", text: "hi" };
    const body = JSON.stringify({ type: "event_callback", team_id: "T1", event_id: "Ev123", event });
    assert.deepEqual(read(body), { id: "Ev123", type: "app_mention", data: event });
    const limited = { type: "app_rate_limited", team_id: "T1", minute_rate_limited: 1_518_467_820 };
    assert.deepEqual(read(JSON.stringify(limited)), { id: null, type: "app_rate_limited", data: limited });
  });
  test("an interaction is the JSON in a form", () => {
    const interaction = { type: "block_actions", trigger_id: "12.34.ab", actions: [{ value: "a&b=c" }] };
    const body = `payload=${encodeURIComponent(JSON.stringify(interaction))}`;
    assert.deepEqual(read(body), { id: "12.34.ab", type: "block_actions", data: interaction });
  });
  test("a slash command is the form", () => {
    const { id, type, data } = read("command=%2Fweather&text=94070+now&trigger_id=13.8");
    assert.deepEqual({ id, type }, { id: "13.8", type: "slash_command" });
    assert.deepEqual(data, { command: "/weather", text: "94070 now", trigger_id: "13.8" });
  });
  test("signed, but neither of these", () => {
    for (const body of ["", "a=b", "payload=nonsense", "payload=%5B%5D", '{"event":{}}', "[]", "{"]) {
      assert.throws(() => read(body), { code: "invalid_payload" }, body);
    }
  });
  test("a time that is not the signed one, or is no time, is refused", () => {
    assert.throws(() => receive("a=b", { timestamp: `${NOW + 1}` }), { code: "no_matching_signature" });
    assert.throws(() => receive("a=b", { timestamp: "soon" }), { code: "invalid_timestamp" });
    assert.throws(() => receive("a=b", { timestamp: "" }), { code: "missing_header" });
    assert.throws(() => receive("a=b", { timestamp: `${NOW - 301}` }), { code: "timestamp_too_old" });
  });
  test("what we send in its form is read as what it was", () => {
    const data = Buffer.from('{"n": 9007199254740993}');
    const event = { id: "evt_1", type: "order.created", timestamp: "2026-01-01T00:00:00Z", data };
    const composed = slack.compose(event);
    assert.ok(Buffer.from(composed.body).includes(data));
    const input = { ...event, ...composed, timestampSeconds: NOW, url: "https://r.example/" };
    const { headers, body } = slack.sign(input, [SECRET, "old"]);
    assert.equal(headers["x-slack-signature"], `v0=${mac(`v0:${NOW}:${Buffer.from(body)}`)}`);
    const { id, type } = slack.describe(body, linesOf(headers));
    assert.deepEqual({ id, type }, { id: "evt_1", type: "order.created" });
  });
});

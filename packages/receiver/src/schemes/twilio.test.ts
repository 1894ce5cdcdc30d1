import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { createReceiver } from "../receiver/receiver.ts";
import { twilio } from "./twilio.ts";

const TOKEN = "12345";
const CLOCK = { nowSeconds: 0, toleranceSeconds: 300 };

const mac = (content: string) => createHmac("sha1", TOKEN).update(content).digest("base64");
interface Received {
  readonly url?: string;
  readonly method?: string;
  readonly body?: string;
  /** What Twilio put under the MAC. */
  readonly content: string;
}
function receive({ url = "https://r.example/hook", method = "POST", body = "", content }: Received) {
  const headers = { "X-Twilio-Signature": mac(content) };
  return twilio.verifier(["another", TOKEN])({ method, url, headers, body }, CLOCK);
}
function read(body: string, headers: Readonly<Record<string, string>> = {}) {
  return twilio.describe(Buffer.from(body), linesOf(headers));
}
const refused = (code: string, run: () => unknown) => assert.throws(run, { name: "VerificationError", code });

describe("what Twilio signs", () => {
  test("the URL, and the parameters of a form sorted by name", () => {
    const url = "https://r.example/hook?a=1";
    const verified = receive({ url, body: "To=%2B1&Body=a+b&From=%2B2", content: `${url}Bodya bFrom+2To+1` });
    assert.ok(verified.kind === "event");
    assert.equal(verified.timestampSeconds, null);
    assert.equal(Buffer.from(verified.payload).toString(), "To=%2B1&Body=a+b&From=%2B2");
    refused("no_matching_signature", () =>
      receive({ url, body: "To=%2B1&Body=a+b&From=%2B3", content: `${url}Bodya bFrom+2To+1` }),
    );
  });
  test("names sort by code unit, values that come twice count once and sorted", () => {
    const url = "https://r.example/hook";
    receive({ body: "b=2&a=3&B=1&b=10&b=2", content: `${url}B1a3b10b2` });
    assert.deepEqual(read("b=2&a=3&b=10&b=2").data, { b: ["2", "10", "2"], a: "3" });
  });
  for (const [name, url, signed] of [
    ["the port of https", "https://r.example/hook?a=1", "https://r.example:443/hook?a=1"],
    ["the port of http", "http://r.example/", "http://r.example:80/"],
    ["no port, where the URL has one", "https://r.example:8443/hook", "https://r.example/hook"],
    ["the port that the URL has", "https://r.example:8443/hook", "https://r.example:8443/hook"],
    [
      "the URL in the letters in which it was entered",
      "https://R.example/h'o?q='x'",
      "https://R.example/h'o?q='x'",
    ],
    ["a query written anew", "https://r.example/?a=1+2&b=%7e&a=3", "https://r.example/?a=1%202&a=3&b=~"],
    ["the same with a port", "https://r.example/?a=1+2?", "https://r.example:443/?a=1%202%3F"],
  ] as const) {
    test(name, () => {
      receive({ url, body: "x=y", content: `${signed}xy` });
      refused("no_matching_signature", () => receive({ url, body: "x=y", content: `${signed}/xy` }));
    });
  }
  test("not another host, path, query or scheme", () => {
    const url = "https://r.example/hook?a=1";
    for (const other of [
      "http://r.example/hook?a=1",
      "https://r.example/hook",
      "https://x.example/hook?a=1",
    ]) {
      refused("no_matching_signature", () => receive({ url, content: other }));
    }
    const hidden = { code: "invalid_url", message: /^(?!.*TOPSECRET).*not whole/ };
    assert.throws(() => receive({ url: "/hook?token=TOPSECRET", content: "x" }), hidden);
  });
  test("more parameters than Twilio sends are refused before anything is made of them", () => {
    const bodyOf = (fields: number) =>
      Array.from({ length: fields }, (_, number) => number.toString(36)).join("&");
    refused("no_matching_signature", () => receive({ body: bodyOf(1000), content: "x" }));
    for (const fields of [1001, 1_000_000]) {
      const startedAtMs = performance.now();
      refused("body_too_large", () => receive({ body: bodyOf(fields), content: "x" }));
      // Node's URLSearchParams alone would take minutes over a million of them.
      assert.ok(performance.now() - startedAtMs < 5_000);
    }
  });
  test("a body that no event of Twilio has is not even read to its end", async (context) => {
    const receiver = createReceiver({
      ...{ scheme: "twilio", secrets: TOKEN, url: "https://r.example/hook", handlers: {}, onError() {} },
    } as const);
    context.after(() => receiver.close());
    const statusOf = async (bytes: number) => {
      const headers = { "x-twilio-signature": mac("x") };
      const request = { method: "POST", headers, body: "x".repeat(bytes) };
      return (await receiver.fetch(new Request("https://r.example/hook", request))).status;
    };
    assert.deepEqual([await statusOf(256 * 1024), await statusOf(256 * 1024 + 1)], [401, 413]);
  });
  test("a GET has its parameters in the query", () => {
    const url = "https://r.example/hook?MessageSid=SM1&SmsStatus=received";
    const verified = receive({ method: "GET", url, content: url });
    assert.ok(verified.kind === "event");
    assert.match(read(Buffer.from(verified.payload).toString()).id ?? "", /^SM1:received:/);
  });
});

describe("a JSON body", () => {
  const body = '{"property": "value", "boolean": true}';
  const hash = createHash("sha256").update(body).digest("hex");
  const url = `https://r.example/hook?foo=1&bodySHA256=${hash}`;

  test("is covered by its hash in the URL", () => {
    assert.equal(receive({ url, body, content: url }).kind, "event");
    refused("digest_mismatch", () => receive({ url, body: `${body} `, content: url }));
    const upper = url.replace(hash, hash.toUpperCase());
    refused("digest_mismatch", () => receive({ url: upper, body, content: upper }));
    // The signature is looked at first: a body that fits a hash proves nothing.
    refused("no_matching_signature", () => receive({ url, body, content: `${url}x` }));
  });
  test("is refused without it, however it is signed", () => {
    const bare = "https://r.example/hook";
    for (const json of [body, `\n ${body}`, "[]"]) {
      refused("missing_component", () => receive({ url: bare, body: json, content: bare }));
      refused("missing_component", () => receive({ url: bare, body: json, content: bare + json }));
    }
  });
  test("is how we send, the data byte for byte", () => {
    const data = Buffer.from('{"n":1.0}');
    const event = { id: "evt_1", type: "order.created", timestamp: "2026-01-01T00:00:00Z", data };
    const composed = twilio.compose(event);
    assert.ok(Buffer.from(composed.body).includes(data));
    const input = { ...event, ...composed, timestampSeconds: 0, url: "https://r.example/hook?foo=1" };
    const sent = twilio.sign(input, [TOKEN, "old"]);
    assert.match(sent.url, /^https:\/\/r\.example\/hook\?foo=1&bodySHA256=[0-9a-f]{64}$/);
    assert.equal(sent.headers["x-twilio-signature"], mac(sent.url));
    const verified = twilio.verifier([TOKEN])(sent, CLOCK);
    assert.ok(verified.kind === "event");
    assert.equal(verified.acknowledgement, null);
    const { id, type } = twilio.describe(verified.payload, linesOf(sent.headers));
    assert.deepEqual({ id, type }, { id: "evt_1", type: "order.created" });
    assert.equal(twilio.describe(verified.payload, linesOf({})).id, "evt_1");
  });
});

describe("reading an event of Twilio's", () => {
  test("a message and a call have a status; attempts share Twilio's token", () => {
    const message = "MessageSid=SM1&MessageStatus=delivered&SmsStatus=sent";
    assert.deepEqual(read(message, { "I-Twilio-Idempotency-Token": "tok-1" }).id, "tok-1");
    const { id, type, data } = read(message);
    assert.match(id ?? "", /^SM1:delivered:[0-9a-f]{16}$/);
    assert.equal(type, "message.delivered");
    assert.deepEqual(data, { MessageSid: "SM1", MessageStatus: "delivered", SmsStatus: "sent" });
    const call = read("CallSid=CA1&CallStatus=in-progress&SequenceNumber=2");
    assert.match(call.id ?? "", /^CA1:in-progress:2:[0-9a-f]{16}$/);
    assert.equal(call.type, "call.in-progress");
    const other = read("Digits=1&Digits=2");
    assert.match(other.id ?? "", /^sha256:/);
    assert.deepEqual([other.type, other.data], ["twilio", { Digits: ["1", "2"] }]);
  });
  test("two answers of one call in one status, or two recordings of it, are two events; the same again is the same", () => {
    const events = ["Digits=1", "Digits=2", "RecordingSid=RE1", "RecordingSid=RE2", "Digits=1"];
    const ids = events.map((event) => read(`CallSid=CA1&CallStatus=in-progress&${event}`).id);
    assert.equal(new Set(ids).size, 4);
    assert.equal(ids[0], ids[4]);
  });
  test("an event stream is a list of CloudEvents", () => {
    const sent = [{ id: "EZ1", type: "com.twilio.messaging.message.sent", data: { n: 1 } }];
    const one = read(JSON.stringify(sent));
    assert.deepEqual(one, { id: "EZ1", type: "com.twilio.messaging.message.sent", data: sent });
    refused("invalid_payload", () => read('{"a":1}'));
  });
  test("a form is answered with the empty TwiML that calls and messages need", () => {
    const verified = receive({ body: "MessageSid=SM1", content: "https://r.example/hookMessageSidSM1" });
    assert.ok(verified.kind === "event");
    const answer = verified.acknowledgement?.();
    assert.equal(answer?.body, "<Response/>");
    assert.match(answer?.headers["content-type"] ?? "", /^text\/xml/);
  });
});

// Official accounts in plain and in safe mode, and WeCom.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import type { OutgoingEvent, Scheme, Verified } from "./scheme.ts";
import { wechat } from "./wechat.ts";
import { importWechatAes, sortedSha1, type WechatAesSecret } from "./wechat-aes.ts";
import { wechatPlain } from "./wechat-mp-plain.ts";
import { wecom } from "./wecom.ts";

const NOW = 1_409_659_589;
const TOKEN = "QDG6eK";
const SECRET: WechatAesSecret = {
  token: TOKEN,
  encodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
  receiveId: "wx5823bf96d3bd56c7",
};
const [crypt] = importWechatAes([SECRET]);
const URL_OF_ENDPOINT = "https://r.example/wx";
const CLICK = `<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[oUser1]]></FromUserName>
<CreateTime>1409659580</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[CLICK]]></Event><EventKey><![CDATA[V1]]></EventKey></xml>`;

function accept<Secret>(
  scheme: Scheme<Secret>,
  secret: Secret,
  { method = "POST", query = {} as Readonly<Record<string, string>>, body = "", nowSeconds = NOW },
): Verified {
  const request = { method, url: `${URL_OF_ENDPOINT}?${new URLSearchParams(query)}`, headers: {}, body };
  return scheme.verifier([secret])(request, { nowSeconds, toleranceSeconds: 300 });
}

const refused = (code: string, run: () => unknown, message = /./) =>
  assert.throws(run, { name: "VerificationError", code, message });
const answered = (verified: Verified) =>
  verified.kind === "handshake" ? verified.answer : assert.fail("an event");
const payloadOf = (verified: Verified) =>
  verified.kind === "event" ? Buffer.from(verified.payload).toString() : assert.fail("a handshake");
const described = (text: string) => wechat.describe(Buffer.from(text), linesOf({}));

function plainQuery(more: Readonly<Record<string, string>> = {}) {
  const [timestamp, nonce] = [String(NOW), "263014780"];
  return { signature: sortedSha1([TOKEN, timestamp, nonce]), timestamp, nonce, ...more };
}

/** As WeChat sends it: the signature of plain mode beside that of the message. */
function safeQuery(encrypted: string) {
  const query = plainQuery({ encrypt_type: "aes" });
  return { ...query, msg_signature: crypt.sign(query.timestamp, query.nonce, encrypted) };
}

describe("the question of the console", () => {
  test("an official account gets echostr back as it came, in plain and in safe mode, as text that no browser renders", () => {
    const echostr = "<script>+8305999631672647420</script>";
    const request = { method: "GET", query: plainQuery({ echostr }) };
    for (const verified of [accept(wechatPlain, TOKEN, request), accept(wechat, SECRET, request)]) {
      const { status, headers, body } = answered(verified);
      assert.deepEqual([status, body], [200, echostr]);
      assert.match(headers["content-type"] ?? "", /^text\/plain/);
      assert.equal(headers["x-content-type-options"], "nosniff");
    }
  });
  test("with another token, another time or without echostr it gets nothing", () => {
    for (const [scheme, secret] of [
      [wechatPlain, TOKEN],
      [wechat, SECRET],
    ] as const) {
      const ask = (query: Readonly<Record<string, string>>, nowSeconds = NOW) =>
        accept(scheme as Scheme<unknown>, secret, { method: "GET", query, nowSeconds });
      refused("no_matching_signature", () => ask({ ...plainQuery({ echostr: "1" }), nonce: "1" }));
      refused("timestamp_too_old", () => ask(plainQuery({ echostr: "1" }), NOW + 301));
      refused("missing_parameter", () => ask(plainQuery()), /echostr/);
    }
  });
  test("WeCom gets what is in its encrypted echostr; the plain one does not count there", () => {
    const echostr = crypt.seal(Buffer.from("1616140317555161061"));
    const query = { ...safeQuery(echostr), echostr };
    assert.equal(answered(accept(wecom, SECRET, { method: "GET", query })).body, "1616140317555161061");
    refused("missing_parameter", () =>
      accept(wecom, SECRET, { method: "GET", query: plainQuery({ echostr }) }),
    );
    refused("no_matching_signature", () =>
      accept(wecom, SECRET, { method: "GET", query: { ...query, echostr: crypt.seal(Buffer.from("1")) } }),
    );
  });
});

describe("a message", () => {
  test("in plain mode: the body is the message, and the answer is success", () => {
    const verified = accept(wechatPlain, TOKEN, { query: plainQuery(), body: CLICK });
    assert.equal(payloadOf(verified), CLICK);
    assert.ok(verified.kind === "event");
    assert.equal(verified.acknowledgement?.().body, "success");
    assert.equal(verified.timestampSeconds, NOW);
  });
  test("in safe mode: XML or JSON around it, and what stands beside Encrypt is never read", () => {
    const encrypted = crypt.seal(Buffer.from(CLICK));
    const xml = `<xml><ToUserName>gh_1</ToUserName><Event>FORGED</Event><Encrypt><![CDATA[${encrypted}]]></Encrypt></xml>`;
    const json = JSON.stringify({ ToUserName: "gh_1", Event: "FORGED", Encrypt: encrypted });
    for (const body of [xml, json]) {
      for (const scheme of [wechat, wecom]) {
        const verified = accept(scheme, SECRET, { query: safeQuery(encrypted), body });
        assert.equal(payloadOf(verified), CLICK);
        assert.equal(verified.kind === "event" && verified.acknowledgement?.().body, "success");
      }
    }
  });
  test("a timestamp has ten digits: with others, digits could move between it and the nonce", () => {
    const query = (timestamp: string) => ({
      signature: sortedSha1([TOKEN, timestamp, "1"]),
      timestamp,
      nonce: "1",
    });
    for (const timestamp of [`0${NOW}`, `00${NOW}`]) {
      refused(
        "invalid_timestamp",
        () => accept(wechatPlain, TOKEN, { query: query(timestamp), body: CLICK }),
        /10/,
      );
    }
  });
  test("of a third party's app is for one of several companies, or for any", () => {
    const encrypted = crypt.seal(Buffer.from(CLICK));
    const request = { query: safeQuery(encrypted), body: JSON.stringify({ Encrypt: encrypted }) };
    const ofAny = wecom.parseSecret(JSON.stringify({ ...SECRET, receiveId: null }));
    for (const receiveId of [["corp1", SECRET.receiveId], [SECRET.receiveId], null]) {
      assert.equal(payloadOf(accept(wecom, { ...SECRET, receiveId }, request)), CLICK);
    }
    assert.equal(payloadOf(accept(wecom, ofAny, request)), CLICK);
    const others = { ...SECRET, receiveId: ["corp1", "corp2"] };
    refused("no_matching_signature", () => accept(wecom, others, request));
    for (const receiveId of [[], [""], [null], undefined, 7]) {
      refused("invalid_secret", () => wecom.verifier([{ ...SECRET, receiveId } as never]), /receiveId/);
    }
    refused("invalid_secret", () => wechat.verifier([{ ...SECRET, receiveId: null } as never]), /receiveId/);
  });
  test("the signature of plain mode, which covers no body, is not enough in safe mode", () => {
    const body = JSON.stringify({ Encrypt: crypt.seal(Buffer.from(CLICK)) });
    refused(
      "missing_parameter",
      () => accept(wechat, SECRET, { query: plainQuery(), body }),
      /msg_signature/,
    );
    refused(
      "invalid_payload",
      () => accept(wechat, SECRET, { query: safeQuery(""), body: CLICK }),
      /safe mode/,
    );
  });
});

describe("what a message says of itself", () => {
  test("a message has its MsgId, all 64 bits of it, in JSON too", () => {
    const text = (id: string) =>
      `{"FromUserName":"o","CreateTime":1,"MsgType":"text","Content":"hi","MsgId":${id}}`;
    assert.equal(described(text("6054768590064713728")).id, "6054768590064713728");
    assert.equal(described(text('"6054768590064713729"')).id, "6054768590064713729");
    const xml = "<xml><MsgType>text</MsgType><Content>hi</Content><MsgId>6054768590064713729</MsgId></xml>";
    assert.deepEqual(described(xml), {
      id: "6054768590064713729",
      type: "text",
      data: { MsgType: "text", Content: "hi", MsgId: "6054768590064713729" },
    });
  });
  test("a MsgId that is no number counts for nothing", () => {
    const text = (id: string, content: string) =>
      described(`{"FromUserName":"o","CreateTime":1,"MsgType":"text","Content":"${content}","MsgId":${id}}`)
        .id;
    for (const id of ["null", "true", "{}", '"a"', '""']) {
      assert.match(text(id, "a") ?? "", /^o:1:text:/, id);
      assert.notEqual(text(id, "a"), text(id, "b"), id);
    }
  });
  test("an event has who, when and what; the same again is the same, another in that second is not", () => {
    const { id, type } = described(CLICK);
    assert.equal(type, "CLICK");
    assert.match(id ?? "", /^oUser1:1409659580:CLICK:[0-9a-f]{16}$/);
    assert.equal(described(CLICK).id, id);
    const change = (user: string) =>
      `<xml><FromUserName>sys</FromUserName><CreateTime>1</CreateTime><MsgType>event</MsgType><Event>change_contact</Event><UserID>${user}</UserID></xml>`;
    assert.notEqual(described(change("a")).id, described(change("b")).id);
  });
  test("a push to a platform has its InfoType; what has none of the three is not WeChat's", () => {
    const push =
      "<xml><AppId>wx1</AppId><CreateTime>1</CreateTime><InfoType>component_verify_ticket</InfoType></xml>";
    assert.equal(described(push).type, "component_verify_ticket");
    assert.match(described(push).id ?? "", /^wx1:1:component_verify_ticket:/);
    refused("invalid_payload", () => described("<xml><A>1</A></xml>"), /MsgType/);
    refused("invalid_payload", () => described("<xml><MsgType>event</MsgType></xml>"), /Event/);
    refused("invalid_payload", () => described("[]"));
    refused("invalid_payload", () => described("type=1"));
  });
});

describe("an event of ours in WeChat's form", () => {
  const event: OutgoingEvent = {
    id: "evt_1",
    type: "order.created",
    timestamp: "2023-11-14T22:13:20.000Z",
    data: Buffer.from('{"a":"]]> & <b>","n":1.0}'),
  };
  const sent = (scheme: Scheme<unknown>, secret: unknown) =>
    scheme.sign(
      {
        ...scheme.compose(event),
        ...{ id: event.id, type: event.type, timestampSeconds: NOW, url: `${URL_OF_ENDPOINT}?a=%7E` },
      },
      [secret],
    );
  test("is an event to WeChat's own kits, with the data as one more element, as it is", () => {
    const body = Buffer.from(wechat.compose(event).body).toString();
    for (const part of [
      "<CreateTime>1700000000</CreateTime>",
      "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[order.created]]></Event><EventKey><![CDATA[evt_1]]></EventKey>",
      '<Data><![CDATA[{"a":"]]]]><![CDATA[> & <b>","n":1.0}]]></Data>',
    ]) {
      assert.ok(body.includes(part), part);
    }
    assert.deepEqual(described(body), { id: "evt_1", type: "order.created", data: { a: "]]> & <b>", n: 1 } });
  });
  test("keeps the endpoint's own query, and encrypts in safe mode", () => {
    for (const [scheme, secret] of [
      [wechatPlain, TOKEN],
      [wechat, SECRET],
      [wecom, SECRET],
    ] as const) {
      const signed = sent(scheme as Scheme<unknown>, secret);
      assert.ok(signed.url.startsWith(`${URL_OF_ENDPOINT}?a=%7E&signature=`), signed.url);
      assert.equal(Buffer.from(signed.body).includes("order.created"), scheme === wechatPlain);
    }
  });
  test("JSON is sent in JSON", () => {
    const input = {
      id: "1",
      type: "t",
      contentType: "application/json",
      timestampSeconds: NOW,
      url: URL_OF_ENDPOINT,
    };
    const { body } = wechat.sign({ ...input, body: Buffer.from('{"MsgType":"text"}') }, [SECRET]);
    assert.deepEqual(Object.keys(JSON.parse(Buffer.from(body).toString())), ["ToUserName", "Encrypt"]);
  });
  test("is acknowledged with success or nothing, and with nothing else", () => {
    const is = (status: number, body: string) => wechat.isAcknowledged?.({ status, body }, [SECRET]);
    assert.deepEqual([is(200, "success"), is(200, ""), is(204, "")], [true, true, true]);
    assert.deepEqual([is(200, "ok"), is(200, '{"success":true}'), is(500, "success")], [false, false, false]);
  });
});

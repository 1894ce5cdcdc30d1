import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { dingtalk } from "./dingtalk.ts";
import type { Answer, Verified } from "./scheme.ts";
import { importWechatAes, type WechatAesSecret } from "./wechat-aes.ts";

const SECRET: WechatAesSecret = {
  token: "mryue",
  encodingAESKey: "Yue0EfdN5900c1ce5cf6A152c63DDe1808a60c5ecd7",
  receiveId: "ding6ccabc44d2c8d38b",
};
const OTHER: WechatAesSecret = { ...SECRET, receiveId: "suite1" };
const NOW = 1_608_001_896;
const [crypt] = importWechatAes([SECRET]);

function ask(
  message: string,
  { timestamp = `${NOW}814`, names = ["signature"], secrets = [SECRET], nowSeconds = NOW } = {},
): Verified {
  const encrypt = crypt.seal(Buffer.from(message));
  const query = new URLSearchParams({ timestamp, nonce: "WL4PK6yA" });
  for (const name of names) query.set(name, crypt.sign(timestamp, "WL4PK6yA", encrypt));
  const request = {
    method: "POST",
    url: `https://r.example/?${query}`,
    headers: {},
    body: JSON.stringify({ encrypt }),
  };
  return dingtalk.verifier(secrets)(request, { nowSeconds, toleranceSeconds: 300 });
}
const refused = (code: string, run: () => unknown, message = /./) =>
  assert.throws(run, { name: "VerificationError", code, message });

/** What DingTalk does with an answer. */
function opened(answer: Answer | undefined): string | undefined {
  const { msg_signature, timeStamp, nonce, encrypt } = JSON.parse(answer?.body ?? "{}") as Record<
    string,
    string
  >;
  assert.equal(msg_signature, crypt.sign(timeStamp ?? "", nonce ?? "", encrypt ?? ""));
  assert.equal(timeStamp, `${NOW}000`);
  return crypt.open(encrypt ?? "")?.toString();
}

describe("DingTalk", () => {
  test("its question and each of its events get an encrypted success, in the name that was called", () => {
    const question = ask('{"EventType":"check_url"}', { secrets: [OTHER, SECRET] });
    assert.equal(question.kind === "handshake" && opened(question.answer), "success");
    const event = ask('{"EventType":"user_add_org","UserId":["1"]}', { secrets: [OTHER, SECRET] });
    assert.equal(event.kind === "event" && opened(event.acknowledgement?.()), "success");
    assert.equal(event.kind === "event" && event.timestampSeconds, NOW);
  });
  test("an event that only speaks of check_url is an event", () => {
    assert.equal(ask('{"EventType":"note","text":"check_url"}').kind, "event");
    assert.equal(ask("check_url, no JSON").kind, "event");
  });
  test("the signature has the one name or the other, and msg_signature counts where both are", () => {
    for (const names of [["signature"], ["msg_signature"], ["signature", "msg_signature"]]) {
      assert.equal(ask('{"EventType":"a"}', { names }).kind, "event");
    }
    refused("missing_parameter", () => ask('{"EventType":"a"}', { names: [] }), /signature/);
  });
  test("its time is in milliseconds, and nothing else is taken for it", () => {
    refused("timestamp_too_old", () => ask("{}", { nowSeconds: NOW + 301 }));
    refused("timestamp_too_new", () => ask("{}", { nowSeconds: NOW - 301 }));
    for (const timestamp of [String(NOW), `${NOW}814x`, `+${NOW}81`, `${NOW}814.0`]) {
      refused("invalid_timestamp", () => ask("{}", { timestamp }), /milliseconds/);
    }
  });
  test("a body without encrypt is not DingTalk's", () => {
    const url = `https://r.example/?signature=a&nonce=b&timestamp=${NOW}814`;
    for (const body of ["{}", '{"encrypt":1}', "", "[]"]) {
      const request = { method: "POST", url, headers: {}, body };
      refused("invalid_payload", () =>
        dingtalk.verifier([SECRET])(request, { nowSeconds: NOW, toleranceSeconds: 300 }),
      );
    }
  });
  test("its events have a type, and a hash for an id; ours have both, and the data as it is", () => {
    const describeText = (text: string | Uint8Array) => dingtalk.describe(Buffer.from(text), linesOf({}));
    const theirs = { EventType: "user_add_org", UserId: ["1"], data: "x" };
    const text = JSON.stringify(theirs);
    const id = `sha256:${createHash("sha256").update(text).digest("hex")}`;
    assert.deepEqual(describeText(text), { id, type: "user_add_org", data: theirs });
    const timestamp = "2023-11-14T22:13:20.000Z";
    const { body } = dingtalk.compose({
      id: "evt_1",
      type: "a.b",
      timestamp,
      data: Buffer.from('{"n":1.0}'),
    });
    assert.equal(
      Buffer.from(body).toString(),
      '{"EventType":"a.b","eventId":"evt_1","TimeStamp":"1700000000000","data":{"n":1.0}}',
    );
    assert.deepEqual(describeText(body), { id: "evt_1", type: "a.b", data: { n: 1 } });
    refused("invalid_payload", () => describeText('{"UserId":[]}'), /EventType/);
  });
  test("as a sender: only an encrypted success, signed by whom it was sent to, acknowledges", () => {
    const question = ask('{"EventType":"check_url"}');
    assert.ok(question.kind === "handshake");
    const { body } = question.answer;
    const is = (answer: string, secret = SECRET, status = 200) =>
      dingtalk.isAcknowledged?.({ status, body: answer }, [secret]);
    assert.equal(is(body), true);
    assert.equal(is(body.replace(/"timeStamp":"(\d+)"/, '"timeStamp":$1')), true);
    const encrypt = crypt.seal(Buffer.from("failure"));
    const failure = { msg_signature: crypt.sign("1", "2", encrypt), timeStamp: "1", nonce: "2", encrypt };
    for (const wrong of [
      "",
      "success",
      "{}",
      body.replace(/"msg_signature":"./, '"msg_signature":"x'),
      JSON.stringify(failure),
    ]) {
      assert.equal(is(wrong), false, wrong);
    }
    assert.deepEqual([is(body, OTHER), is(body, SECRET, 500)], [false, false]);
  });
});

// What we send in the form of a provider that insists on an answer, a receiver of ours takes once and acknowledges as that provider wants it.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import { createReceiver } from "../receiver/receiver.ts";
import { alipay } from "./alipay.ts";
import { dingtalk } from "./dingtalk.ts";
import { feishu } from "./feishu.ts";
import type { Scheme } from "./scheme.ts";
import { wechat } from "./wechat.ts";
import { wechatPlain } from "./wechat-mp-plain.ts";
import { wechatPay } from "./wechatpay.ts";
import { wecom } from "./wecom.ts";

const AES = {
  token: "token",
  encodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
  receiveId: "wx1",
};
const FEISHU = { encryptKey: "test key", verificationToken: "token" };
const { privateKey, publicKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});
const PAY = { serial: "PUB_KEY_ID_1", apiV3Key: "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb" };
const EVENT = {
  ...{ id: "evt_1", type: "order.created", timestamp: "2023-11-14T22:13:20.000Z" },
  data: Buffer.from('{"text":"你好 &=+]]>","n":1.50}'),
};

/** @param refused what a refusal is to look like; undefined: JSON with a code */
function acknowledges<Secret, SigningSecret>(
  scheme: Scheme<Secret, SigningSecret>,
  { secret, signing, refused }: { secret: Secret; signing: SigningSecret; refused?: RegExp },
): void {
  test(scheme.name, async (context) => {
    const received: unknown[] = [];
    const receiver = createReceiver({
      scheme,
      secrets: [secret],
      handlers: { "order.created": ({ id, data }) => void received.push({ id, data }) },
      onError: () => {},
    });
    context.after(() => receiver.close());
    const send = async (change = (body: Buffer) => body) => {
      const input = { id: EVENT.id, type: EVENT.type, url: "https://r.example/hooks?a=1" };
      const timestampSeconds = Math.floor(Date.now() / 1000);
      const signed = scheme.sign({ ...scheme.compose(EVENT), ...input, timestampSeconds }, [signing]);
      const body = new Uint8Array(change(Buffer.from(signed.body)));
      const { status, ...response } = await receiver
        .fetch(new Request(signed.url, { ...signed, body }))
        .then(async (answer) => ({ status: answer.status, body: await answer.text() }));
      const isOk = status >= 200 && status <= 299;
      const isAcknowledged = isOk && (scheme.isAcknowledged?.({ status, ...response }, [signing]) ?? true);
      return { isAcknowledged, body: response.body };
    };
    assert.equal((await send()).isAcknowledged, true);
    assert.equal((await send()).isAcknowledged, true, "the second time");
    assert.deepEqual(received, [{ id: "evt_1", data: { text: "你好 &=+]]>", n: 1.5 } }]);
    const refusal = await send((body) => body.subarray(0, body.length / 2));
    assert.equal(refusal.isAcknowledged, false);
    assert.match(refusal.body, refused ?? /"code":"(invalid_payload|no_matching_signature)"/);
  });
}

describe("sent in the form of a provider, and acknowledged as it wants", () => {
  acknowledges(wechat, { secret: AES, signing: AES });
  acknowledges(wecom, { secret: AES, signing: AES });
  acknowledges(dingtalk, { secret: AES, signing: AES });
  acknowledges(wechatPlain, { secret: "token", signing: "token" });
  acknowledges(feishu, { secret: FEISHU, signing: FEISHU });
  acknowledges(alipay, { secret: publicKey, signing: privateKey, refused: /^fail$/ });
  acknowledges(wechatPay, {
    secret: { ...PAY, publicKey },
    signing: { ...PAY, privateKey },
    refused: /^\{"code":"FAIL","message":".+"\}$/,
  });
});

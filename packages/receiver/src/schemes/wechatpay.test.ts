import assert from "node:assert/strict";
import { createCipheriv, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { signRsa } from "./rsa-sha256.ts";
import type { Verified } from "./scheme.ts";
import { wechatPay } from "./wechatpay.ts";
import type { WechatPaySecret } from "./wechatpay-secret.ts";

const NOW = 1_700_000_000;
const API_V3_KEY = "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb";
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = publicKey.export({ type: "spki", format: "pem" }).toString();
const SERIAL = "PUB_KEY_ID_0114232134912410000000000000";
const SECRET: WechatPaySecret = { serial: SERIAL, publicKey: PEM, apiV3Key: API_V3_KEY };
const TRANSACTION = '{"amount":{"total":100}, "payer_total":9007199254740993}';

function encrypted(
  plain = TRANSACTION,
  { key = API_V3_KEY, nonce = "fdasflkja484", aad = "transaction" } = {},
) {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(aad));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return {
    algorithm: "AEAD_AES_256_GCM",
    ciphertext: sealed.toString("base64"),
    nonce,
    associated_data: aad,
  };
}

function notification(resource: unknown = encrypted()): string {
  return `{ "id":"EV-1","event_type":"TRANSACTION.SUCCESS","resource": ${JSON.stringify(resource)},"summary":"支付成功"}`;
}

function accept(
  body: string,
  { headers = {} as Record<string, string | undefined>, secrets = [SECRET], prefix = "" } = {},
): Verified {
  const signature = signRsa(privateKey, Buffer.from(`${NOW}\nabc\n${body}\n`));
  const sent = {
    "Wechatpay-Timestamp": String(NOW),
    "Wechatpay-Nonce": "abc",
    "Wechatpay-Serial": SERIAL,
    "Wechatpay-Signature": prefix + signature.slice(0, signature.length - prefix.length),
    ...headers,
  };
  const request = { method: "POST", url: "https://r.example/", headers: sent, body };
  return wechatPay.verifier(secrets)(request, { nowSeconds: NOW, toleranceSeconds: 300 });
}
const refused = (code: string, run: () => unknown, message = /./) =>
  assert.throws(run, { name: "VerificationError", code, message });
const payloadOf = (verified: Verified) =>
  verified.kind === "event" ? Buffer.from(verified.payload) : assert.fail("a handshake");

describe("WeChat Pay", () => {
  test("the resource is opened in its place, and the notification is otherwise as it came", () => {
    const payload = payloadOf(accept(notification()));
    assert.equal(
      payload.toString(),
      `{ "id":"EV-1","event_type":"TRANSACTION.SUCCESS","resource": ${TRANSACTION},"summary":"支付成功"}`,
    );
    assert.deepEqual(wechatPay.describe(payload, linesOf({})), {
      id: "EV-1",
      type: "TRANSACTION.SUCCESS",
      data: JSON.parse(TRANSACTION),
    });
  });
  test("associated_data may be missing, empty or null", () => {
    const { associated_data: _none, ...without } = encrypted(TRANSACTION, { aad: "" });
    for (const resource of [
      without,
      { ...without, associated_data: "" },
      { ...without, associated_data: null },
    ]) {
      accept(notification(resource));
    }
  });
  test("the key is picked by its serial: other keys, and hex in other letters", () => {
    const other = { ...SECRET, serial: "5157F09E" };
    refused("no_matching_signature", () => accept(notification(), { secrets: [other] }), /serial.*download/);
    accept(notification(), { secrets: [other, SECRET] });
    accept(notification(), { secrets: [other], headers: { "Wechatpay-Serial": "5157f09e" } });
  });
  test("probes, which begin with WECHATPAY/SIGNTEST/, fail", () => {
    refused("no_matching_signature", () => accept(notification(), { prefix: "WECHATPAY/SIGNTEST/" }));
    refused("no_matching_signature", () =>
      accept(notification(), { headers: { "Wechatpay-Signature": `WECHATPAY/SIGNTEST/${"A".repeat(344)}` } }),
    );
  });
  test("a resource that cannot be opened is refused in the words of a wrong signature", () => {
    const resource = encrypted();
    const tampered = `A${resource.ciphertext.slice(1)}`;
    const words = /The signature does not fit, or the resource cannot be opened/;
    refused(
      "no_matching_signature",
      () => accept(notification(), { headers: { "Wechatpay-Nonce": "abd" } }),
      words,
    );
    for (const wrong of [
      { ...resource, ciphertext: tampered === resource.ciphertext ? `B${tampered.slice(1)}` : tampered },
      { ...resource, associated_data: "refund" },
      { ...resource, associated_data: 7 },
      { ...resource, associated_data: Array.from(Buffer.from("transaction")) },
      { ...resource, algorithm: "AES" },
      encrypted(TRANSACTION, { nonce: "eleven char" }),
      { ...resource, ciphertext: "AAAA" },
      { ...resource, ciphertext: `${resource.ciphertext} ` },
      encrypted(TRANSACTION, { key: API_V3_KEY.replace("a", "b") }),
      null,
      "text",
    ]) {
      refused("no_matching_signature", () => accept(notification(wrong)), words);
    }
    refused("no_matching_signature", () => accept("no JSON"), words);
  });
  test("signed with an algorithm that is not RSA it is refused", () => {
    accept(notification(), { headers: { "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048" } });
    refused("algorithm_mismatch", () =>
      accept(notification(), { headers: { "Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3" } }),
    );
  });
  test("a gateway without the APIv3 key checks, and hands on what it cannot read", () => {
    const body = notification();
    assert.equal(payloadOf(accept(body, { secrets: [{ ...SECRET, apiV3Key: null }] })).toString(), body);
  });
  test("a certificate brings its own serial", () => {
    const vectors = JSON.parse(
      readFileSync(new URL("../../test/data/signature-vectors.json", import.meta.url), "utf8"),
    ) as { vectors: { id: string; secret: string }[] };
    const certificate =
      vectors.vectors.find(({ id }) => id === "wechatpay-java-rsaverifier-ok")?.secret ?? "";
    const secret = wechatPay.parseSecret(JSON.stringify({ publicKey: certificate, apiV3Key: API_V3_KEY }));
    const [serial, unknown] = ["5F1C72E2A8931B72A2E13AF8DEE92471EB397115", "0123"];
    const attempt = (name: string) => () =>
      accept(notification(), { secrets: [secret], headers: { "Wechatpay-Serial": name } });
    // Made with another key, but this one was found.
    refused("no_matching_signature", attempt(unknown), /names none of the keys/);
    refused("no_matching_signature", attempt(serial), /does not fit/);
  });
  test("a part that is missing is named, and no key is shown", () => {
    refused(
      "invalid_secret",
      () => wechatPay.parseSecret(JSON.stringify({ ...SECRET, serial: undefined })),
      /"serial"/,
    );
    refused(
      "invalid_secret",
      () => wechatPay.parseSecret(JSON.stringify({ ...SECRET, apiV3Key: undefined })),
      /"apiV3Key"/,
    );
    refused("invalid_secret", () => wechatPay.parseSecret(API_V3_KEY), /\{"serial","publicKey","apiV3Key"\}/);
    refused(
      "invalid_key",
      () => wechatPay.parseSecret(JSON.stringify({ ...SECRET, publicKey: "x" })),
      /"publicKey"/,
    );
  });
  test("what we send hides the data, and is acknowledged with 200 or 204", () => {
    const { body, contentType } = wechatPay.compose({
      ...{ id: "evt_1", type: "a.b", timestamp: "2023-11-14T22:13:20.000Z", data: Buffer.from(TRANSACTION) },
    });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const input = {
      id: "evt_1",
      type: "a.b",
      contentType,
      body,
      timestampSeconds: NOW,
      url: "https://r.example/",
    };
    const signed = wechatPay.sign(input, [{ serial: SERIAL, privateKey: pem, apiV3Key: API_V3_KEY }]);
    assert.ok(!Buffer.from(signed.body).includes("payer_total"));
    const verified = wechatPay.verifier([SECRET])(signed, { nowSeconds: NOW, toleranceSeconds: 300 });
    assert.ok(payloadOf(verified).includes(`"resource":${TRANSACTION}}`));
    const statuses = [200, 204, 202, 500].map((status) =>
      wechatPay.isAcknowledged?.({ status, body: "" }, []),
    );
    assert.deepEqual(statuses, [true, true, false, false]);
    assert.equal(wechatPay.refusal?.('a "reason"'), '{"code":"FAIL","message":"a \\"reason\\""}');
  });
});

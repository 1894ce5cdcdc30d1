import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { type AlipaySecret, alipay } from "./alipay.ts";
import { signRsa } from "./rsa-sha256.ts";
import type { Verified } from "./scheme.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = publicKey.export({ type: "spki", format: "pem" }).toString();
const FORM = "application/x-www-form-urlencoded";

const encode = (bytes: Buffer) =>
  Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");

/** Signed by Alipay's rule, written down once more: `fields` are names and decoded bytes. */
function body(fields: Readonly<Record<string, string | Buffer>>): string {
  const names = Object.keys(fields)
    .filter((name) => name !== "sign_type")
    .sort();
  const content = names.map((name) =>
    Buffer.concat([Buffer.from(`${name}=`), Buffer.from(fields[name] as string)]),
  );
  const joined = Buffer.concat(
    content.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from("&"), part])),
  );
  const pairs = Object.entries(fields).map(
    ([name, value]) => `${name}=${encode(Buffer.from(value as string))}`,
  );
  return [...pairs, `sign=${encodeURIComponent(signRsa(privateKey, joined))}`].join("&");
}

const TRADE = {
  ...{ notify_type: "trade_status_sync", notify_id: "2019", trade_status: "TRADE_SUCCESS" },
  ...{ sign_type: "RSA2", total_amount: "0.10", empty: "", subject: "语雀 空间 a&b=c+d", charset: "utf-8" },
};

function accept(form: string, secrets: readonly AlipaySecret[] = [PEM]): Verified {
  const request = {
    method: "POST",
    url: "https://r.example/",
    headers: { "content-type": FORM },
    body: form,
  };
  return alipay.verifier(secrets)(request, { nowSeconds: 0, toleranceSeconds: 300 });
}
function describeForm(form: string, contentType = FORM) {
  const verified = accept(form);
  assert.ok(verified.kind === "event");
  return alipay.describe(verified.payload, linesOf({ "Content-Type": contentType }));
}
const refused = (code: string, run: () => unknown, message = /./) =>
  assert.throws(run, { name: "VerificationError", code, message });

describe("Alipay", () => {
  test("decoded values are signed; fields, id and type are read, and the answer is exactly success", () => {
    const { sign_type: _type, ...rest } = TRADE;
    const { data, ...named } = describeForm(body(TRADE));
    assert.deepEqual(named, { id: "2019", type: "trade_status_sync" });
    assert.deepEqual(data, TRADE);
    assert.deepEqual(describeForm(body(rest)).data, rest);
    const verified = accept(body(TRADE));
    assert.equal(verified.kind === "event" && verified.acknowledgement?.().body, "success");
    assert.equal(alipay.refusal?.("whatever"), "fail");
  });
  test("GBK, which the form itself names, or the header", () => {
    // "中文" in GBK.
    const subject = Buffer.from("d6d0cec4", "hex");
    const named = { notify_id: "1", notify_type: "t" };
    const read = (charset: object, header = FORM) =>
      describeForm(body({ ...named, subject, ...charset }), header);
    assert.deepEqual(read({ charset: "GBK" }).data, { ...named, subject: "中文", charset: "GBK" });
    assert.deepEqual(read({}, `${FORM}; charset=gb18030`).data, { ...named, subject: "中文" });
    refused("invalid_payload", () => read({ charset: "utf-8" }), /not text in its charset/);
    refused("invalid_payload", () => read({ charset: "koi8-r" }), /GBK/);
  });
  test("notifications that are signed over sign_type only where the secret says so", () => {
    const vectors = JSON.parse(
      readFileSync(new URL("../../test/data/signature-vectors.json", import.meta.url), "utf8"),
    ) as { vectors: { id: string; secret: string; body: string }[] };
    const market = vectors.vectors.find(({ id }) => id === "alipay-keep-sign-type-stripped") ?? assert.fail();
    refused("no_matching_signature", () => accept(market.body, [market.secret]), /coversSignType/);
    const secret = alipay.parseSecret(JSON.stringify({ publicKey: market.secret, coversSignType: true }));
    assert.equal(accept(market.body, [PEM, secret]).kind, "event");
    refused("no_matching_signature", () => accept(market.body.replace("58621634", "58621635"), [secret]));
    accept(body(TRADE), [{ publicKey: PEM, coversSignType: true }]);
  });
  test("RSA with SHA-1, no signature, a field twice or half a byte are refused", () => {
    refused("algorithm_mismatch", () => accept(body({ ...TRADE, sign_type: "RSA" })), /RSA2/);
    refused("missing_parameter", () => accept("notify_id=1"), /sign/);
    refused("invalid_payload", () => accept(`${body(TRADE)}&total_amount=1`), /twice/);
    refused("invalid_payload", () => accept(`${body(TRADE)}&a=%E`), /%/);
    for (const form of ["", "&", "=1", "sign", '{"sign":"1"}'])
      refused("invalid_payload", () => accept(form));
  });
  test("the same signed bytes cut into other fields are not another notification", () => {
    const trade = { ...TRADE, gmt_payment: "2027-01-15 16:00:00" };
    const { notify_id, notify_type, gmt_payment, ...rest } = trade;
    const sign = new URLSearchParams(body(trade)).get("sign") ?? "";
    const again = (fields: Readonly<Record<string, string>>) =>
      describeForm(new URLSearchParams({ ...fields, sign }).toString());
    assert.equal(again(trade).id, notify_id);
    const swallowed = { ...rest, notify_type, gmt_payment: `${gmt_payment}&notify_id=${notify_id}` };
    refused("invalid_payload", () => again(swallowed), /notify_id/);
    const longer = { ...rest, gmt_payment, notify_id: `${notify_id}&notify_type=${notify_type}` };
    refused("invalid_payload", () => again(longer), /notify_id/);
  });
  test("a message of an app has its method as type, and what biz_content holds as data", () => {
    const message = { notify_id: "1", msg_method: "alipay.merchant.order.changed", biz_content: '{"n":1}' };
    assert.deepEqual(describeForm(body(message)), {
      ...{ id: "1", type: "alipay.merchant.order.changed", data: { n: 1 } },
    });
    const odd = { notify_id: "1", notify_type: "t", biz_content: "no JSON" };
    assert.deepEqual(describeForm(body(odd)), { id: "1", type: "t", data: odd });
    refused("invalid_payload", () => describeForm(body({ notify_id: "1" })), /notify_type/);
    const shownToBuyer = { notify_id: "1", method: "alipay.trade.page.pay.return" };
    refused("invalid_payload", () => describeForm(body(shownToBuyer)), /notify_type/);
  });
  test("keys as the console gives them: base64 alone, PKCS #8 and PKCS #1; the app's own is not Alipay's", () => {
    const spki = publicKey.export({ type: "spki", format: "der" }).toString("base64");
    accept(body(TRADE), [alipay.parseSecret(`\n${spki}\n`)]);
    const event = { id: "e", type: "t", timestamp: "2023-11-14T22:13:20.000Z", data: Buffer.from("{}") };
    const input = {
      ...alipay.compose(event),
      id: "e",
      type: "t",
      timestampSeconds: 1,
      url: "https://r.example/",
    };
    for (const type of ["pkcs8", "pkcs1"] as const) {
      const pem = privateKey.export({ type, format: "pem" }).toString();
      for (const text of [pem, privateKey.export({ type, format: "der" }).toString("base64")]) {
        accept(Buffer.from(alipay.sign(input, [alipay.parseSigningSecret(text)]).body).toString());
        refused("invalid_key", () => alipay.parseSecret(text));
      }
    }
    const curve = generateKeyPairSync("ec", { namedCurve: "prime256v1" }).publicKey;
    refused("invalid_key", () =>
      alipay.parseSecret(curve.export({ type: "spki", format: "pem" }).toString()),
    );
  });
  test("an event of ours has the time of Beijing, and its data in biz_content", () => {
    const event = {
      id: "evt_1",
      type: "a.b",
      timestamp: "2023-11-14T22:13:20.000Z",
      data: Buffer.from('{"n":1.0,"t":"+ &"}'),
    };
    const fields = new URLSearchParams(Buffer.from(alipay.compose(event).body).toString());
    assert.deepEqual(Object.fromEntries(fields), {
      ...{ notify_id: "evt_1", notify_type: "a.b", notify_time: "2023-11-15 06:13:20", charset: "utf-8" },
      ...{ version: "1.0", sign_type: "RSA2", biz_content: '{"n":1.0,"t":"+ &"}' },
    });
    const is = (text: string, status = 200) => alipay.isAcknowledged?.({ status, body: text }, []);
    assert.deepEqual([is("success"), is("success\n")], [true, true]);
    assert.deepEqual(
      [is(""), is("SUCCESS"), is("fail"), is('"success"'), is("success", 500)],
      Array(5).fill(false),
    );
  });
});

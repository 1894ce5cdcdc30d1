import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { stripe } from "./stripe.ts";

const SECRET = "whsec_test_secret";
const NOW = 1_700_000_000;
const BODY =
  '{\n  "id": "evt_1",\n  "object": "event",\n  "type": "charge.failed", "data": {"object": {"id": "ch_1"}}\n}';
const NO_HEADERS = linesOf({});

const mac = (secret: string, content: string) => createHmac("sha256", secret).update(content).digest("hex");
const signed = (body = BODY, secret = SECRET) => `t=${NOW},v1=${mac(secret, `${NOW}.${body}`)}`;

function verify(signature: string | string[], { nowSeconds = NOW, body = BODY as string | Uint8Array } = {}) {
  const request = {
    method: "POST",
    url: "https://r.example/",
    headers: { "Stripe-Signature": signature },
    body,
  };
  return stripe.verifier([SECRET])(request, { nowSeconds, toleranceSeconds: 300 });
}
const refused = (code: string, run: () => unknown, message = /./) =>
  assert.throws(run, { name: "VerificationError", code, message });
const describeText = (text: string) => stripe.describe(Buffer.from(text), NO_HEADERS);

describe("verifying a request of Stripe's", () => {
  test("the key is the secret as text, whsec_ included, and the payload the very bytes", () => {
    const verified = verify(signed(), { body: Buffer.from(BODY) });
    assert.deepEqual(verified, {
      ...{ kind: "event", payload: Buffer.from(BODY), timestampSeconds: NOW, acknowledgement: null },
    });
    const decoded = Buffer.from("test_secret", "base64").toString("latin1");
    refused("no_matching_signature", () => verify(signed(BODY, decoded)));
  });
  test("any v1 may match, and entries of other versions are skipped", () => {
    const good = signed().split(",")[1];
    verify(`t=${NOW},v0=abc,v1=${"0".repeat(64)},v2=x,${good}`);
    refused("no_matching_signature", () => verify(signed().replace("v1=", "v0=")), /no v1 entry/);
    refused("no_matching_signature", () => verify(`t=${NOW},v1=${good?.slice(3).toUpperCase()}`));
    refused("no_matching_signature", () => verify(`${signed()}0`));
  });
  test("300 s count in both directions, and not one more", () => {
    verify(signed(), { nowSeconds: NOW + 300 });
    verify(signed(), { nowSeconds: NOW - 300 });
    refused("timestamp_too_old", () => verify(signed(), { nowSeconds: NOW + 301 }));
    refused("timestamp_too_new", () => verify(signed(), { nowSeconds: NOW - 301 }));
  });
  test("a header without one plain time is refused", () => {
    const v1 = signed().split(",")[1];
    for (const header of [`${v1}`, `t=${NOW},t=${NOW},${v1}`, `T=${NOW},${v1}`]) {
      refused("invalid_header", () => verify(header));
    }
    refused("invalid_timestamp", () => verify(signed().replace(`t=${NOW}`, `t=${NOW}.0`)));
    refused("duplicate_header", () => verify([signed(), signed()]));
  });
});

describe("reading an event of Stripe's", () => {
  test("a snapshot is its object", () => {
    assert.deepEqual(describeText(BODY), { id: "evt_1", type: "charge.failed", data: { id: "ch_1" } });
  });
  test("a thin event is its data, or what it is about, or nothing", () => {
    const thin = {
      id: "evt_2",
      object: "v2.core.event",
      type: "v1.billing.meter.error",
      created: "2026-01-01T00:00:00Z",
    };
    const about = { id: "mtr_1", type: "billing.meter", url: "/v1/billing/meters/mtr_1" };
    assert.deepEqual(describeText(JSON.stringify({ ...thin, related_object: about })).data, about);
    assert.deepEqual(describeText(JSON.stringify({ ...thin, related_object: about, data: { n: 1 } })).data, {
      n: 1,
    });
    assert.deepEqual(describeText(JSON.stringify(thin)), { id: "evt_2", type: thin.type, data: null });
  });
  test("what is no event of Stripe's is refused", () => {
    for (const text of [
      "",
      "nonsense",
      "[]",
      '{"type":"x"}',
      '{"id":"","type":"x"}',
      '{"id":"x","type":7}',
    ]) {
      refused("invalid_payload", () => describeText(text), /Stripe/);
    }
    refused("invalid_payload", () =>
      stripe.describe(Buffer.from('{"id":"\xff","type":"x"}', "latin1"), NO_HEADERS),
    );
  });
});

describe("sending like Stripe", () => {
  const data = Buffer.from('{ "n": 9007199254740993, "d":1.0, "e":1e2 }');
  const event = { id: "evt_9", type: "order.created", timestamp: "2023-11-14T22:13:20.500Z", data };

  test("the data stands in data.object, byte for byte, and the rest is what Stripe's libraries expect", () => {
    const { contentType, body } = stripe.compose(event);
    assert.match(contentType, /^application\/json/);
    assert.ok(Buffer.from(body).includes(`"data":{"object":${data}}`));
    const { data: _data, ...rest } = JSON.parse(Buffer.from(body).toString());
    assert.deepEqual(rest, {
      ...{ id: "evt_9", object: "event", api_version: null, created: 1_700_000_000, type: "order.created" },
      ...{ livemode: true, pending_webhooks: 1, request: { id: null, idempotency_key: null } },
    });
    assert.throws(() => stripe.compose({ ...event, timestamp: "yesterday" }), RangeError);
  });
  test("during a rotation each secret signs, and a receiver with either accepts", () => {
    const composed = stripe.compose(event);
    const input = {
      ...composed,
      id: "evt_9",
      type: "order.created",
      timestampSeconds: NOW,
      url: "https://r.example/",
    };
    const { headers, body } = stripe.sign(input, ["whsec_new", SECRET]);
    assert.equal(headers["stripe-signature"]?.split(",").length, 3);
    for (const secret of ["whsec_new", SECRET]) {
      const request = { method: "POST", url: input.url, headers, body };
      stripe.verifier([secret])(request, { nowSeconds: NOW, toleranceSeconds: 0 });
    }
  });
});

describe("secrets of Stripe's", () => {
  test("a file may end with a line end; what was not copied whole is refused without being shown", () => {
    assert.equal(stripe.parseSecret("whsec_abc\r\n"), "whsec_abc");
    for (const text of ["", "  ", "whsec_a bc", "whsec_a\nwhsec_b", "whsec_ä"]) {
      assert.throws(
        () => stripe.parseSecret(text),
        (error: Error & { code?: string }) =>
          error.code === "invalid_secret" && !error.message.includes("whsec_a"),
      );
    }
    for (const secrets of [[], [""]]) refused("invalid_secret", () => stripe.verifier(secrets));
  });
});

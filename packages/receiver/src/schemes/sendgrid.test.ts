import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { sendgrid } from "./sendgrid.ts";

const NOW = 1_600_112_502;
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const SPKI = publicKey.export({ format: "der", type: "spki" }).toString("base64");
const PRIVATE_PEM = privateKey.export({ format: "pem", type: "pkcs8" }).toString();

const EVENT = {
  id: "evt_1",
  type: "order.created",
  timestamp: "2020-09-14T19:41:42Z",
  data: Buffer.from('{"n":1.0}'),
};
function send() {
  const input = { ...EVENT, ...sendgrid.compose(EVENT), timestampSeconds: NOW, url: "https://r.example/" };
  return sendgrid.sign(input, [PRIVATE_PEM]);
}
type Headers = Readonly<Record<string, string>>;
function receive(body: Uint8Array | string, headers: Headers, { secrets = [SPKI], nowSeconds = NOW } = {}) {
  const request = { method: "POST", url: "https://r.example/", headers, body };
  return sendgrid.verifier(secrets)(request, { nowSeconds, toleranceSeconds: 300 });
}
const read = (events: unknown) => sendgrid.describe(Buffer.from(JSON.stringify(events)), linesOf({}));

describe("SendGrid", () => {
  test("signs time and body, with the line end behind it", () => {
    const { headers, body } = send();
    const signature = headers["x-twilio-email-event-webhook-signature"] ?? "";
    const content = Buffer.concat([Buffer.from(`${NOW}`), body]);
    assert.ok(
      verify(
        "sha256",
        content,
        createPublicKey(publicKey.export({ format: "pem", type: "spki" })),
        Buffer.from(signature, "base64"),
      ),
    );
    assert.ok(Buffer.from(body).toString().endsWith('"data":{"n":1.0}}]\r\n'));
    assert.deepEqual(receive(body, headers), {
      ...{ kind: "event", payload: body, timestampSeconds: NOW, acknowledgement: null },
    });
    assert.throws(() => receive(body.subarray(0, -2), headers), { code: "no_matching_signature" });
  });
  test("has a key that comes as base64 or as PEM, and any one may have signed", () => {
    const { headers, body } = send();
    const pem = publicKey.export({ format: "pem", type: "spki" }).toString();
    const other = generateKeyPairSync("ec", { namedCurve: "prime256v1" }).publicKey;
    const otherPem = other.export({ format: "pem", type: "spki" }).toString();
    receive(body, headers, { secrets: [otherPem, sendgrid.parseSecret(`${pem}\n`)] });
    receive(body, headers, { secrets: [sendgrid.parseSecret(`${SPKI}\n`)] });
    assert.throws(() => receive(body, headers, { secrets: [otherPem] }), { code: "no_matching_signature" });
  });
  test("a signature has one spelling, and its time counts", () => {
    const { headers, body } = send();
    const signature = headers["x-twilio-email-event-webhook-signature"] ?? "";
    for (const wrong of [`${signature}=`, signature.replace(/=*$/, " x"), "AAAA", signature.slice(4)]) {
      const changed = { ...headers, "x-twilio-email-event-webhook-signature": wrong };
      assert.throws(() => receive(body, changed), { code: "no_matching_signature" }, wrong);
    }
    assert.throws(() => receive(body, headers, { nowSeconds: NOW + 301 }), { code: "timestamp_too_old" });
    const later = { ...headers, "x-twilio-email-event-webhook-timestamp": `${NOW + 1}` };
    assert.throws(() => receive(body, later), { code: "no_matching_signature" });
  });
  test("a list with one event is that event", () => {
    const { headers, body } = send();
    const { id, type, data } = sendgrid.describe(body, linesOf(headers));
    assert.deepEqual({ id, type }, { id: "evt_1", type: "order.created" });
    assert.deepEqual((data as { data: unknown }[])[0]?.data, { n: 1 });
  });
  test("a list of one type has that type, one of several the scheme's name", () => {
    const [open, click] = [
      { event: "open", sg_event_id: "a" },
      { event: "click", sg_event_id: "b" },
    ];
    assert.equal(read([open, { ...open, sg_event_id: "c" }]).type, "open");
    assert.equal(read([open, click]).type, "sendgrid");
    assert.equal(read([{ sg_event_id: "a" }]).type, "sendgrid");
    assert.deepEqual(read([open, click]).data, [open, click]);
  });
  test("the id of a list stands for all ids in their order; with one missing there is none", () => {
    const ids = (...names: string[]) => read(names.map((sg_event_id) => ({ event: "open", sg_event_id }))).id;
    assert.match(ids("a", "b") ?? "", /^sha256:/);
    assert.equal(ids("a", "b"), ids("a", "b"));
    assert.notEqual(ids("a", "bc"), ids("ab", "c"));
    const others = [ids("b", "a"), ids("a", "c"), ids("ab"), ids("a,b"), ids('a","b')];
    assert.equal(new Set([ids("a", "b"), ...others]).size, 6);
    assert.equal(read([{ event: "open", sg_event_id: "a" }, { event: "open" }]).id, null);
  });
  test("signed, but no list of events", () => {
    for (const value of [{}, [], ["x"], [null], "x", [{ event: "open" }, 7]]) {
      assert.throws(() => read(value), { code: "invalid_payload" });
    }
  });
  test("another curve, another half and another text are no keys", () => {
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" });
    const texts = ["", "x", SPKI.slice(4), PRIVATE_PEM];
    for (const text of [...texts, p384.publicKey.export({ format: "pem", type: "spki" }).toString()]) {
      assert.throws(() => sendgrid.parseSecret(text), { code: "invalid_key", message: /^(?!.*MF)/s });
    }
    for (const text of ["", SPKI, p384.privateKey.export({ format: "pem", type: "pkcs8" }).toString()]) {
      assert.throws(() => sendgrid.parseSigningSecret(text), { code: "invalid_key" });
    }
    assert.throws(() => sendgrid.verifier([]), { code: "invalid_secret" });
  });
});

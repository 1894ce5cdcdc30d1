import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { discord } from "./discord.ts";

const NOW = 1_700_000_000;
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const hexOf = (key: KeyObject) =>
  Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url").toString("hex");
const PUBLIC_HEX = hexOf(publicKey);
const ANOTHER_HEX = hexOf(generateKeyPairSync("ed25519").publicKey);
const PRIVATE_PEM = privateKey.export({ format: "pem", type: "pkcs8" }).toString();

const signatureOf = (body: string, timestamp = String(NOW)) =>
  sign(null, Buffer.from(timestamp + body), privateKey).toString("hex");
function receive(body: string, { signature = signatureOf(body), timestamp = String(NOW) } = {}) {
  const headers = { "X-Signature-Ed25519": signature, "X-Signature-Timestamp": timestamp };
  const request = { method: "POST", url: "https://r.example/", headers, body };
  return discord.verifier([ANOTHER_HEX, PUBLIC_HEX])(request, { nowSeconds: NOW, toleranceSeconds: 300 });
}
function read(message: object) {
  const verified = receive(JSON.stringify(message));
  assert.ok(verified.kind === "event");
  const { payload, acknowledgement } = verified;
  return { ...discord.describe(payload, linesOf({})), status: acknowledgement?.().status };
}

describe("Discord", () => {
  test("pings the interactions URL with 1, and wants 1 back", () => {
    const verified = receive('{"application_id":"1","id":"2","type":1}');
    assert.ok(verified.kind === "handshake");
    assert.equal(verified.answer.status, 200);
    assert.deepEqual(JSON.parse(verified.answer.body), { type: 1 });
    assert.match(verified.answer.headers["content-type"] ?? "", /^application\/json/);
  });
  test("pings the URL for webhook events with 0, and wants 204", () => {
    const verified = receive('{"version":1,"application_id":"1","type":0}');
    assert.deepEqual(verified, { kind: "handshake", answer: { status: 204, headers: {}, body: "" } });
  });
  test("probes with wrong signatures, which are refused before anything is read", () => {
    const good = signatureOf('{"type":1}');
    for (const signature of ["00".repeat(64), good.slice(2), `${good}00`, good.toUpperCase(), "x"]) {
      assert.throws(() => receive('{"type":1}', { signature }), { code: "no_matching_signature" }, signature);
    }
    assert.throws(() => receive('{"type":1}', { signature: "" }), { code: "missing_header" });
    assert.throws(() => receive('{"type":1}', { timestamp: String(NOW - 301) }), {
      code: "timestamp_too_old",
    });
    assert.throws(() => receive('{"type":1}', { timestamp: String(NOW + 1) }), {
      code: "no_matching_signature",
    });
  });
  test("an interaction has an id and a kind, and its reply comes another way (202)", () => {
    const command = { id: "99", type: 2, token: "t", data: { name: "ping" } };
    const about = { id: "99", data: command, status: 202 };
    assert.deepEqual(read(command), { ...about, type: "interaction.application_command" });
    assert.equal(read({ id: "1", type: 5 }).type, "interaction.modal_submit");
    assert.equal(read({ id: "1", type: 77 }).type, "interaction.77");
  });
  test("a webhook event has a type, and its bytes for an id (204)", () => {
    const event = { type: "ENTITLEMENT_CREATE", timestamp: "2026-01-01T00:00:00Z", data: { id: "5" } };
    const { id, ...rest } = read({ version: 1, application_id: "1", type: 1, event });
    assert.deepEqual(rest, { type: "ENTITLEMENT_CREATE", data: { id: "5" }, status: 204 });
    assert.match(id ?? "", /^sha256:/);
  });
  test("signed, but neither of these", () => {
    for (const message of [{}, { type: "2" }, { type: 2 }, [], { type: 1, event: {} }]) {
      assert.throws(() => read(message), { code: "invalid_payload" });
    }
  });
  test("what we send in its form is read as what it was, the data byte for byte", () => {
    const data = Buffer.from('{"n":1.0}');
    const event = { id: "evt_1", type: "order.created", timestamp: "2026-01-01T00:00:00Z", data };
    const composed = discord.compose(event);
    assert.ok(Buffer.from(composed.body).includes(data));
    const input = { ...event, ...composed, timestampSeconds: NOW, url: "https://r.example/" };
    const sent = discord.sign(input, [discord.parseSigningSecret(PRIVATE_PEM)]);
    assert.equal(sent.headers["x-signature-ed25519"], signatureOf(Buffer.from(sent.body).toString()));
    const { id, type } = discord.describe(sent.body, linesOf(sent.headers));
    assert.deepEqual({ id, type }, { id: "evt_1", type: "order.created" });
  });
  test("keys that are not what they should be are refused, and not shown", () => {
    assert.equal(discord.parseSecret(`${PUBLIC_HEX}\n`), PUBLIC_HEX);
    const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
    const pem = rsa.export({ format: "pem", type: "pkcs8" }).toString();
    for (const text of ["", PUBLIC_HEX.slice(1), PRIVATE_PEM, `${PUBLIC_HEX.slice(1)}g`]) {
      assert.throws(() => discord.parseSecret(text), { code: "invalid_key" });
    }
    for (const text of ["", PUBLIC_HEX, pem, PRIVATE_PEM.slice(0, -40)]) {
      assert.throws(() => discord.parseSigningSecret(text), { code: "invalid_key" });
    }
    for (const secrets of [[], ["x"]]) assert.throws(() => discord.verifier(secrets), /secret|public key/);
  });
});

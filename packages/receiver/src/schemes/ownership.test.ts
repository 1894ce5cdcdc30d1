// Posthorn asks whether an endpoint wants its events, in the form of whatever scheme the endpoint has.
import assert from "node:assert/strict";
import { createCipheriv, generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { jweDecryption } from "../jwe.ts";
import type { ReceiverOptions } from "../receiver/options.ts";
import { createReceiver } from "../receiver/receiver.ts";
import { type AnyScheme, type SchemeName, schemeNamed } from "./schemes.ts";
import { encodeStandardPublicKey, generateStandardKey, importStandardKey } from "./standard-key.ts";

const HOOK = "https://receiver.example/hooks";
const TYPE = "posthorn.endpoint.verification";
const CHALLENGE = "dGhlIGNoYWxsZW5nZQ";
const QUESTION = JSON.stringify({ type: TYPE, challenge: CHALLENGE });
const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TEXT = "It's-a-Secret-to-Everybody";
const key = generateStandardKey();
const publicKey = encodeStandardPublicKey(importStandardKey(key).publicKey);
const rsa = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});

interface Sent {
  readonly id?: string;
  readonly type?: string;
  readonly data?: string;
  readonly signing?: string;
  /** What stands around the data; left out: what the scheme composes. */
  readonly wrap?: ((data: Buffer) => Buffer) | undefined;
}

function receive(
  context: TestContext,
  options: Partial<ReceiverOptions<Record<string, unknown>, undefined>>,
) {
  const types: string[] = [];
  const receiver = createReceiver({
    scheme: "standard",
    url: HOOK,
    ...options,
    handlers: { "*": ({ type }) => void types.push(type) },
    onError: () => {},
  });
  context.after(() => receiver.close());
  const send = async (
    name: SchemeName,
    { id = "verify_0123", type = TYPE, data = QUESTION, signing = WHSEC, wrap }: Sent,
  ) => {
    const scheme: AnyScheme = schemeNamed(name);
    const timestamp = "2026-01-01T00:00:00Z";
    const composed = scheme.compose({ id, type, timestamp, data: Buffer.from(data) });
    const body = wrap === undefined ? composed.body : wrap(Buffer.from(data));
    const timestampSeconds = Math.floor(Date.now() / 1000);
    const input = { ...composed, body, id, type, url: HOOK, timestampSeconds };
    const signed = scheme.sign(input, signing === "" ? [] : [scheme.parseSigningSecret(signing)]);
    const response = await receiver.fetch(
      new Request(HOOK, { ...signed, body: new Uint8Array(signed.body) }),
    );
    return { status: response.status, body: await response.text() };
  };
  return { send, types };
}

const bare = (data: Buffer) => data;
const answered = { status: 200, body: JSON.stringify({ challenge: CHALLENGE }) };

describe("the question of Posthorn is answered by itself, and reaches no handler", () => {
  for (const [name, secret, signing, wrap] of [
    ["standard", WHSEC, WHSEC, bare],
    ["standard", publicKey, key, bare],
    ["http-message", publicKey, key, bare],
    ["svix", WHSEC, WHSEC],
    ["github", TEXT, TEXT],
    ["gitlab", TEXT, TEXT],
    ["gitlab-signing", WHSEC, WHSEC],
    ["bitbucket", TEXT, TEXT],
    ["stripe", TEXT, TEXT],
    ["shopify", TEXT, TEXT],
    ["alipay", rsa.publicKey, rsa.privateKey],
  ] as const) {
    test(`${name}, signed by ${signing.slice(0, 5)}`, async (context) => {
      const { send, types } = receive(context, { scheme: name, secrets: secret });
      assert.deepEqual(await send(name, { signing, wrap }), answered);
      assert.deepEqual(types, []);
    });
  }
  test("encrypted", async (context) => {
    const secret = randomBytes(32);
    const { send, types } = receive(context, {
      secrets: WHSEC,
      decrypt: jweDecryption({ keys: [{ kid: "k1", secret }] }),
    });
    assert.deepEqual(await send("standard", { wrap: (data) => sealed(data, secret) }), answered);
    assert.deepEqual(types, []);
  });
});

describe("no answer", () => {
  test("for a stranger, and whatever else comes is an event", async (context) => {
    const { send, types } = receive(context, { secrets: WHSEC });
    const stranger = await send("standard", { signing: "whsec_YW5vdGhlciBzZWNyZXQ=", wrap: bare });
    assert.equal(stranger.status, 401);
    assert.deepEqual(types, []);
    const events = [
      { id: "evt_0123" },
      { data: `{"type":"${TYPE}"}` },
      { data: `{"type":"${TYPE}","challenge":"<script>"}` },
      { data: '{"type":"order.created","challenge":"abc"}' },
      { data: "[]" },
    ];
    for (const [index, event] of events.entries()) {
      const id = `verify_${index}`;
      assert.deepEqual(await send("standard", { id, ...event, wrap: bare }), { status: 200, body: "" });
    }
    assert.deepEqual(types, [TYPE, TYPE, TYPE, "order.created", "standard"]);
  });
  test("from one that proves nothing: strangers would have the consent of whoever takes everything", async (context) => {
    const { send, types } = receive(context, { scheme: "none" });
    assert.deepEqual(await send("none", { signing: "" }), { status: 200, body: "" });
    assert.deepEqual(types, [TYPE]);
  });
});

function sealed(payload: Buffer, secret: Buffer): Buffer {
  const header = Buffer.from('{"alg":"dir","enc":"A256GCM","kid":"k1"}').toString("base64url");
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", secret, iv).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]);
  const parts = [iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString("base64url"));
  return Buffer.from([header, "", ...parts].join("."));
}

import assert from "node:assert/strict";
import { createCipheriv, randomBytes } from "node:crypto";
import { test } from "node:test";
import { jweDecryption } from "./jwe.ts";
import { createReceiver } from "./receiver/receiver.ts";
import { generateStandardSecret } from "./schemes/standard-secret.ts";
import { signStandard } from "./schemes/standard-signature.ts";

const signingSecret = generateStandardSecret();
const secret = randomBytes(32);
const PAYLOAD = '{"type":"order.created","timestamp":"2026-01-01T00:00:00Z","data":{"total":7}}';

function seal(payload: string, key: Uint8Array): string {
  const header = Buffer.from('{"alg":"dir","enc":"A256GCM","kid":"k1"}').toString("base64url");
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]);
  return [
    header,
    "",
    ...[iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString("base64url")),
  ].join(".");
}

function signed(body: string, by = signingSecret): Request {
  const [id, timestampSeconds] = ["evt_1", Math.floor(Date.now() / 1000)];
  const headers = {
    "content-type": "application/jose",
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signStandard({ id, timestampSeconds, body, secrets: [by] }),
  };
  return new Request("https://receiver.example/", { method: "POST", headers, body });
}

test("handlers get the payload in the clear, once the signature over the encrypted bytes was verified", async (context) => {
  const seen: unknown[] = [];
  const receiver = createReceiver({
    scheme: "standard",
    secrets: signingSecret,
    decrypt: jweDecryption({
      keys: [
        { kid: "k0", secret: randomBytes(32) },
        { kid: "k1", secret },
      ],
    }),
    handlers: { "*": ({ type, data, payload }) => seen.push([type, data, Buffer.from(payload).toString()]) },
    onError: () => {},
  });
  context.after(() => receiver.close());
  const codeOf = async (request: Request) => {
    const response = await receiver.fetch(request);
    const text = await response.text();
    return `${response.status} ${text === "" ? "" : JSON.parse(text).code}`;
  };
  assert.equal(
    await codeOf(signed(seal(PAYLOAD, secret), generateStandardSecret())),
    "401 no_matching_signature",
  );
  assert.equal(await codeOf(signed(seal(PAYLOAD, randomBytes(32)))), "401 decryption_failed");
  assert.equal(await codeOf(signed(PAYLOAD)), "401 invalid_encryption", "in the clear it is refused");
  assert.deepEqual(seen, []);
  assert.equal(await codeOf(signed(seal(PAYLOAD, secret))), "200 ");
  assert.deepEqual(seen, [["order.created", { total: 7 }, PAYLOAD]]);
});

test("without a key there is nothing to decrypt with", () => {
  assert.throws(() => jweDecryption({ keys: [] }), { code: "invalid_key" });
});

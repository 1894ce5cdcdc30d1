import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import {
  encodeStandardPublicKey,
  generateStandardKey,
  generateStandardSecret,
  importStandardKey,
  importStandardPublicKey,
  jwkOf,
  keyIdOf,
  signStandard,
  VerificationError,
  type VerificationErrorCode,
  verifyStandard,
} from "../index.ts";

// Of the sender whose form of the keys has become everybody's; the signature stands in the specification too.
const KEY = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const NOW = 1_614_265_330;
const BODY = '{"test": 2432232314}';
const SIGNATURE =
  "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

const sign = (changes: Partial<Parameters<typeof signStandard>[0]> = {}) =>
  signStandard({ id: ID, timestampSeconds: NOW, body: BODY, keys: [importStandardKey(KEY)], ...changes });

function verify(signature: string, changes: Partial<Parameters<typeof verifyStandard>[0]> = {}) {
  const headers = { "webhook-id": ID, "webhook-timestamp": String(NOW), "webhook-signature": signature };
  return verifyStandard({ headers, body: BODY, publicKeys: [PUBLIC_KEY], nowSeconds: NOW, ...changes });
}

function refused(code: VerificationErrorCode, run: () => unknown): string {
  let message = "";
  assert.throws(run, (error) => {
    assert.ok(error instanceof VerificationError, `${error}`);
    assert.equal(error.code, code);
    message = error.message;
    return true;
  });
  return message;
}

describe("signing with keys", () => {
  test("gives the published signature, from text and from bytes (SW-06)", () => {
    assert.equal(sign(), SIGNATURE);
    assert.equal(sign({ body: Buffer.from(BODY) }), SIGNATURE);
  });
  test("v1 entries stand first, whatever the order of the arguments, and old verifiers accept the header", () => {
    const header = sign({ secrets: [SECRET, generateStandardSecret()] });
    assert.deepEqual(
      header.split(" ").map((entry) => entry.split(",")[0]),
      ["v1", "v1", "v1a"],
    );
    assert.equal(verify(header, { secrets: [SECRET], publicKeys: [] }).id, ID);
    assert.equal(verify(header).id, ID);
  });
  test("during a rotation both keys sign, and a receiver with either accepts (SW-07)", () => {
    const next = importStandardKey(generateStandardKey());
    const header = sign({ keys: [next, importStandardKey(KEY)] });
    assert.equal(verify(header).id, ID);
    assert.equal(verify(header, { publicKeys: [next.publicKey] }).id, ID);
    refused("no_matching_signature", () =>
      verify(header, { publicKeys: [importStandardKey(generateStandardKey()).publicKey] }),
    );
  });
  test("neither secret nor key is refused", () => {
    assert.throws(() => sign({ keys: [] }), RangeError);
  });
});

describe("verifying with public keys", () => {
  test("id, timestamp and body are covered", () => {
    const headers = { "webhook-id": ID, "webhook-timestamp": String(NOW), "webhook-signature": SIGNATURE };
    verify(SIGNATURE);
    for (const changes of [
      { body: `${BODY} ` },
      { headers: { ...headers, "webhook-id": "msg_other" } },
      { headers: { ...headers, "webhook-timestamp": String(NOW + 1) } },
    ]) {
      refused("no_matching_signature", () => verify(SIGNATURE, changes));
    }
    refused("timestamp_too_old", () => verify(SIGNATURE, { nowSeconds: NOW + 301 }));
  });
  test("a key never checks v1, and a secret never v1a (SW-10)", () => {
    const publicBytes = importStandardPublicKey(PUBLIC_KEY).bytes;
    // What a confused verifier would take: an HMAC made with what everybody knows, under either name.
    const forged = sign({ keys: [], secrets: [publicBytes] });
    refused("no_matching_signature", () => verify(forged));
    refused("no_matching_signature", () => verify(forged.replace("v1,", "v1a,")));
    refused("no_matching_signature", () => verify(SIGNATURE.replace("v1a,", "v1,")));
    const hmac = sign({ keys: [], secrets: [SECRET] });
    refused("no_matching_signature", () =>
      verify(hmac.replace("v1,", "v1a,"), { secrets: [SECRET], publicKeys: [] }),
    );
    refused("invalid_secret", () => verify(forged, { secrets: [PUBLIC_KEY], publicKeys: [] }));
    refused("invalid_key", () => verify(hmac, { publicKeys: [SECRET] }));
    refused("invalid_key", () => verify(hmac, { publicKeys: [KEY] }));
  });
  test("unknown versions and entries that are no signature are skipped", () => {
    verify(`v2,AAAA v1a, v1a,AAAA v1a,${"*".repeat(88)} v1a ${SIGNATURE}`);
  });
  test("what says the same in another base64 is not the same (no second form of a signature)", () => {
    for (const other of [
      SIGNATURE.replace("==", ""),
      SIGNATURE.replace("/enGz", "_enGz"),
      SIGNATURE.replace("Ag==", "Ah=="),
    ]) {
      assert.notEqual(other, SIGNATURE);
      refused("no_matching_signature", () => verify(other));
    }
  });
  test("a header full of wrong signatures costs a bounded number of checks", () => {
    const wrong = SIGNATURE.replace("hnO3", "hnO4");
    verify([...Array(15).fill(wrong), SIGNATURE].join(" "));
    refused("no_matching_signature", () => verify([...Array(16).fill(wrong), SIGNATURE].join(" ")));
  });
  test("the error says which version is missing", () => {
    const hmac = sign({ keys: [], secrets: [SECRET] });
    assert.match(
      refused("no_matching_signature", () => verify(hmac)),
      /no v1a entry.*ed25519/,
    );
    assert.match(
      refused("no_matching_signature", () => verify(SIGNATURE, { publicKeys: [], secrets: [SECRET] })),
      /no v1 entry.*whsec_/,
    );
    refused("invalid_secret", () => verify(SIGNATURE, { publicKeys: [] }));
  });
});

describe("keys", () => {
  test("a generated one is 64 bytes that belong together, and never the same twice", () => {
    const key = generateStandardKey();
    assert.match(key, /^whsk_[A-Za-z0-9+/]{86}==$/);
    assert.notEqual(generateStandardKey(), key);
    const { publicKey } = importStandardKey(key);
    assert.deepEqual(Buffer.from(key.slice(5), "base64").subarray(32), Buffer.from(publicKey));
  });
  test("the public key is the one published beside the private", () => {
    const { publicKey } = importStandardKey(KEY);
    assert.equal(encodeStandardPublicKey(publicKey), PUBLIC_KEY);
    assert.deepEqual(importStandardPublicKey(PUBLIC_KEY).bytes, publicKey);
  });
  test("halves that do not belong together are refused: signing with them would give the seed away", () => {
    const other = Buffer.from(generateStandardKey().slice(5), "base64");
    const mixed = Buffer.concat([Buffer.from(KEY.slice(5), "base64").subarray(0, 32), other.subarray(32)]);
    refused("invalid_key", () => importStandardKey(`whsk_${mixed.toString("base64")}`));
  });
  test("what is no key is refused without showing it", () => {
    for (const key of [
      "",
      "whsk_",
      KEY.slice(0, -4),
      KEY.replace("==", ""),
      KEY.replace("whsk_", "whsec_"),
      KEY.slice(5),
      `${KEY} `,
      PUBLIC_KEY,
      "whsk_not base64!",
    ]) {
      const message = refused("invalid_key", () => importStandardKey(key));
      if (key.length > 12) assert.ok(!message.includes(key.slice(6, 12)), message);
    }
    for (const key of [
      "whpk_",
      "whpk_AAAA",
      KEY,
      "whpk_not base64!",
      new Uint8Array(31),
      new Uint8Array(64),
    ]) {
      refused("invalid_key", () => importStandardPublicKey(key));
    }
  });
  test("an imported private key shows nothing to a logger", () => {
    const key = importStandardKey(KEY);
    const seed = Buffer.from(KEY.slice(5), "base64").subarray(0, 32);
    assert.ok(!Buffer.from(key.publicKey.buffer).includes(seed));
    const shown = `${inspect(key, { depth: 9, showHidden: true })} ${JSON.stringify(key)}`;
    assert.ok(shown.includes("publicKey"));
    for (const encoding of ["base64", "base64url", "hex"] as const) {
      assert.ok(!shown.includes(seed.toString(encoding).slice(0, 12)));
    }
    assert.ok(!shown.includes([...seed.subarray(0, 4)].join(",")));
  });
  test("the key id is the JWK thumbprint (RFC 8037 A.3), and stands in the JWK", () => {
    const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const publicKey = Buffer.from(x, "base64url");
    const kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert.equal(keyIdOf(publicKey), kid);
    assert.deepEqual(jwkOf(publicKey), { kty: "OKP", crv: "Ed25519", x, kid, use: "sig", alg: "EdDSA" });
    assert.equal(importStandardPublicKey(publicKey).keyId, kid);
  });
});

// What the library that encrypts payloads makes, the receiver's own reader opens; what it only could make, the reader refuses.
import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { decryptPayload } from "@posthorn/receiver";
import fc from "fast-check";
import { CompactEncrypt, calculateJwkThumbprint, compactDecrypt, exportJWK, type JWK } from "jose";

const CURVES = ["P-256", "P-384", "P-521", "X25519"] as const;
function pairOn(curve: (typeof CURVES)[number]) {
  return curve === "X25519"
    ? generateKeyPairSync("x25519")
    : generateKeyPairSync("ec", { namedCurve: curve });
}

const seal = (
  payload: Uint8Array,
  header: Parameters<CompactEncrypt["setProtectedHeader"]>[0],
  key: Uint8Array | JWK,
) => new CompactEncrypt(payload).setProtectedHeader(header).encrypt(key);

describe("the receiver opens what jose encrypts", () => {
  test("with a shared key, whatever the payload", async () => {
    const secret = randomBytes(32);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const header = { alg: "dir", enc: "A256GCM", kid: "k1", cty: "application/json" };
        const body = await seal(bytes, header, secret);
        const opened = decryptPayload({ body, keys: [{ kid: "k1", secret }] });
        assert.deepEqual(Uint8Array.from(opened.payload), bytes);
        assert.deepEqual(opened.header, header);
        // And jose agrees that it is what was sealed.
        assert.deepEqual((await compactDecrypt(body, secret)).plaintext, bytes);
      }),
      { numRuns: 30 },
    );
  });
  for (const curve of CURVES) {
    test(`for a public key on ${curve}`, async () => {
      const { publicKey, privateKey } = pairOn(curve);
      const jwk = await exportJWK(publicKey);
      const kid = await calculateJwkThumbprint(jwk);
      const payload = Buffer.from('{"type":"invoice.paid"}');
      const body = await seal(payload, { alg: "ECDH-ES", enc: "A256GCM", kid }, jwk);
      const own = (await exportJWK(privateKey)) as never;
      for (const key of [{ privateKey }, { kid, privateKey: own }]) {
        assert.equal(
          Buffer.from(decryptPayload({ body, keys: [key] }).payload).toString(),
          payload.toString(),
        );
      }
      const stranger = pairOn(curve).privateKey;
      assert.throws(() => decryptPayload({ body, keys: [{ privateKey: stranger }] }), {
        code: "decryption_failed",
      });
    });
  }
  test("with both parties named in the agreement", async () => {
    const { publicKey, privateKey } = pairOn("P-256");
    const body = await new CompactEncrypt(Buffer.from("{}"))
      .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
      .setKeyManagementParameters({ apu: Buffer.from("Alice"), apv: Buffer.from("Bob") })
      .encrypt(publicKey);
    const { payload, header } = decryptPayload({ body, keys: [{ privateKey }] });
    assert.equal(Buffer.from(payload).toString(), "{}");
    assert.equal(header.apu, "QWxpY2U");
  });
  test("but not with a wrapped key or another cipher", async () => {
    const { publicKey, privateKey } = pairOn("P-256");
    const jwk = await exportJWK(publicKey);
    for (const header of [
      { alg: "ECDH-ES+A256KW", enc: "A256GCM" },
      { alg: "ECDH-ES", enc: "A128GCM" },
      { alg: "ECDH-ES", enc: "A256CBC-HS512" },
    ]) {
      const body = await seal(Buffer.from("{}"), header, jwk);
      assert.throws(() => decryptPayload({ body, keys: [{ privateKey }] }), {
        code: "unsupported_encryption",
      });
    }
  });
});

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { decryptPayload, verifyStandard } from "@posthorn/receiver";
import type { PublicEncryptionKey } from "../domain/encryption.ts";
import { encryptOf } from "./encryption.ts";
import { rejected, SUCCEEDED, World } from "./engine-harness.ts";

const x25519 = generateKeyPairSync("x25519");
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwkOf = (pair: typeof p256) => pair.publicKey.export({ format: "jwk" });

describe("payload encryption", () => {
  let world: World;
  let app: string;
  let nth = 0;
  before(async () => {
    world = await World.open();
  });
  after(() => world.close());
  beforeEach(async () => {
    world.transport.shipments.length = 0;
    world.transport.answer = () => SUCCEEDED;
    nth += 1;
    app = await world.app(`shop${nth}`);
  });

  async function deliver() {
    const ended = world.ended();
    await world.publish(app, "order.created", { id: 1 });
    return world.engine.deliveries.get((await ended).deliveryId);
  }

  test("dir: what arrives opens with the shared key, and the signature is over what arrives", async () => {
    const endpoint = await world.endpoint(app, { encryption: { kind: "dir" } });
    const { secret, encryptionKey } = await world.engine.endpoints.secret(app, endpoint.id);
    await deliver();
    const [shipment] = world.transport.shipments;
    assert.ok(shipment && secret && encryptionKey && endpoint.encryption);
    assert.equal(shipment.headers["content-type"], "application/jose");
    verifyStandard({ ...shipment, secrets: [secret] });
    const key = { secret: Buffer.from(encryptionKey, "base64url") };
    const { payload, header } = decryptPayload({ body: shipment.body, keys: [key] });
    assert.deepEqual(JSON.parse(Buffer.from(payload).toString()).data, { id: 1 });
    const { kid } = endpoint.encryption;
    assert.deepEqual(header, { alg: "dir", enc: "A256GCM", kid, cty: "application/json" });
    assert.match(kid, /^[0-9a-f]{8}$/);
  });

  test("each attempt is encrypted anew", async () => {
    await world.endpoint(app, { encryption: { kind: "dir" }, retrySchedule: [0.01] });
    world.transport.answer = (_shipment, count) => (count === 1 ? rejected(500) : SUCCEEDED);
    const { attempts } = await deliver();
    assert.equal(attempts.length, 2);
    const [first, second] = world.transport.bodies();
    assert.notEqual(first, second);
    assert.equal(first?.split(".")[0], second?.split(".")[0]);
  });

  for (const [name, pair] of [
    ["P-256", p256],
    ["X25519", x25519 as unknown as typeof p256],
  ] as const) {
    test(`ecdh-es with ${name}: only the receiver's own key opens it`, async () => {
      const endpoint = await world.endpoint(app, { encryption: { kind: "ecdh-es", publicKey: jwkOf(pair) } });
      assert.equal((await world.engine.endpoints.secret(app, endpoint.id)).encryptionKey, null);
      assert.match(endpoint.encryption?.kid ?? "", /^[\w-]{43}$/, "an RFC 7638 thumbprint");
      await deliver();
      const [shipment] = world.transport.shipments;
      const { payload } = decryptPayload({
        body: shipment?.body ?? "",
        keys: [{ privateKey: pair.privateKey }],
      });
      assert.deepEqual(JSON.parse(Buffer.from(payload).toString()).data, { id: 1 });
    });
  }

  test("public keys that are none are refused by name; private ones before they are read", async () => {
    const good = jwkOf(p256);
    const offCurve = { ...good, y: good.x };
    const small = { kty: "OKP", crv: "X25519", x: Buffer.alloc(32).toString("base64url") };
    for (const publicKey of [
      offCurve,
      small,
      { ...good, kty: "OKP" },
      { ...good, crv: "X25519" },
      { kty: "EC", crv: "P-256", x: good.x },
    ]) {
      await assert.rejects(world.endpoint(app, { encryption: { kind: "ecdh-es", publicKey } }), {
        code: "invalid_field",
        pointer: "/encryption/publicKey",
      });
    }
    const whole = p256.privateKey.export({ format: "jwk" });
    await assert.rejects(
      world.endpoint(app, { encryption: { kind: "ecdh-es", publicKey: whole } }),
      (error: Error) => {
        assert.equal((error as { code?: string }).code, "unknown_field");
        return !error.message.includes(whole.d ?? "");
      },
    );
  });

  test("another encryption replaces it as a whole, null sends in clear again", async () => {
    const endpoint = await world.endpoint(app, { encryption: { kind: "dir", kid: "one" } });
    const first = await world.engine.endpoints.secret(app, endpoint.id);
    const update = (encryption: unknown) => world.engine.endpoints.update(app, endpoint.id, { encryption });
    assert.equal((await update({ kind: "dir", kid: "two" })).encryption?.kid, "two");
    const second = await world.engine.endpoints.secret(app, endpoint.id);
    assert.notEqual(second.encryptionKey, first.encryptionKey);
    assert.equal((await update(null)).encryption, null);
    await deliver();
    assert.match(world.transport.bodies()[0] ?? "", /^\{"type":"order.created"/);
    assert.equal((await world.engine.endpoints.secret(app, endpoint.id)).encryptionKey, null);
  });

  test("a key that could not be read once is read again for the next payload", async () => {
    const good = { ...jwkOf(p256), kty: "EC", crv: "P-256" } as PublicEncryptionKey;
    const keys = [{ ...good, x: "AAAA" }, good];
    const encrypt = encryptOf(
      {
        kind: "ecdh-es",
        kid: "k1",
        get publicKey() {
          return keys.shift() ?? assert.fail("it was read once too often");
        },
      },
      null,
    );
    await assert.rejects(encrypt(Buffer.from("{}")));
    for (let i = 0; i < 2; i++) assert.match((await encrypt(Buffer.from("{}"))).toString(), /^[\w-]+\./);
  });
});

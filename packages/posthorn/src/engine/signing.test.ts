import assert from "node:assert/strict";
import { after, before, beforeEach, describe, mock, test } from "node:test";
import {
  generateStandardKey,
  generateStandardSecret,
  importStandardKey,
  verifyHttpMessage,
  verifyStandard,
} from "@posthorn/receiver";
import type { Shipment } from "../transports/transport.ts";
import { World } from "./engine-harness.ts";

describe("what deliveries are signed with", () => {
  let world: World;
  let app: string;
  let nth = 0;
  before(async () => {
    world = await World.open();
  });
  after(() => world.close());
  beforeEach(async () => {
    world.transport.shipments.length = 0;
    nth += 1;
    app = await world.app(`shop${nth}`);
  });

  async function delivered(): Promise<Shipment> {
    const ended = world.ended();
    await world.publish(app, "order.created", { id: 1 });
    await ended;
    return world.transport.shipments.at(-1) as Shipment;
  }

  async function secretsOf(endpoint: { id: string }) {
    return world.engine.endpoints.secret(app, endpoint.id);
  }
  const messageOf = ({ url, headers, body }: Shipment) => ({ method: "POST", url, headers, body });

  test("standard: a secret alone", async () => {
    const endpoint = await world.endpoint(app);
    const { secret, publicKey } = await secretsOf(endpoint);
    assert.deepEqual([publicKey, endpoint.publicKeys], [null, []]);
    const { headers, body } = await delivered();
    assert.match(headers["webhook-signature"] ?? "", /^v1,[^ ]+$/);
    assert.equal(verifyStandard({ headers, body, secrets: [secret ?? ""] }).id, headers["webhook-id"]);
    assert.equal(headers["content-type"], undefined);
  });

  test("standard-ed25519: a key alone, whose public half is shown", async () => {
    const endpoint = await world.endpoint(app, { scheme: "standard-ed25519" });
    const { secret, publicKey } = await secretsOf(endpoint);
    assert.equal(secret, null);
    const { headers, body } = await delivered();
    assert.match(headers["webhook-signature"] ?? "", /^v1a,[^ ]+$/);
    verifyStandard({ headers, body, publicKeys: [publicKey ?? ""] });
    verifyStandard({ headers, body, publicKeys: [endpoint.publicKeys[0]?.publicKey ?? ""] });
  });

  test("standard-both: v1 first, for verifiers that know nothing else", async () => {
    const endpoint = await world.endpoint(app, { scheme: "standard-both" });
    const { secret, publicKey } = await secretsOf(endpoint);
    const { headers, body } = await delivered();
    assert.match(headers["webhook-signature"] ?? "", /^v1,[^ ]+ v1a,[^ ]+$/);
    verifyStandard({ headers, body, secrets: [secret ?? ""] });
    verifyStandard({ headers, body, publicKeys: [publicKey ?? ""] });
  });

  test("http-message: RFC 9421 over method, target, type, digest and id", async () => {
    const endpoint = await world.endpoint(app, { scheme: "http-message", url: "https://r.example/hook?a=1" });
    const { publicKey } = await secretsOf(endpoint);
    const shipment = await delivered();
    const verified = verifyHttpMessage({ ...messageOf(shipment), publicKeys: [publicKey ?? ""] });
    assert.equal(verified.keyId, endpoint.publicKeys[0]?.kid);
    assert.equal(verified.id, shipment.headers["webhook-id"]);
    assert.equal(String(verified.timestampSeconds), shipment.headers["webhook-timestamp"]);
    assert.equal(shipment.headers["content-type"], "application/json");
    assert.equal(shipment.headers["webhook-signature"], undefined);
    const created = Number(/;created=(\d+)/.exec(shipment.headers["signature-input"] ?? "")?.[1]);
    assert.match(shipment.headers["signature-input"] ?? "", new RegExp(`;expires=${created + 300};`));
    const elsewhere = { ...messageOf(shipment), url: "https://other.example/hook?a=1" };
    assert.throws(() => verifyHttpMessage({ ...elsewhere, publicKeys: [publicKey ?? ""] }));
  });

  test("what is given is used, and what the scheme would never use is refused without being shown", async () => {
    const [secret, signingKey] = [generateStandardSecret(), generateStandardKey()];
    const endpoint = await world.endpoint(app, { scheme: "standard-both", secret, signingKey });
    assert.equal((await secretsOf(endpoint)).secret, secret);
    const { publicKey } = importStandardKey(signingKey);
    assert.deepEqual(Buffer.from(endpoint.publicKeys[0]?.publicKey ?? []), Buffer.from(publicKey));
    await assert.rejects(world.endpoint(app, { signingKey }), (error: Error) => {
      assert.match(
        error.message,
        /^\/signingKey is not used: the scheme standard signs with a signing secret/,
      );
      return !error.message.includes(signingKey);
    });
    const ed25519 = { scheme: "standard-ed25519", secret };
    await assert.rejects(world.endpoint(app, ed25519), { code: "invalid_field", pointer: "/secret" });
  });

  test("another scheme gets what it needs and keeps what there is", async () => {
    const endpoint = await world.endpoint(app);
    const { secret } = await secretsOf(endpoint);
    const update = (scheme: string) => world.engine.endpoints.update(app, endpoint.id, { scheme });
    const [first] = (await update("http-message")).publicKeys;
    assert.ok(first);
    verifyHttpMessage({ ...messageOf(await delivered()), publicKeys: [first.publicKey] });
    const both = await update("standard-both");
    assert.equal(both.publicKeys[0]?.kid, first.kid);
    assert.equal((await secretsOf(endpoint)).secret, secret);
    await update("standard");
    const { headers, body } = await delivered();
    verifyStandard({ headers, body, secrets: [secret ?? ""] });
  });

  test("a rotation signs with the new and the old until the overlap ends, both kinds", async () => {
    const endpoint = await world.endpoint(app, { scheme: "standard-both" });
    const old = await secretsOf(endpoint);
    const rotated = await world.engine.endpoints.rotateSecret(app, endpoint.id, {});
    assert.notEqual(rotated.secret, old.secret);
    assert.notEqual(rotated.publicKey, old.publicKey);
    const { headers, body } = await delivered();
    assert.match(headers["webhook-signature"] ?? "", /^v1,[^ ]+ v1,[^ ]+ v1a,[^ ]+ v1a,[^ ]+$/);
    for (const { secret, publicKey } of [old, rotated]) {
      verifyStandard({ headers, body, secrets: [secret ?? ""] });
      verifyStandard({ headers, body, publicKeys: [publicKey ?? ""] });
    }
    const shown = await world.engine.endpoints.get(app, endpoint.id);
    assert.deepEqual(
      shown.publicKeys.map(({ expiresAtMs }) => expiresAtMs === null),
      [true, false],
    );
    const later = Date.now() + 25 * 3_600_000;
    const clock = mock.method(Date, "now", () => later);
    const alone = await delivered().finally(() => clock.mock.restore());
    assert.match(alone.headers["webhook-signature"] ?? "", /^v1,[^ ]+ v1a,[^ ]+$/);
  });

  test("a rotation without overlap ends the old key at once; http-message signs with all that live", async () => {
    const endpoint = await world.endpoint(app, { scheme: "http-message" });
    const first = await secretsOf(endpoint);
    const second = await world.engine.endpoints.rotateSecret(app, endpoint.id, { overlapSeconds: 60 });
    const shipment = await delivered();
    for (const { publicKey } of [first, second])
      verifyHttpMessage({ ...messageOf(shipment), publicKeys: [publicKey ?? ""] });
    const third = await world.engine.endpoints.rotateSecret(app, endpoint.id, { overlapSeconds: 0 });
    const later = await delivered();
    verifyHttpMessage({ ...messageOf(later), publicKeys: [third.publicKey ?? ""] });
    assert.throws(() => verifyHttpMessage({ ...messageOf(later), publicKeys: [second.publicKey ?? ""] }));
  });

  test("every attempt says through how many webhooks its event has come", async () => {
    await world.endpoint(app);
    assert.equal((await delivered()).headers["posthorn-hops"], "1");
    const ended = world.ended();
    const data = Buffer.from("{}");
    const envelope = { app, type: "order.created" };
    await world.engine.publish([{ envelope, data, raw: data, idempotencyKey: null, hops: 3 }]);
    await ended;
    assert.equal(world.transport.shipments.at(-1)?.headers["posthorn-hops"], "4");
  });

  test("public keys are there for receivers: those of one app, or of all, without telling which apps are here", async () => {
    const endpoint = await world.endpoint(app, { scheme: "standard-ed25519" });
    await world.endpoint(app);
    const [only, ...others] = await world.engine.publicKeys({ app });
    assert.deepEqual([only?.kid, others], [endpoint.publicKeys[0]?.kid, []]);
    await world.engine.endpoints.rotateSecret(app, endpoint.id, {});
    assert.equal((await world.engine.publicKeys({ app })).length, 2);
    await world.engine.endpoints.rotateSecret(app, endpoint.id, { overlapSeconds: 0 });
    assert.ok((await world.engine.publicKeys()).length >= 2);
    assert.deepEqual(await world.engine.publicKeys({ app: "nobody" }), []);
  });

  test("the audit log says who revealed and rotated, and holds no secret", async () => {
    const endpoint = await world.endpoint(app);
    const { secret } = await secretsOf(endpoint);
    const rotated = await world.engine.endpoints.rotateSecret(app, endpoint.id, {});
    await world.engine.endpoints.remove(app, endpoint.id);
    const { data } = await world.engine.audit.list({ app });
    const actions = data.filter(({ target }) => target.id === endpoint.id).map(({ action }) => action);
    assert.deepEqual(actions, ["endpoint.remove", "secret.rotate", "secret.reveal", "endpoint.create"]);
    const text = JSON.stringify(data);
    for (const each of [secret, rotated.secret]) assert.ok(each !== null && !text.includes(each));
  });
});

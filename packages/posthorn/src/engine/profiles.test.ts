import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { type AnyScheme, schemeNamed } from "@posthorn/receiver";
import { PROFILES, type ProfileName } from "../domain/scheme.ts";
import type { Question, Reply } from "../transports/transport.ts";
import { replyOf, World } from "./engine-harness.ts";
import { VERIFICATION_TYPE } from "./ownership-check.ts";
import { secretTextOf } from "./profile-secrets.ts";
import { profileNamed } from "./profiles.ts";

const signingKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
  type: "pkcs8",
  format: "pem",
}) as string;

describe("sender profiles", () => {
  let world: World;
  let app: string;
  before(async () => {
    world = await World.open();
    app = await world.app();
  });
  after(() => world.close());

  test("every header that one sets is known as its own", () => {
    for (const name of PROFILES) {
      const profile = profileNamed(name);
      const text = secretTextOf(profile, "app_1", profile.secret.kind === "key" ? { signingKey } : {}, null);
      const sender = profile.open([{ text, expiresAtMs: Number.POSITIVE_INFINITY }]);
      const event = { id: "evt_1", type: "a", timestamp: "2026-01-31T12:00:00Z", data: Buffer.from("{}") };
      const input = { ...event, ...sender.compose(event), url: "https://r.example/", timestampSeconds: 1 };
      const { "content-type": contentType, ...headers } = sender.sign(input, 0).headers;
      assert.ok(contentType, name);
      assert.deepEqual(Object.keys(headers).toSorted(), profile.headers.toSorted(), name);
      assert.ok(Object.keys(headers).every((header) => header === header.toLowerCase()));
    }
  });

  test("nothing that a profile sets can be set beside it, and no JWE goes with one", async () => {
    const refused = (fields: object, pointer: string) =>
      assert.rejects(world.endpoint(app, { ...fields }), { code: "invalid_field", pointer });
    const named = { "X-Hub-Signature-256": "sha256=0" };
    await refused({ scheme: "github", headers: named }, "/headers/X-Hub-Signature-256");
    const authentication = { kind: "header", name: "Stripe-Signature", value: "t=0" };
    await refused({ scheme: "stripe", authentication }, "/authentication/name");
    await refused({ scheme: "wechat", encryption: { kind: "dir" } }, "/encryption");
    await refused({ scheme: "github", signingKey }, "/signingKey");
    await refused({ scheme: "alipay", secret: "x".repeat(32) }, "/secret");
    const endpoint = await world.endpoint(app, { headers: named, encryption: { kind: "dir" } });
    const update = (fields: object) => world.engine.endpoints.update(app, endpoint.id, fields);
    await assert.rejects(update({ scheme: "github" }), { pointer: "/encryption" });
    await assert.rejects(update({ scheme: "github", encryption: null }), {
      pointer: "/headers/X-Hub-Signature-256",
    });
    assert.equal((await update({ scheme: "github", encryption: null, headers: null })).scheme, "github");
  });

  test("a secret is of use to its own scheme alone, and keys of before are listed no more", async () => {
    const endpoint = await world.endpoint(app, { scheme: "standard-both" });
    const secretsOf = () => world.engine.endpoints.secret(app, endpoint.id);
    const update = (scheme: string) => world.engine.endpoints.update(app, endpoint.id, { scheme });
    const first = await secretsOf();
    assert.equal((await world.engine.publicKeys({ app })).length, 1);
    for (const scheme of ["wechat", "github", "alipay", "standard-both"]) {
      const view = await update(scheme);
      const { secret, publicKey } = await secretsOf();
      assert.notEqual(secret, first.secret);
      if (scheme === "wechat") assert.equal(JSON.parse(secret ?? "").receiveId, app);
      if (scheme === "alipay") assert.match(publicKey ?? "", /^-----BEGIN PUBLIC KEY-----/);
      const isOurs = scheme === "standard-both";
      assert.equal((await world.engine.publicKeys({ app })).length, isOurs ? 1 : 0, scheme);
      assert.equal(view.publicKeys.length, isOurs ? 1 : 0);
      assert.equal(view.oldSecretExpiresAtMs, null);
    }
    const { data } = await world.engine.audit.list({ app });
    const { action, after: changed } = data.find(({ target }) => target.id === endpoint.id) ?? {};
    assert.equal(action, "secret.reveal");
    assert.equal(changed, null);
    const updated = data.find((each) => each.action === "endpoint.update");
    assert.deepEqual(updated?.after?.replaced, ["secret"]);
  });

  test("no key is made for an endpoint that has one or does not exist, and so many at once at most", async () => {
    const { id } = await world.endpoint(app, { scheme: "alipay" });
    const patch = (reference: string) => world.engine.endpoints.update(app, reference, { scheme: "alipay" });
    const settled = await Promise.allSettled(Array.from({ length: 60 }, () => patch("ep_nothere")));
    assert.ok(settled.every((each) => each.status === "rejected" && each.reason.code === "not_found"));
    const wanted = Array.from({ length: 10 }, () => world.endpoint(app, { scheme: "alipay" }));
    await assert.rejects(Promise.race(wanted), { code: "overloaded" });
    const key = (await world.engine.endpoints.secret(app, id)).publicKey;
    await patch(id);
    assert.equal((await world.engine.endpoints.secret(app, id)).publicKey, key);
    const refused = (await Promise.allSettled(wanted)).filter((each) => each.status === "rejected");
    assert.deepEqual(
      refused.map(({ reason }) => [reason.code, reason.retryAfterSeconds]),
      Array(2).fill(["overloaded", 5]),
    );
    assert.equal((await world.endpoint(app, { scheme: "alipay" })).scheme, "alipay");
  });

  test("one that protects little says so", async () => {
    const warningsOf = async (scheme: string) => (await world.endpoint(app, { scheme })).warnings;
    assert.deepEqual(await warningsOf("github"), []);
    assert.match((await warningsOf("gitlab")).join(), /sends its secret along/);
    assert.match((await warningsOf("wechat")).join(), /weak/);
  });
});

describe("the ownership check of sender profiles", () => {
  let world: World;
  let app: string;
  before(async () => {
    world = await World.open({ ownershipCheck: "challenge", ownershipApartMs: 0 });
    app = await world.app();
  });
  after(() => world.close());

  /** As it stands once its receiver was asked. It was disabled first, so that the receiver has its secret. */
  async function asked(scheme: ProfileName, answer: (question: Question, secret: string) => Reply) {
    const { id } = await world.endpoint(app, {
      scheme,
      status: "disabled",
      url: "https://r.example/h?a=%20b",
    });
    const { secret, publicKey } = await world.engine.endpoints.secret(app, id);
    world.transport.reply = (question) => answer(question, secret ?? publicKey ?? "");
    await world.engine.endpoints.act(app, id, "enable");
    await world.engine.endpoints.verify(app, id);
    return world.engine.endpoints.get(app, id);
  }

  const verified = (scheme: ProfileName, { method, url, headers, body }: Question, secret: string) => {
    const receiving: AnyScheme = schemeNamed(scheme as string);
    const clock = { nowSeconds: Math.floor(Date.now() / 1000), toleranceSeconds: 300 };
    const request = { method, url, headers, body: body ?? "" };
    return receiving.verifier([receiving.parseSecret(secret)])(request, clock);
  };

  test("asks as the sender asks, and else in its form", async () => {
    const handshakes = new Set<string>();
    for (const scheme of PROFILES) {
      const { status, verification } = await asked(scheme, (question, secret) => {
        const found = verified(scheme, question, secret);
        assert.match(question.url, /\?a=%20b(&|$)/);
        if (found.kind === "handshake") {
          handshakes.add(scheme);
          return replyOf(found.answer.status, found.answer.body);
        }
        const lines = (name: string) => [question.headers[name] ?? ""];
        const { type, data } = schemeNamed(scheme).describe(found.payload, lines);
        assert.equal(type, VERIFICATION_TYPE);
        return replyOf(200, (data as { challenge: string }).challenge);
      });
      assert.deepEqual([status, verification?.problem], ["enabled", null], scheme);
    }
    assert.deepEqual([...handshakes], ["slack", "wechat", "wecom", "feishu", "dingtalk"]);
  });

  test("an echo is no consent, and neither is the acknowledgement of an event where a challenge is to come back", async () => {
    const echo = ({ body }: Question) => replyOf(200, Buffer.from(body ?? []).toString());
    for (const scheme of PROFILES) {
      const { status, verification } = await asked(scheme, echo);
      assert.equal(status, "unverified", scheme);
      assert.match(verification?.problem ?? "", /^It answered 200/);
    }
    for (const scheme of ["wechat", "wecom", "feishu", "alipay"] as const)
      assert.equal((await asked(scheme, () => replyOf(200, "success"))).status, "unverified", scheme);
  });
});

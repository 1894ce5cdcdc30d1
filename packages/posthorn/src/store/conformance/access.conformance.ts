/** What says who may do what: limits of apps and keys, keys of one app, and what receivers ask of deliveries. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type EndpointId, newAppId, newId } from "../../base/ids.ts";
import type { EndpointAccess } from "../../domain/endpoint.ts";
import { NO_APP_LIMITS } from "../../domain/limits.ts";
import type { Scheme } from "../../domain/scheme.ts";
import type { SealedSecret } from "../store.ts";
import { fingerprint, HOUR, type TestApp, type World } from "./world.conformance.ts";

const ACCESS: EndpointAccess = {
  authentication: {
    kind: "oauth2",
    tokenUrl: "https://login.example/token",
    clientId: "shop",
    scope: "events",
    audience: null,
    clientAuthentication: "basic",
  },
  clientCertificate: {
    certificate: "PEM",
    subject: "CN=Bücher",
    notAfterMs: 1.9e12,
    fingerprint: "ab".repeat(32),
  },
  certificateAuthorities: "PEM of an authority",
  encryption: { kind: "ecdh-es", kid: "one", publicKey: { kty: "OKP", crv: "X25519", x: "abc" } },
  verification: {
    policy: "cloudevents",
    verifiedAtMs: null,
    checkedAtMs: 1.7e12,
    checks: 3,
    problem: "it answered 404",
    origin: "posthorn.example",
    grantedPerMinute: 120,
    callback: { hash: "cd".repeat(32), expiresAtMs: 1.7e12 },
  },
};

export function accessStories(world: () => World): void {
  test("an endpoint's access and credentials are kept as they were given, until they are changed", async () => {
    const app = await world().app();
    const endpoint = world().endpointOf(app, ACCESS);
    const change = { ...world().endpointChange(endpoint), sealedCredentials: Buffer.from("sealed") };
    await world().store.write.save({ ...change, create: true });
    const ways = async () => [
      (await world().store.read.config(app.id))?.endpoints[0],
      await world().store.read.find("endpoint", { id: endpoint.id }),
      (await world().store.read.list("endpoint", { appId: app.id, limit: 1 })).data[0],
      (await world().store.read.refresh([{ endpointId: endpoint.id, version: 99 }])).changed[0],
    ];
    for (const found of await ways()) {
      assert.deepEqual(accessIn(found?.endpoint), ACCESS);
      assert.equal(Buffer.from(found?.sealedCredentials ?? []).toString(), "sealed");
    }
    await world().store.write.save(world().endpointChange(world().endpointOf(app, { id: endpoint.id })));
    for (const found of await ways()) {
      assert.deepEqual(Object.values(accessIn(found?.endpoint)), [null, null, null, null, null]);
      assert.equal(found?.sealedCredentials, null);
    }
  });

  test("an app's limits and ownership check are kept, and changed as a whole", async () => {
    const app = world().appOf({ limits: { ...NO_APP_LIMITS, publishPerSecond: 2.5, endpoints: 3 } });
    await world().store.write.save({ kind: "app", create: true, app });
    const shown = async () => {
      const found = await world().store.read.find("app", { id: app.id });
      assert.deepEqual((await world().store.read.config(app.id))?.app, found);
      return [found?.limits, found?.ownershipCheck];
    };
    assert.deepEqual(await shown(), [app.limits, null]);
    const limits = { ...NO_APP_LIMITS, eventsPerDay: 0, payloadBytes: 1000 };
    const changed = { ...app, limits, ownershipCheck: "challenge" } as const;
    await world().store.write.save({ kind: "app", create: false, app: changed });
    assert.deepEqual(await shown(), [limits, "challenge"]);
  });

  test("a key has its limits, and may belong to one app, with which it ends", async () => {
    const [app, other] = [await world().app(), await world().app()];
    const limits = { publishPerSecond: 10, eventsPerDay: 1000, payloadBytes: null };
    const key = await world().key({ role: "app", appId: app.id, limits });
    const stranger = await world().key({ role: "app", appId: other.id });
    const admin = await world().key();
    const found = await world().store.read.find("key", { hash: fingerprint(key.id) });
    assert.deepEqual([found?.role, found?.appId, found?.limits], ["app", app.id, limits]);
    assert.equal((await world().store.read.find("key", { id: admin.id }))?.appId, null);
    assert.equal(await world().store.read.find("key", { id: key.id, appId: other.id }), undefined);

    const ids = async (query: { appId?: TestApp["id"] }) =>
      (await world().store.read.list("key", { ...query, limit: 10 })).data.map(({ id }) => id);
    assert.deepEqual(await ids({ appId: app.id }), [key.id]);
    assert.deepEqual((await ids({})).slice(0, 3), [admin.id, stranger.id, key.id]);

    await world().store.write.remove({ kind: "app", id: app.id });
    assert.equal(await world().store.read.find("key", { hash: fingerprint(key.id) }), undefined);
    assert.deepEqual((await ids({})).slice(0, 2), [admin.id, stranger.id]);
  });

  test("no key is made for an app that is not there", async () => {
    const gone = await world().app();
    await world().store.write.remove({ kind: "app", id: gone.id });
    for (const appId of [newAppId(), gone.id]) {
      const key = { id: newId("key"), role: "app", appId, name: "x", limits: NO_APP_LIMITS } as const;
      const change = { kind: "key", key: { ...key, prefix: "phk_", expiresAtMs: null } } as const;
      const result = await world().store.write.save({ ...change, hash: fingerprint(key.id) });
      assert.deepEqual(result, { kind: "missing" });
      assert.equal(await world().store.read.find("key", { id: key.id }), undefined);
    }
  });

  test("endpoints of all apps are listed", async () => {
    const made = [(await world().pair()).endpoint, (await world().pair()).endpoint];
    const { data } = await world().store.read.list("endpoint", { limit: 2 });
    assert.deepEqual(
      data.map(({ endpoint }) => endpoint.id),
      made.toReversed(),
    );
  });

  test("public keys: those that deliveries are signed with now, in the order of endpoints", async () => {
    const [app, other] = [await world().app(), await world().app()];
    const nowMs = (await world().store.read.find("app", { id: app.id }))?.createdAtMs ?? 0;
    // In the form of another sender, which has no public key: it takes no place in a page.
    for (const scheme of ["github", "alipay"] as const) await signing(app, scheme, [secret()]);
    const both = await signing(app, "standard-both", [secret(), key("a")]);
    const rotated = await signing(app, "http-message", [
      key("b"),
      key("c", nowMs + HOUR),
      key("d", nowMs - HOUR),
    ]);
    const foreign = await signing(other, "standard-ed25519", [key("e")]);
    const removed = await signing(app, "standard-ed25519", [key("f")]);
    await world().store.write.remove({ kind: "endpoint", id: removed });
    // It went back to secrets: what is left of its key signs nothing.
    await signing(app, "standard", [secret(), key("g", nowMs + HOUR)]);

    const shown = async (query: { appId?: TestApp["id"]; limit: number }) =>
      (await world().store.read.publicKeys(query)).map(({ endpointId, appId, publicKey, expiresAtMs }) => [
        endpointId,
        appId,
        String.fromCharCode(publicKey[0] ?? 0),
        expiresAtMs,
      ]);
    const ofApp = [
      [both, app.id, "a", null],
      [rotated, app.id, "b", null],
      [rotated, app.id, "c", nowMs + HOUR],
    ];
    assert.deepEqual(await shown({ appId: app.id, limit: 10 }), ofApp);
    assert.deepEqual(await shown({ appId: app.id, limit: 2 }), ofApp.slice(0, 2));
    const all = [...ofApp, [foreign, other.id, "e", null]];
    assert.deepEqual(await shown({ limit: 10 }), all.toSorted(byEndpoint));
    assert.deepEqual(await shown({ appId: newAppId(), limit: 10 }), []);
    const config = (await world().store.read.find("endpoint", { id: both }))?.secrets;
    assert.deepEqual(
      config?.map(({ publicKey }) => publicKey?.length ?? null),
      [null, 32],
    );
  });

  async function signing(
    app: TestApp,
    scheme: Scheme,
    secrets: readonly SealedSecret[],
  ): Promise<EndpointId> {
    const endpoint = world().endpointOf(app, { scheme });
    const change = { ...world().endpointChange(endpoint), create: true, secrets };
    assert.deepEqual(await world().store.write.save(change), { kind: "saved" });
    return endpoint.id;
  }
}

function accessIn(endpoint: EndpointAccess | undefined): Partial<EndpointAccess> {
  const { authentication, clientCertificate, certificateAuthorities, encryption, verification } =
    endpoint ?? {};
  return {
    authentication,
    clientCertificate,
    certificateAuthorities,
    encryption,
    verification,
  } as EndpointAccess;
}

function secret(): SealedSecret {
  return { sealed: Buffer.from("sealed secret"), expiresAtMs: null, publicKey: null };
}

/** Its public half is 32 times the letter. */
function key(letter: string, expiresAtMs: number | null = null): SealedSecret {
  return { sealed: Buffer.from(`sealed ${letter}`), expiresAtMs, publicKey: Buffer.alloc(32, letter) };
}

function byEndpoint([a]: readonly unknown[], [b]: readonly unknown[]): number {
  return String(a) < String(b) ? -1 : 1;
}

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, describe, mock, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import type { UrlRules } from "../security/address-guard.ts";
import { World } from "./engine-harness.ts";

const pem = (name: string) =>
  readFileSync(new URL(`../../test/data/tls/${name}.pem`, import.meta.url), "utf8");
const clientCertificate = { certificate: pem("client"), privateKey: pem("client-key") };

describe("how deliveries authenticate themselves", () => {
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

  async function shipped(more: Record<string, unknown>) {
    const endpoint = await world.endpoint(app, more);
    const ended = world.ended();
    await world.publish(app, "order.created", {});
    await ended;
    return { endpoint, shipment: world.transport.shipments.at(-1) };
  }

  test("basic, bearer and header are headers, and shown without what is secret", async () => {
    const cases = [
      [
        { kind: "basic", username: "shop", password: "grün:1" },
        ["authorization", `Basic ${Buffer.from("shop:grün:1").toString("base64")}`],
        { kind: "basic", username: "shop" },
      ],
      [{ kind: "bearer", token: "abc.def" }, ["authorization", "Bearer abc.def"], { kind: "bearer" }],
      [
        { kind: "header", name: "X-Api-Key", value: "v 1" },
        ["x-api-key", "v 1"],
        { kind: "header", name: "X-Api-Key" },
      ],
    ] as const;
    for (const [authentication, [name, value], shown] of cases) {
      app = await world.app(`${authentication.kind}${nth}`);
      const { endpoint, shipment } = await shipped({ authentication, headers: { "X-Mine": "1" } });
      assert.equal(shipment?.headers[name], value);
      assert.equal(shipment?.headers["x-mine"], "1");
      assert.equal(shipment?.access, undefined);
      assert.deepEqual(endpoint.authentication, shown);
    }
  });

  test("oauth2, client certificate and authorities go to the transport, known by endpoint and version", async () => {
    const authentication = {
      kind: "oauth2",
      tokenUrl: "https://login.example/token",
      clientId: "shop",
      clientSecret: "s3cret",
      scope: "events",
    };
    const certificateAuthorities = pem("client-authority");
    const { endpoint, shipment } = await shipped({
      authentication,
      clientCertificate,
      certificateAuthorities,
    });
    assert.deepEqual(shipment?.access, {
      id: `${endpoint.id}:1`,
      tls: {
        clientCertificate: clientCertificate.certificate,
        clientKey: clientCertificate.privateKey,
        certificateAuthorities,
      },
      oauth2: {
        tokenUrl: "https://login.example/token",
        clientId: "shop",
        clientSecret: "s3cret",
        scope: "events",
        audience: null,
        clientAuthentication: "basic",
      },
    });
    assert.ok(Object.isFrozen(shipment?.access));
    assert.equal(shipment?.headers.authorization, undefined);
    const again = world.ended();
    await world.publish(app, "order.created", {});
    await again;
    assert.equal(
      world.transport.shipments.at(-1)?.access,
      shipment?.access,
      "the same object for every attempt",
    );
    assert.ok(!JSON.stringify(endpoint).includes("s3cret") && !JSON.stringify(endpoint).includes("PRIVATE"));
  });

  test("of a client certificate its name and its end are shown, and that the end is near", async () => {
    const endpoint = await world.endpoint(app, { clientCertificate });
    const read = endpoint.clientCertificate;
    assert.match(read?.subject ?? "", /CN=/);
    assert.match(read?.fingerprint ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual(endpoint.warnings, []);
    const nearMs = (read?.notAfterMs ?? 0) - 29 * 86_400_000;
    const clock = mock.method(Date, "now", () => nearMs);
    const { warnings } = await world.engine.endpoints
      .get(app, endpoint.id)
      .finally(() => clock.mock.restore());
    assert.match(warnings[0] ?? "", /^The client certificate ends at .*\. Replace it before\.$/);
    const bad = { certificate: "no PEM", privateKey: clientCertificate.privateKey };
    await assert.rejects(world.endpoint(app, { clientCertificate: bad }), { code: "invalid_certificate" });
  });

  test("two of the same header are refused, on whichever of the two ways they come", async () => {
    const authentication = { kind: "bearer", token: "t-0-k-e-n" };
    const refused = { code: "invalid_field", pointer: "/headers/Authorization" };
    const headers = { Authorization: "Bearer other" };
    await assert.rejects(world.endpoint(app, { authentication, headers }), refused);
    const endpoint = await world.endpoint(app, { headers });
    const update = (patch: object) => world.engine.endpoints.update(app, endpoint.id, patch);
    await assert.rejects(update({ authentication }), refused);
    await update({ authentication, headers: null });
    await assert.rejects(update({ headers }), refused);
    const named = { kind: "header", name: "authorization", value: "x" };
    await assert.rejects(world.endpoint(app, { authentication: named, headers }), refused);
  });

  test("each part is replaced as a whole, null clears it, what is left out stays", async () => {
    const authentication = { kind: "basic", username: "a", password: "p" };
    const endpoint = await world.endpoint(app, {
      authentication,
      clientCertificate,
      encryption: { kind: "dir" },
    });
    const { encryptionKey } = await world.engine.endpoints.secret(app, endpoint.id);
    const update = (patch: object) => world.engine.endpoints.update(app, endpoint.id, patch);
    const changed = await update({ authentication: { kind: "bearer", token: "t-0-k-e-n" } });
    assert.deepEqual(changed.authentication, { kind: "bearer" });
    assert.ok(changed.clientCertificate && changed.encryption);
    assert.equal((await world.engine.endpoints.secret(app, endpoint.id)).encryptionKey, encryptionKey);
    const cleared = await update({ authentication: null, clientCertificate: null, encryption: null });
    assert.deepEqual(
      [cleared.authentication, cleared.clientCertificate, cleared.encryption],
      [null, null, null],
    );
    const stored = await world.store.read.find("endpoint", { id: endpoint.id, appId: endpoint.appId });
    assert.equal(stored?.sealedCredentials, null);
  });

  test("URLs are checked before anything is stored, each at its own field", async () => {
    const checked: unknown[] = [];
    const check = mock.method(world.transport, "checkUrl", (url: string, rules?: UrlRules) => {
      checked.push([url, rules]);
      const { pointer } = rules ?? {};
      if (pointer !== undefined) throw new PosthornError("invalid_url", `${pointer} no`, { pointer });
    });
    const authentication = { kind: "oauth2", tokenUrl: "http://10.0.0.1/", clientId: "c", clientSecret: "s" };
    await assert.rejects(world.endpoint(app, { authentication }), { code: "invalid_url" });
    await world.endpoint(app, { url: "https://mine.example/" });
    assert.deepEqual(checked, [
      ["http://10.0.0.1/", { pointer: "/authentication/tokenUrl", tls: "required" }],
      ["https://mine.example/", undefined],
    ]);
    check.mock.restore();
  });

  test("the audit log says what was replaced, and by what only where that is no secret", async () => {
    const headers = { "X-Mine": "header-value-1" };
    const endpoint = await world.endpoint(app, { headers });
    await world.engine.endpoints.update(app, endpoint.id, {
      description: "mine",
      headers: { "X-Mine": "header-value-2" },
      authentication: { kind: "bearer", token: "t-0-k-e-n" },
    });
    const { data } = await world.engine.audit.list({ app });
    const [entry] = data.filter(({ action }) => action === "endpoint.update");
    assert.deepEqual(entry?.before, { description: "", authentication: null });
    assert.deepEqual(entry?.after, {
      description: "mine",
      authentication: { kind: "bearer" },
      replaced: ["headers", "authentication"],
    });
    assert.doesNotMatch(JSON.stringify(data), /header-value|t-0-k-e-n/);
  });

  test("an app has at most as many endpoints as its limit says", async () => {
    await world.engine.apps.update(app, { limits: { endpoints: 1 } });
    const first = await world.endpoint(app);
    await assert.rejects(world.endpoint(app), (error: PosthornError) => {
      assert.equal(error.code, "limit_reached");
      return /has 1 endpoints, and its limit \(limits.endpoints\) is 1\. Delete one/.test(error.message);
    });
    await world.engine.endpoints.remove(app, first.id);
    await world.endpoint(app);
  });
});

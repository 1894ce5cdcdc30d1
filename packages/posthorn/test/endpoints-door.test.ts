// Endpoints over HTTP, with a receiver on a real socket: proof of ownership, public keys, what is shown and what is not.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { after, before, beforeEach, describe, test } from "node:test";
import { importStandardPublicKey, verifyHttpMessage } from "@posthorn/receiver";
import { newAppId, newId } from "../src/base/ids.ts";
import { PUBLIC_KEYS_MAX, PUBLIC_KEYS_OF_ALL_MAX } from "../src/engine/public-keys.ts";
import { assertProblem, openDoor } from "./api-fixture.ts";
import { startTestServer, type TestServer } from "./api-server-fixture.ts";

interface Received {
  readonly request: IncomingMessage;
  readonly body: Buffer;
}
type Answer = (received: Received, response: ServerResponse) => void;

describe("endpoints over HTTP", () => {
  let server: TestServer;
  let url: string;
  let answer: Answer;
  let received: Received[];
  let nth = 0;
  let path: string;
  const receiver = createServer(async (request, response) => {
    const got = { request, body: await buffer(request) };
    received.push(got);
    answer(got, response);
  });

  before(async () => {
    receiver.listen(0, "127.0.0.1");
    await once(receiver, "listening");
    url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks?shop=1`;
    server = await startTestServer({ publicUrl: "https://hooks.example.com", requestRatePerMinute: 60 });
  });
  after(async () => {
    await server.end();
    receiver.closeAllConnections();
    receiver.close();
  });
  beforeEach(() => {
    received = [];
    answer = (_received, response) => response.end();
    nth += 1;
    path = `/v1/apps/shop${nth}/endpoints`;
  });

  async function endpointOf(ownershipCheck: string, more: object = {}) {
    await server.call("POST", "/v1/apps", { uid: `shop${nth}`, name: "Shop", ownershipCheck });
    const { json } = await server.call("POST", path, { uid: "main", url, ...more });
    return json;
  }

  test("a challenge that comes back lets deliveries go out", async () => {
    const delivered = Promise.withResolvers<Received>();
    answer = (got, response) => {
      const sent = JSON.parse(got.body.toString());
      if (sent.type === "order.created") delivered.resolve(got);
      response.end(sent.challenge);
    };
    const made = await endpointOf("challenge");
    assert.deepEqual([made.status, made.verification.policy], ["unverified", "challenge"]);
    await server.call("POST", "/v1/events", { app: `shop${nth}`, type: "order.created", data: {} });
    await delivered.promise;
    const { json } = await server.call("GET", `${path}/main`);
    assert.equal(json.status, "enabled");
    assert.ok(json.verification.verifiedAt && json.verification.problem === null);
    assert.equal(received[0]?.request.method, "POST");
    assert.ok(received[0]?.request.headers["webhook-signature"]);
  });

  test("the handshake of CloudEvents is granted by its callback, once, as a GET or as a POST", async () => {
    for (const [method, rate] of [
      ["GET", { query: "?WebHook-Allowed-Rate=30" }],
      ["POST", { header: "30" }],
    ] as const) {
      const asked = Promise.withResolvers<IncomingMessage>();
      answer = ({ request }, response) => {
        response.end();
        asked.resolve(request);
      };
      await endpointOf("cloudevents");
      const { headers, method: asking, url: target } = await asked.promise;
      assert.deepEqual([asking, target], ["OPTIONS", "/hooks?shop=1"]);
      assert.equal(headers["webhook-request-origin"], "hooks.example.com");
      const callback = new URL(String(headers["webhook-request-callback"]));
      assert.equal(callback.origin, "https://hooks.example.com");
      const bad = await server.call(method, `${callback.pathname}?WebHook-Allowed-Rate=0`);
      assertProblem(bad, "invalid_field");
      const looked = await server.call("HEAD", callback.pathname);
      assert.deepEqual([looked.status, looked.headers.get("allow")], [405, "GET, POST"]);
      const grant = (): ReturnType<typeof fetch> =>
        fetch(`${server.url}${callback.pathname}${"query" in rate ? rate.query : ""}`, {
          method,
          headers: "header" in rate ? { "webhook-allowed-rate": rate.header } : {},
        });
      const granted = await grant();
      assert.equal(granted.status, 200);
      assert.equal(granted.headers.get("cache-control"), "no-store");
      const { json } = await server.call("GET", `${path}/main`);
      assert.deepEqual([json.status, json.verification.grantedPerMinute], ["enabled", 30]);
      assert.equal((await grant()).status, 404);
      const audit = await server.call("GET", `/v1/audit?app=shop${nth}`);
      const entry = audit.json.data.find(({ action }: { action: string }) => action === "endpoint.grant");
      assert.deepEqual([entry.actor.kind, entry.address], ["stranger", "127.0.0.1"]);
      assert.ok(!audit.text.includes(callback.pathname.split(".").at(-1) ?? ""));
      assert.ok(
        !server.log.join().includes(callback.pathname.split(".").at(-1) ?? ""),
        "not in the log either",
      );
      nth += 1;
      path = `/v1/apps/shop${nth}/endpoints`;
    }
  });

  test("a check by hand answers with what came of it, without saying what lies behind an address", async () => {
    await endpointOf("challenge", { url: "http://127.0.0.1:1/" });
    const { status, json } = await server.call("POST", `${path}/main/verify`);
    assert.equal(status, 200);
    assert.equal(json.status, "unverified");
    assert.match(json.verification.problem, /^No connection could be made\./);
    assertProblem(await server.call("POST", `${path}/main/verify`), "rate_limited");
  });

  test("receivers find the key of a signature in the JWK set", async () => {
    const delivered = Promise.withResolvers<Received>();
    answer = (got, response) => {
      response.end();
      delivered.resolve(got);
    };
    const { publicKeys } = await endpointOf("off", { scheme: "http-message" });
    await server.call("POST", "/v1/events", { app: `shop${nth}`, type: "order.created", data: {} });
    const { request, body } = await delivered.promise;
    const kid = /keyid="([^"]+)"/.exec(String(request.headers["signature-input"]))?.[1];
    assert.equal(kid, publicKeys[0].kid);
    const found = await fetch(`${server.url}/.well-known/posthorn/jwks.json?kid=${kid}`);
    assert.equal(found.headers.get("cache-control"), "public, max-age=60");
    const { keys } = (await found.json()) as { keys: { x: string; kid: string }[] };
    assert.deepEqual(keys, [
      { kty: "OKP", crv: "Ed25519", x: publicKeys[0].publicKey, kid, use: "sig", alg: "EdDSA" },
    ]);
    const publicKey = importStandardPublicKey(Buffer.from(keys[0]?.x ?? "", "base64url"));
    const headers = request.headers as Record<string, string>;
    verifyHttpMessage({ method: "POST", url, headers, body, publicKeys: [publicKey] });
  });

  test("what is secret is shown by its own route alone, and to no cache", async () => {
    const authentication = {
      kind: "oauth2",
      tokenUrl: "https://login.example.com/t",
      clientId: "c",
      clientSecret: "s3cret-1",
    };
    const made = await endpointOf("off", {
      scheme: "standard-both",
      authentication,
      encryption: { kind: "dir" },
    });
    const revealed = await server.call("GET", `${path}/main/secret`);
    assert.equal(revealed.headers.get("cache-control"), "no-store");
    assert.match(revealed.json.secret, /^whsec_/);
    assert.match(revealed.json.publicKey, /^whpk_/);
    assert.match(revealed.json.encryptionKey, /^[\w-]{43}$/);
    const rotated = await server.call("POST", `${path}/main/secret/rotate`);
    assert.equal(rotated.json.encryptionKey, null);
    const shown = JSON.stringify([made, (await server.call("GET", path)).json]);
    const { secret, encryptionKey } = revealed.json;
    for (const each of [secret, encryptionKey, rotated.json.secret, "s3cret-1"])
      assert.ok(!shown.includes(each));
    assert.deepEqual([made.authentication.clientId, made.encryption.kind], ["c", "dir"]);
  });
});

describe("a JWK set", () => {
  const PATH = "/.well-known/posthorn/jwks.json";
  const [appId, endpointId] = [newAppId(), newId("ep")];
  const keyOf = (kid: string) => ({ endpointId, appId, kid, publicKey: Buffer.alloc(32), expiresAtMs: null });
  const keysOf = (count: number) => Array.from({ length: count }, (_, nth) => keyOf(`k${nth}`));

  test("that is cut says so: after 1,000 keys of all apps, after 10,000 of one", async () => {
    let list = keysOf(PUBLIC_KEYS_OF_ALL_MAX);
    const door = await openDoor({ publicKeys: async () => list });
    try {
      const shown = async (query: string) => {
        const { json } = await door.call("GET", PATH + query);
        return [json.keys.length, json.truncated];
      };
      assert.deepEqual(await shown(""), [PUBLIC_KEYS_OF_ALL_MAX, undefined]);
      list = keysOf(PUBLIC_KEYS_OF_ALL_MAX + 1);
      assert.deepEqual(await shown(""), [PUBLIC_KEYS_OF_ALL_MAX, true]);
      assert.deepEqual(await shown("?kid=k999"), [1, true]);
      assert.deepEqual(await shown("?kid=k1000"), [0, true], "it is not among those that were looked at");
      assert.deepEqual(await shown("?kid=k1000&app=shop"), [1, undefined]);
      list = keysOf(PUBLIC_KEYS_MAX + 1);
      assert.deepEqual(await shown("?app=shop"), [PUBLIC_KEYS_MAX, true]);
    } finally {
      await door.close();
    }
  });

  test("is made once for as long as its keys are kept, and is not sent to who has it", async () => {
    let made = 0;
    const counted = {
      ...keyOf("k"),
      get publicKey() {
        made += 1;
        return Buffer.alloc(32, made);
      },
    };
    let list = [counted];
    const door = await openDoor({ publicKeys: async () => list });
    try {
      const first = await door.call("GET", PATH);
      assert.equal((await door.call("GET", PATH)).text, first.text);
      assert.equal(made, 1);
      const etag = first.headers.get("etag") ?? "";
      const known = await door.call("GET", PATH, undefined, { "if-none-match": etag });
      assert.deepEqual([known.status, known.text, known.headers.get("etag")], [304, "", etag]);
      assert.equal(known.headers.get("cache-control"), "public, max-age=60");
      list = [counted];
      const changed = await door.call("GET", PATH, undefined, { "if-none-match": etag });
      assert.equal(changed.status, 200);
      assert.notEqual(changed.headers.get("etag"), etag);
    } finally {
      await door.close();
    }
  });
});

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { createReceiver } from "../receiver/receiver.ts";
import { github } from "../schemes/github.ts";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import { signedParts, signedRequest } from "./testing.ts";

test("a request as the sender would send it: by name or object, with one secret or several", async (context) => {
  const ids: string[] = [];
  const receiver = createReceiver({
    scheme: "github",
    secrets: "new",
    handlers: { "issues.opened": ({ id, data }) => ids.push(`${id} ${JSON.stringify(data)}`) },
  });
  context.after(() => receiver.close());
  const event = { type: "issues.opened", data: { action: "opened", n: 1 }, id: "evt_1" };
  for (const request of [
    signedRequest("github", "new", event),
    signedRequest(github, ["new", "old"], event),
  ]) {
    assert.equal((await receiver.fetch(request)).status, 200);
  }
  assert.deepEqual(ids, ['evt_1 {"action":"opened","n":1}']);
});

test("the parts carry the exact bytes, time and URL", () => {
  const data = Buffer.from('{"n":9007199254740993}');
  const options = { url: "https://a.example/in?x=1", timestampSeconds: 1_700_000_000 };
  const event = { type: "a", data, id: "evt_1", timestamp: "2026-01-01T00:00:00Z" };
  const parts = signedParts("standard", generateStandardSecret(), event, options);
  assert.equal(
    Buffer.from(parts.body).toString(),
    '{"type":"a","timestamp":"2026-01-01T00:00:00Z","data":{"n":9007199254740993}}',
  );
  assert.deepEqual(
    [parts.url, parts.headers["webhook-timestamp"], parts.headers["webhook-id"]],
    [options.url, "1700000000", "evt_1"],
  );
});

test("events are told apart unless the test gives them an id", () => {
  const secret = generateStandardSecret();
  const id = () => signedParts("standard", secret, { type: "a", data: 1 }).headers["webhook-id"];
  assert.notEqual(id(), id());
});

test("where a key pair signs, the private key makes what the public key takes", async (context) => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const receiver = createReceiver({
    scheme: "discord",
    secrets: publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex"),
    handlers: { "*": () => {} },
  });
  context.after(() => receiver.close());
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const request = signedRequest("discord", pem, { type: "APPLICATION_AUTHORIZED", data: {} });
  assert.equal((await receiver.fetch(request)).status, 204, "what Discord wants to hear");
  assert.equal(receiver.counters().handled, 1);
});

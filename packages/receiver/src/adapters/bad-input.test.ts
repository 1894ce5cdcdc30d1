// What strangers and broken senders send, over a real socket: each is refused with its code, and nothing of it reaches a handler.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createReceiver } from "../receiver/receiver.ts";
import type { SignedRequest } from "../schemes/scheme.ts";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import { signedParts } from "../testing/testing.ts";
import { VerificationError } from "../verification-error.ts";
import { nodeHandler } from "./node.ts";

const secret = generateStandardSecret();
const now = Math.floor(Date.now() / 1000);
const event = { type: "order.created", data: { order: 7, sum: 12.5 } };

/** @returns posts a request, and gives the whole answer as one text */
async function serve(
  context: TestContext,
  scheme: "standard" | "wechat",
  secrets: string | object,
): Promise<(parts: Pick<SignedRequest, "url" | "headers" | "body">) => Promise<string>> {
  const errors: unknown[] = [];
  const receiver = createReceiver({
    scheme,
    secrets,
    bodyBytesMax: 10_000,
    handlers: { "*": () => assert.fail("it reached a handler") },
    onError: (error) => errors.push(error),
  });
  const server = createServer(nodeHandler(receiver)).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
    assert.ok(
      errors.every((error) => error instanceof VerificationError),
      String(errors),
    );
    assert.deepEqual([receiver.counters().verified, errors.length], [0, receiver.counters().received]);
  });
  const { port } = server.address() as AddressInfo;
  return async ({ url, headers, body }) => {
    const target = `http://127.0.0.1:${port}/${new URL(url).search}`;
    const response = await fetch(target, { method: "POST", headers, body: new Uint8Array(body) });
    return `${response.status} ${response.headers.get("content-type")} ${await response.text()}`;
  };
}

function without(parts: SignedRequest, name: string): SignedRequest {
  const { [name]: _removed, ...headers } = parts.headers;
  return { ...parts, headers };
}

const good = signedParts("standard", secret, event);
const stale = (offset: number) => signedParts("standard", secret, event, { timestampSeconds: now + offset });
const CASES: [string, number, string, SignedRequest][] = [
  ["no id", 401, "missing_header", without(good, "webhook-id")],
  ["no timestamp", 401, "missing_header", without(good, "webhook-timestamp")],
  ["no signature", 401, "missing_header", without(good, "webhook-signature")],
  ["a stale timestamp", 401, "timestamp_too_old", stale(-400)],
  ["a future timestamp", 401, "timestamp_too_new", stale(400)],
  [
    "a timestamp that is none",
    401,
    "invalid_timestamp",
    { ...good, headers: { ...good.headers, "webhook-timestamp": `${now}x` } },
  ],
  ["another secret", 401, "no_matching_signature", signedParts("standard", generateStandardSecret(), event)],
  ["a truncated body", 401, "no_matching_signature", { ...good, body: good.body.subarray(0, -1) }],
  [
    "a body written anew",
    401,
    "no_matching_signature",
    { ...good, body: Buffer.from(JSON.stringify(JSON.parse(Buffer.from(good.body).toString()), null, 2)) },
  ],
  ["no body", 401, "no_matching_signature", { ...good, body: new Uint8Array() }],
  [
    "bytes that are no JSON, signed",
    400,
    "invalid_payload",
    signedParts("standard", secret, { type: "a", data: Buffer.from("{") }),
  ],
  ["a body that is too large", 413, "body_too_large", { ...good, body: Buffer.alloc(10_001, "x") }],
];

for (const [name, status, code, parts] of CASES) {
  test(`${name}: ${status} ${code}`, async (context) => {
    const post = await serve(context, "standard", secret);
    const [, given, type, body = ""] = /^(\d+) (\S+) (.*)$/.exec(await post(parts)) ?? [];
    assert.deepEqual([Number(given), type, JSON.parse(body).code], [status, "application/json", code]);
    assert.doesNotMatch(body, new RegExp(secret.slice("whsec_".length).replaceAll("+", "\\+")));
  });
}

test("a forger learns nothing: bad signature, bad padding and another's message are the same to the byte", async (context) => {
  const keys = (letter: string) => `${letter.repeat(42)}A`;
  const wechat = { token: "token", encodingAESKey: keys("k"), receiveId: "wx1" };
  const post = await serve(context, "wechat", wechat);
  const answers = new Set<string>();
  for (const spoilt of [{ token: "guessed" }, { encodingAESKey: keys("x") }, { receiveId: "wx2" }]) {
    answers.add(
      await post(signedParts("wechat", { ...wechat, ...spoilt }, { type: "event.SCAN", data: {} })),
    );
  }
  assert.equal(answers.size, 1, [...answers].join("\n"));
  assert.match([...answers][0] ?? "", /^401 /);
});

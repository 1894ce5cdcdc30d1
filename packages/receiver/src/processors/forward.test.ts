import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, test } from "node:test";
import { inspect } from "node:util";
import { DeliveryControl, PoisonError } from "../receiver/control.ts";
import type { ReceivedEvent } from "../receiver/event.ts";
import { github } from "../schemes/github.ts";
import { standard } from "../schemes/standard.ts";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import { forward } from "./forward.ts";
import type { ProcessContext } from "./processor.ts";

interface Request {
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

let server: Server;
let url: string;
let requests: Request[];
let answer: { status: number; headers?: Record<string, string> } | undefined;

beforeEach(async () => {
  requests = [];
  answer = { status: 204 };
  server = createServer(async (request, response) => {
    requests.push({ headers: request.headers, body: await buffer(request) });
    if (answer !== undefined) response.writeHead(answer.status, answer.headers).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in?secret=planted`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const body = '{"zen": "ä", "n":1.0 }';

function eventOf(changes: Partial<ReceivedEvent> = {}): ReceivedEvent {
  const request = github.sign(
    {
      id: "d-1",
      type: "ping",
      timestampSeconds: 0,
      url: "",
      contentType: "application/json",
      body: Buffer.from(body),
    },
    ["s3cret"],
  );
  return {
    id: "d-1",
    type: "ping",
    data: JSON.parse(body),
    timestampSeconds: null,
    receivedAtMs: Date.now(),
    headers: {
      ...request.headers,
      host: "example.com",
      "content-length": "1",
      cookie: "a=b",
      "x-forwarded-for": "::1",
    },
    payload: request.body,
    ...changes,
  };
}

const context = (signal = new AbortController().signal): ProcessContext => ({
  transaction: undefined,
  onCommit: () => {},
  signal,
});

test("the same bytes and the sender's headers: whoever has the sender's secret can verify them", async () => {
  await forward({ url }).process([eventOf(), eventOf({ id: "zweite ü" })], context());
  assert.equal(requests.length, 2);
  const [first, second] = requests as [Request, Request];
  const verified = github.verifier(["s3cret"])(
    { method: "POST", url, headers: first.headers, body: first.body },
    { nowSeconds: 0, toleranceSeconds: 0 },
  );
  assert.equal(verified.kind, "event");
  assert.equal(first.body.toString(), body);
  assert.equal(first.headers["x-github-delivery"], "d-1");
  assert.equal(first.headers["webhook-id"], "d-1");
  assert.equal(second.headers["webhook-id"], "zweite%20%C3%BC");
  assert.equal(first.headers.host, new URL(url).host);
  assert.equal(first.headers["content-length"], String(Buffer.byteLength(body)));
  assert.equal(first.headers.cookie, undefined);
  assert.equal(first.headers["x-forwarded-for"], undefined);
});

test("signed anew, the bytes as they came or as data of an event in the scheme's form", async () => {
  const secret = generateStandardSecret();
  await forward({ url, scheme: standard, secret }).process([eventOf()], context());
  await forward({ url, scheme: standard, secret, body: "compose" }).process([eventOf()], context());
  const verify = standard.verifier([secret]);
  const clock = { nowSeconds: Math.floor(Date.now() / 1000), toleranceSeconds: 60 };
  for (const request of requests) {
    assert.equal(verify({ method: "POST", url, ...request }, clock).kind, "event");
    assert.equal(request.headers["webhook-id"], "d-1");
    assert.equal(request.headers["x-hub-signature-256"], undefined);
  }
  const [same, composed] = requests as [Request, Request];
  assert.equal(same.body.toString(), body);
  assert.equal(JSON.parse(composed.body.toString()).type, "ping");
  assert.ok(composed.body.toString().includes(body));
});

test("a form, signed anew in the scheme's form, is JSON", async () => {
  const secret = generateStandardSecret();
  const form = eventOf({ payload: Buffer.from("From=%2B49&Body=hi"), data: { From: "+49", Body: "hi" } });
  await forward({ url, scheme: standard, secret, body: "compose" }).process([form], context());
  assert.deepEqual(JSON.parse(String(requests[0]?.body)).data, { From: "+49", Body: "hi" });
});

test("secrets, HTTP/2's own names and an encoding that is gone stay behind", async () => {
  const secrets = [
    "authorization",
    "private-token",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-gitlab-token",
    "x-webhook-token",
  ];
  const planted = [...secrets, ":path", ":authority", "content-encoding"].map((name) => [name, "planted"]);
  const headers = { ...Object.fromEntries(planted), "x-gitlab-event": "Push Hook" };
  await forward({ url }).process([eventOf({ headers })], context());
  const sent = requests[0]?.headers ?? {};
  assert.ok(!JSON.stringify(sent).includes("planted"), Object.keys(sent).join());
  assert.equal(sent["x-gitlab-event"], "Push Hook");
});

test("what can never be sent is poison, and its text shows no header", async () => {
  const rounded = '{"a":{"n":9007199254740993},"b":{"n":9007199254740992}}';
  const compose = { scheme: standard, secret: generateStandardSecret(), body: "compose" } as const;
  for (const [options, event, message] of [
    [{}, eventOf({ headers: { "x-note": "planted \u{1f4ef}" } }), /: one of the headers cannot be sent$/],
    [{}, eventOf({ headers: { "x-note": "planted\nx: y" } }), /: one of the headers cannot be sent$/],
    [compose, eventOf({ payload: Buffer.from(rounded), data: JSON.parse(rounded).b }), /up to 2\^53/],
  ] as const) {
    await assert.rejects(forward({ url, ...options }).process([event], context()), (error) => {
      assert.ok(error instanceof PoisonError, String(error));
      assert.match(error.message, message);
      assert.ok(!inspect(error).includes("planted"));
      return true;
    });
  }
  assert.equal(requests.length, 0);
});

for (const status of [300, 301, 307, 400, 404, 410, 500]) {
  test(`${status} throws, and no redirect is followed`, async () => {
    answer = { status, headers: { location: "/elsewhere" } };
    await assert.rejects(forward({ url }).process([eventOf(), eventOf()], context()), (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`^forward http://127\\.0\\.0\\.1:[0-9]+/in: answered ${status}$`),
      );
      assert.ok(!(error instanceof DeliveryControl));
      return true;
    });
    assert.equal(requests.length, 1);
  });
}

test("Retry-After is handed on to the sender", async () => {
  answer = { status: 503, headers: { "retry-after": "30" } };
  await assert.rejects(forward({ url }).process([eventOf()], context()), (error: unknown) => {
    assert.ok(error instanceof DeliveryControl);
    assert.deepEqual(error.control, { kind: "retry_after", seconds: 30 });
    return true;
  });
});

test("no answer in time, a closing receiver, nobody there: each throws, and shows no query", async () => {
  answer = undefined;
  const refused = (error: Error) => /^forward [^?]*: no answer \(/.test(error.message);
  await assert.rejects(forward({ url, timeoutMs: 50 }).process([eventOf()], context()), refused);
  await assert.rejects(forward({ url }).process([eventOf()], context(AbortSignal.timeout(50))), refused);
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port } = gone.address() as AddressInfo;
  gone.close();
  await once(gone, "close");
  await assert.rejects(
    forward({ url: `http://127.0.0.1:${port}/` }).process([eventOf()], context()),
    /no answer \(ECONNREFUSED\)/,
  );
});

test("wrong options are refused at once, and secrets stay out of the text", () => {
  for (const bad of ["/in", "ftp://example.com/", "https://user:planted@example.com/", ""]) {
    assert.throws(
      () => forward({ url: bad }),
      (error: Error) => error instanceof TypeError && !error.message.includes("planted"),
    );
  }
  assert.throws(() => forward({ url, secret: "planted" }), /a secret needs a scheme/);
  assert.throws(() => forward({ url, scheme: github }), /the scheme github needs a secret/);
  assert.throws(() => forward({ url, scheme: standard, secret: "whsec_short" }), { code: "invalid_secret" });
});

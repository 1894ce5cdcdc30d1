// Every adapter over real sockets: the same requests, the same answers.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import type { ReceiverDoor } from "../receiver/door.ts";
import { createReceiver } from "../receiver/receiver.ts";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import { signedParts } from "../testing/testing.ts";
import { expressHandler } from "./express.ts";
import { fastifyReceiver } from "./fastify.ts";
import { honoHandler } from "./hono.ts";
import { koaHandler } from "./koa.ts";
import { nextHandlers } from "./next.ts";
import { nodeHandler } from "./node.ts";

const secret = generateStandardSecret();
const BODY_BYTES_MAX = 2000;

function receive() {
  const events: unknown[] = [];
  const errors: unknown[] = [];
  const receiver = createReceiver({
    scheme: "standard",
    secrets: secret,
    bodyBytesMax: BODY_BYTES_MAX,
    handlers: { "*": ({ data }) => events.push(data) },
    onError: (error) => errors.push(error),
  });
  return { receiver, events, errors };
}

/** @returns where it listens */
async function serve(context: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What servers with fetch do for Hono and Next. */
function fetchServer(handle: (request: Request) => Promise<Response> | Response): RequestListener {
  return (incoming, outgoing) => {
    const { method = "GET", url, headers } = incoming;
    const hasBody = method !== "GET" && method !== "HEAD";
    const body = hasBody ? { body: incoming as unknown as ReadableStream, duplex: "half" } : {};
    const init = { method, headers: headers as Record<string, string>, ...body } as RequestInit;
    Promise.resolve(handle(new Request(`http://receiver.example${url}`, init))).then(async (response) => {
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      outgoing.end(Buffer.from(await response.arrayBuffer()));
    }, assert.fail);
  };
}

/** Each framework with the receiver at /hooks; `isParsing`: something reads the body before it. */
const FRAMEWORKS: Record<string, (door: ReceiverDoor, isParsing: boolean) => Promise<RequestListener>> = {
  node: async (door, isParsing) => {
    const handle = nodeHandler(door);
    return async (request, response) => {
      if (isParsing) for await (const _ of request);
      await handle(request, response);
    };
  },
  express: async (door, isParsing) => {
    const app = express();
    if (isParsing) app.use(express.json());
    app.all("/hooks", expressHandler(door));
    return app;
  },
  fastify: async (door, isParsing) => {
    const app = fastify();
    if (isParsing) {
      app.addHook("onRequest", async ({ raw }) => {
        for await (const _ of raw);
      });
    }
    app.register(fastifyReceiver, { receiver: door, path: "/hooks" });
    app.post("/others", async ({ body }) => body);
    await app.ready();
    return (request, response) => app.routing(request, response);
  },
  koa: async (door, isParsing) => {
    const app = new Koa();
    app.use(async ({ req }, next) => {
      if (isParsing) for await (const _ of req);
      await next();
    });
    app.use(koaHandler(door));
    return app.callback();
  },
  hono: async (door, isParsing) => {
    const app = new Hono();
    app.use(async (context, next) => {
      if (isParsing) await context.req.json();
      await next();
    });
    app.all("/hooks", honoHandler(door));
    return fetchServer((request) => app.fetch(request));
  },
  next: async (door, isParsing) => {
    const handlers = nextHandlers(door);
    return fetchServer(async (request) => {
      if (isParsing) await request.json();
      return request.method === "GET" ? handlers.GET(request) : handlers.POST(request);
    });
  },
};

const event = { type: "order.created", data: { text: "größer 訂單", big: 1 }, id: "evt_1" };
const signed = () => signedParts("standard", secret, event);
const post = async (url: string, parts: { headers: Readonly<Record<string, string>>; body: Uint8Array }) => {
  const { headers, body } = parts;
  const response = await fetch(`${url}/hooks`, { method: "POST", headers, body: new Uint8Array(body) });
  const text = await response.text();
  return { status: response.status, text, type: response.headers.get("content-type"), response };
};

for (const [name, listenerOf] of Object.entries(FRAMEWORKS)) {
  describe(name, () => {
    test("takes an event from the raw body, and answers 200 without one", async (context) => {
      const { receiver, events } = receive();
      const url = await serve(context, await listenerOf(receiver, false));
      for (const contentType of ["application/json", "application/json", "; json"]) {
        const { headers, body } = signed();
        const { status, text, type } = await post(url, {
          headers: { ...headers, "content-type": contentType },
          body,
        });
        assert.deepEqual([status, text, type], [200, "", null]);
      }
      assert.deepEqual(events, [event.data]);
    });

    test("refuses what was changed, what is too large, and other methods", async (context) => {
      const { receiver, events } = receive();
      const url = await serve(context, await listenerOf(receiver, false));
      const changed = await post(url, { ...signed(), body: Buffer.from("{}") });
      assert.deepEqual(
        [changed.status, JSON.parse(changed.text).code, changed.type?.split(";")[0]],
        [401, "no_matching_signature", "application/json"],
      );
      const large = await post(url, { ...signed(), body: Buffer.alloc(BODY_BYTES_MAX + 1) });
      assert.deepEqual([large.status, JSON.parse(large.text).code], [413, "body_too_large"]);
      assert.equal(await postUnended(`${url}/hooks`, {}, BODY_BYTES_MAX + 1), 413, "without a length");
      const announced = { "content-length": String(BODY_BYTES_MAX + 1) };
      assert.equal(await postUnended(`${url}/hooks`, announced, 1), 413, "before it is all here");
      const got = await fetch(`${url}/hooks`);
      assert.deepEqual([got.status, got.headers.get("allow")], [405, "POST"]);
      assert.deepEqual(events, []);
    });

    test("says so when the body was read before it", async (context) => {
      const { receiver, events, errors } = receive();
      const url = await serve(context, await listenerOf(receiver, true));
      const { status, text } = await post(url, signed());
      assert.deepEqual([status, JSON.parse(text).code], [500, "internal_error"]);
      assert.match(String(errors[0]), /^TypeError: The body of the request was read .*(before|plugin|Let)/);
      assert.deepEqual(events, []);
    });
  });
}

/** A body that never ends. @returns the status, which comes before the end */
async function postUnended(
  url: string,
  headers: Record<string, string>,
  bytes: number,
): Promise<number | undefined> {
  const type = { "content-type": "application/json" };
  const sending = send(url, { method: "POST", headers: { ...type, ...headers } });
  sending.on("error", () => {});
  sending.write(Buffer.alloc(bytes));
  const [response] = (await once(sending, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  sending.destroy();
  return response.statusCode;
}

test("express.raw() before it is as good", async (context) => {
  const { receiver, events } = receive();
  const app = express();
  app.post("/hooks", express.raw({ type: "*/*" }), expressHandler(receiver));
  const url = await serve(context, app);
  assert.equal((await post(url, signed())).status, 200);
  assert.equal((await post(url, { ...signed(), body: Buffer.alloc(BODY_BYTES_MAX + 1) })).status, 413);
  assert.deepEqual(events, [event.data]);
});

test("a platform that parses, and keeps the raw body beside it, is as good", async (context) => {
  const { receiver, events } = receive();
  const handle = nodeHandler(receiver);
  const url = await serve(context, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const rawBody = Buffer.concat(chunks);
    await handle(Object.assign(request, { rawBody, body: JSON.parse(rawBody.toString()) }), response);
  });
  assert.equal((await post(url, signed())).status, 200);
  assert.equal(events.length, 1);
});

test("other routes of Fastify keep their parsers", async (context) => {
  const listener = await FRAMEWORKS.fastify!(receive().receiver, false);
  const url = await serve(context, listener);
  const response = await fetch(`${url}/others`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"a": [1]}',
  });
  assert.deepEqual(await response.json(), { a: [1] });
});

test("a signature that came twice is refused as such: Node joins such lines", async (context) => {
  const { receiver } = receive();
  const url = await serve(context, nodeHandler(receiver));
  const { headers, body } = signed();
  const doubled = { ...headers, "webhook-id": ["evt_1", "evt_1"] };
  const sending = send(url, { method: "POST", headers: doubled }).end(body);
  const [response] = (await once(sending, "response")) as [IncomingMessage];
  const [text] = await once(response.setEncoding("utf8"), "data");
  assert.deepEqual([response.statusCode, JSON.parse(text).code], [401, "duplicate_header"]);
});

test("an answer that comes too late, or cannot be written, is nobody's crash", async (context) => {
  const { receiver, errors } = receive();
  let isHandled: Promise<void> | undefined;
  const answering = (note: string) =>
    nodeHandler({
      ...receiver,
      receive: async () => ({ status: 200, headers: { "x-note": note }, body: "" }),
    });
  const inTime = answering("one line");
  const late = await serve(context, (request, response) => {
    isHandled = inTime(request, response);
    response.writeHead(504).end();
  });
  assert.equal((await post(late, signed())).status, 504);
  await isHandled;
  assert.deepEqual(errors, []);
  const spoilt = answering("two\nlines");
  const broken = await serve(context, (request, response) => {
    isHandled = spoilt(request, response);
  });
  await assert.rejects(post(broken, signed()), /fetch failed/);
  await isHandled;
  assert.match(String(errors), /^TypeError.*Invalid character in header content/);
});

test("a sender that goes away in the middle of its body is nobody's error", async (context) => {
  const { receiver, errors } = receive();
  const handle = nodeHandler(receiver);
  const { promise, resolve } = Promise.withResolvers<void>();
  const url = await serve(context, (request, response) => {
    handle(request, response).then(resolve);
    sending.destroy();
  });
  const sending = send(url, { method: "POST", headers: { "content-length": "1000" } });
  sending.on("error", () => {});
  sending.write("{");
  await promise;
  assert.deepEqual([errors, receiver.counters().received], [[], 0]);
});

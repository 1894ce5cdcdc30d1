import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, test } from "node:test";
import { type Answer, type Inbound, listen, type Responder } from "./http-responder.ts";

const OK: Answer = { kind: "status", status: 200 };
const request = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nWebhook-Id: evt_1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("the receiving side's server", () => {
  let responder: Responder;
  let socket: Socket;
  let seen: Inbound[];

  async function serve(answer: (request: Inbound) => Answer): Promise<void> {
    seen = [];
    responder = await listen((inbound) => {
      seen.push(inbound);
      return answer(inbound);
    });
    socket = connect(responder.port, "127.0.0.1");
    await once(socket, "connect");
  }
  afterEach(async () => {
    socket.destroy();
    await responder.close();
  });

  test("reads a request that comes in pieces, and headers in any case", async () => {
    await serve(() => OK);
    const text = request("/a", "hello");
    for (const piece of [text.slice(0, 20), text.slice(20, -2), text.slice(-2)]) {
      socket.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [answer] = await once(socket, "data");
    assert.match(String(answer), /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(seen[0]?.path, "/a");
    assert.equal(seen[0]?.header("webhook-id"), "evt_1");
    assert.equal(seen[0]?.header("webhook-signature"), undefined);
    assert.equal(String(seen[0]?.body), "hello");
  });

  test("answers one request after another, and the second only when the first is answered", async () => {
    await serve(({ path }) => (path === "/slow" ? { ...OK, afterMs: 30 } : { kind: "status", status: 500 }));
    socket.write(request("/slow", "1") + request("/quick", "2"));
    let answers = "";
    for await (const chunk of socket) {
      answers += chunk;
      if (answers.includes("500")) break;
    }
    assert.match(answers, /^HTTP\/1\.1 200[\s\S]*HTTP\/1\.1 500/);
  });

  test("resets the connection when told to", async () => {
    await serve(() => ({ kind: "reset" }));
    socket.write(request("/", ""));
    const [error] = await once(socket, "error");
    assert.equal(error.code, "ECONNRESET");
  });
});

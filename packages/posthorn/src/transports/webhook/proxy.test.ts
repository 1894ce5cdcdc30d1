import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import { type ConnectProxy, openConnectProxy } from "../../../test/connect-proxy.ts";
import { answer, type RawReceiver } from "../../../test/raw-receiver.ts";
import {
  closeAll,
  createTransport,
  loopback,
  openReceiver,
  pem,
  shipment,
} from "../../../test/webhook-sender.ts";
import { createAddressGuard } from "../../security/address-guard.ts";
import { isProxyUrl } from "./proxy.ts";
import type { WebhookTransport, WebhookTransportOptions } from "./webhook-transport.ts";

const proxies: ConnectProxy[] = [];
after(async () => {
  await closeAll();
  await Promise.all(proxies.map((proxy) => proxy.close()));
});

async function openProxy(options: Parameters<typeof openConnectProxy>[0] = {}): Promise<ConnectProxy> {
  const proxy = await openConnectProxy(options);
  proxies.push(proxy);
  return proxy;
}

const guard = createAddressGuard({
  ...loopback,
  resolvesNames: false,
  resolver: () => assert.fail("a name was resolved here"),
});

function through(outboundProxy: string, options: Partial<WebhookTransportOptions> = {}): WebhookTransport {
  return createTransport({ guard, outboundProxy, certificateAuthorities: [pem("authority")], ...options });
}

function openPlain(): Promise<RawReceiver> {
  return openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
}

function openTls(): Promise<RawReceiver> {
  const tls = { key: pem("key"), cert: pem("hooks") };
  return openReceiver({ tls, onRequest: (socket) => socket.write(answer(200)) });
}

describe("an outbound proxy", () => {
  test("carries plain and TLS connections, and resolves their names", async () => {
    const [proxy, plain, tls] = [await openProxy(), await openPlain(), await openTls()];
    const own = through(`http://127.0.0.1:${proxy.port}`);
    for (const url of [
      `http://hooks.example.com:${plain.port}/a`,
      `https://hooks.example.com:${tls.port}/b`,
      plain.url,
    ]) {
      assert.equal((await own.ship(shipment(url))).outcome.kind, "succeeded", url);
    }
    assert.deepEqual(proxy.tunnels, [
      `hooks.example.com:${plain.port}`,
      `hooks.example.com:${tls.port}`,
      `127.0.0.1:${plain.port}`,
    ]);
    assert.match(plain.requests[0]?.head ?? "", /^POST \/a HTTP\/1\.1\r\nhost: hooks\.example\.com:/i);
  });

  test("sees nothing of the request, and the receiver nothing of the proxy's password", async () => {
    const [proxy, receiver] = [await openProxy(), await openPlain()];
    const own = through(`http://us%65r:p%40ss%3Aword@127.0.0.1:${proxy.port}/`);
    await own.ship(shipment(receiver.url));
    const credentials = `Basic ${btoa("user:p@ss:word")}`;
    assert.deepEqual(
      { ...proxy.headers },
      { host: `127.0.0.1:${receiver.port}`, "proxy-authorization": credentials },
    );
    assert.doesNotMatch(receiver.requests[0]?.head ?? "", /proxy|Basic/i);
  });

  test("may itself be reached by TLS, and TLS runs inside of that", async () => {
    const [proxy, receiver] = [
      await openProxy({ tls: { key: pem("key"), cert: pem("local") } }),
      await openTls(),
    ];
    const url = `https://hooks.example.com:${receiver.port}/`;
    const untrusted = await through(`https://localhost:${proxy.port}`).ship(shipment(url));
    assert.deepEqual(untrusted.outcome, {
      kind: "unreachable",
      cause: "proxy",
      detail: "The outbound proxy cannot be used (DEPTH_ZERO_SELF_SIGNED_CERT).",
    });
    const trusted = through(`https://localhost:${proxy.port}`, {
      certificateAuthorities: [pem("authority"), pem("local")],
    });
    for (let i = 0; i < 3; i++) assert.equal((await trusted.ship(shipment(url))).outcome.kind, "succeeded");
    assert.deepEqual(proxy.tunnels, [`hooks.example.com:${receiver.port}`]);
  });

  test("keeps its tunnels", async () => {
    const [proxy, receiver] = [await openProxy(), await openTls()];
    const own = through(`http://127.0.0.1:${proxy.port}`);
    for (let i = 0; i < 3; i++) await own.ship(shipment(`https://hooks.example.com:${receiver.port}/`));
    assert.equal(proxy.tunnels.length, 1);
    assert.equal(receiver.connections, 1);
  });

  test("does not widen what the guard lets through", async () => {
    const proxy = await openProxy();
    const own = through(`http://127.0.0.1:${proxy.port}`);
    for (const host of ["169.254.169.254", "10.0.0.1", "localhost", "metadata.google.internal", "[::1]"]) {
      const { outcome } = await own.ship(shipment(`http://${host}/`));
      assert.ok(
        outcome.kind === "unreachable" && outcome.cause === "address_refused",
        JSON.stringify(outcome),
      );
    }
    assert.equal(proxy.tunnels.length, 0);
  });

  test("checks the receiver's certificate against the host's name", async () => {
    const [proxy, receiver] = [await openProxy(), await openTls()];
    const own = through(`http://127.0.0.1:${proxy.port}`);
    const { outcome } = await own.ship(shipment(`https://other.example.com:${receiver.port}/`));
    assert.ok(outcome.kind === "unreachable" && outcome.cause === "tls_wrong_host", JSON.stringify(outcome));
    assert.equal(receiver.requests.length, 0);
  });
});

describe("when the outbound proxy does not do its work, nothing is sent", () => {
  test("and the reason names neither its address nor its password", async () => {
    const receiver = await openPlain();
    const cases: [string, ((socket: Socket) => void) | undefined][] = [
      ["cannot be used (ECONNREFUSED)", undefined],
      ["answered 407", (socket) => socket.end("HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n")],
      ["answered 502", (socket) => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n")],
      ["answered 302", (socket) => socket.end(`HTTP/1.1 302 Found\r\nlocation: ${receiver.url}\r\n\r\n`)],
      ["cannot be used (HPE_INVALID_CONSTANT)", (socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n")],
      ["cannot be used (ECONNRESET)", (socket) => socket.end()],
      ["cannot be used (ECONNRESET)", (socket) => socket.resetAndDestroy()],
      [
        "cannot be used (HPE_HEADER_OVERFLOW)",
        (socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`),
      ],
      [
        "answered more than was asked",
        (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
      ],
    ];
    for (const [why, doThis] of cases) {
      const port = doThis === undefined ? 1 : (await openProxy({ answer: doThis })).port;
      const own = through(`http://user:hunter2@127.0.0.1:${port}`);
      const { outcome } = await own.ship(shipment(receiver.url));
      const detail = `The outbound proxy ${why}.`;
      assert.deepEqual(outcome, { kind: "unreachable", cause: "proxy", detail });
      assert.equal(own.openConnections, 0);
    }
    assert.equal(receiver.connections, 0);
  });

  test("in time: a proxy that cannot be reached has half of the connect deadline", async () => {
    const receiver = await openPlain();
    // Takes the connection, and says nothing to our TLS.
    const mute = await openReceiver({});
    const own = through(`https://127.0.0.1:${mute.port}`, { connectTimeoutMs: 200 });
    const { outcome, durationMs } = await own.ship(shipment(receiver.url));
    const detail = "The outbound proxy did not let us connect in time.";
    assert.deepEqual(outcome, { kind: "unreachable", cause: "proxy", detail });
    assert.ok(durationMs >= 95 && durationMs < 190 + 700, `${durationMs} ms`);
    await mute.empty();
  });

  test("in time: one that does not answer has all of it", async () => {
    const [proxy, receiver] = [await openProxy({ answer: () => {} }), await openPlain()];
    const own = through(`http://127.0.0.1:${proxy.port}`, { connectTimeoutMs: 100 });
    const { outcome } = await own.ship(shipment(receiver.url));
    assert.deepEqual(outcome, { kind: "timed_out", phase: "connect" });
    assert.equal(receiver.connections, 0);
    assert.equal(own.openConnections, 0);
  });

  test("a receiver that stalls in TLS behind it is told apart", async () => {
    const [proxy, mute] = [await openProxy(), await openReceiver({})];
    const own = through(`http://127.0.0.1:${proxy.port}`, { connectTimeoutMs: 100 });
    const { outcome } = await own.ship(shipment(`https://hooks.example.com:${mute.port}/`));
    assert.deepEqual(outcome, { kind: "timed_out", phase: "handshake" });
    await mute.empty();
  });
});

test("the URL of a proxy is a scheme, a host, and perhaps port, user and password", () => {
  for (const url of [
    "http://proxy.example.com",
    "https://proxy.example.com:3128/",
    "http://user:p%40ss@10.0.0.1:8080",
    "http://[::1]:3128",
  ]) {
    assert.equal(isProxyUrl(url), true, url);
  }
  for (const url of [
    "",
    "proxy.example.com:3128",
    "socks5://proxy.example.com",
    "http://",
    "http://proxy.example.com/path",
    "http://proxy.example.com/?a",
    "http://proxy.example.com/#a",
    "http://us%ZZer@proxy.example.com",
  ]) {
    assert.equal(isProxyUrl(url), false, url);
  }
});

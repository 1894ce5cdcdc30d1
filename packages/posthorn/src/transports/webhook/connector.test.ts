import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { answer, type RawReceiver } from "../../../test/raw-receiver.ts";
import {
  closeAll,
  createTransport,
  loopback,
  loopbackGuard,
  openReceiver,
  pem,
  shipment,
} from "../../../test/webhook-sender.ts";
import { createAddressGuard } from "../../security/address-guard.ts";
import type { Resolver } from "../../security/resolver.ts";
import type { Receipt } from "../transport.ts";
import type { WebhookTransport, WebhookTransportOptions } from "./webhook-transport.ts";

after(closeAll);

describe("connecting", () => {
  function named(resolver: Resolver, options: Partial<WebhookTransportOptions> = {}): WebhookTransport {
    return createTransport({ guard: createAddressGuard({ ...loopback, resolver }), ...options });
  }

  test("a name that does not resolve is a cause of its own", async () => {
    const own = named(() => Promise.reject(Object.assign(new Error("queryA"), { code: "ECONNREFUSED" })));
    const { outcome } = await own.ship(shipment("http://gone.example.com/"));
    assert.ok(outcome.kind === "unreachable" && outcome.cause === "dns", JSON.stringify(outcome));
  });

  test("a name server that hangs ends at the connect deadline, in total", async () => {
    const own = named(() => new Promise<never>(() => {}), { connectTimeoutMs: 100 });
    const { outcome, durationMs } = await own.ship(shipment("http://slow.example.com/"));
    assert.deepEqual(outcome, { kind: "timed_out", phase: "connect" });
    assert.ok(durationMs >= 95 && durationMs < 1000);
  });

  test("the deadline of the whole attempt also ends a connection that is being made", async () => {
    const own = named(() => new Promise<never>(() => {}));
    const { outcome } = await own.ship(shipment("http://slow.example.com/", { timeoutMs: 50 }));
    assert.deepEqual(outcome, { kind: "timed_out", phase: "connect" });
    assert.equal(own.openConnections, 0);
  });

  test("a name is dialled at its checked address, whatever it resolves to a moment later", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const answers = [["127.0.0.1"], ["169.254.169.254"]];
    const own = named(async () => answers.shift() ?? []);
    const url = `http://hooks.example.com:${receiver.port}/`;
    assert.equal((await own.ship(shipment(url))).outcome.kind, "succeeded");
    await own.close();
    const { outcome } = await own.ship(shipment(url));
    assert.ok(outcome.kind === "unreachable" && outcome.cause === "address_refused", JSON.stringify(outcome));
  });

  test("a name that turns to loopback after registration reaches nothing there (DNS rebinding)", async () => {
    const receiver = await openReceiver({});
    const answers = [["93.184.215.14"], ["127.0.0.1"]];
    const strict = createAddressGuard({
      allowNetworks: [],
      allowPorts: "any",
      resolver: async () => answers.shift() ?? ["127.0.0.1"],
    });
    const own = createTransport({ guard: strict });
    const url = `http://rebind.attacker.com:${receiver.port}/`;
    own.checkUrl(url);
    // The first answer is public, and out of this test's reach; only the second one is dialled here.
    await new Promise((resolve) => strict.lookupFor(80)("rebind.attacker.com", { all: true }, resolve));
    const { outcome } = await own.ship(shipment(url));
    assert.ok(outcome.kind === "unreachable" && outcome.cause === "address_refused", JSON.stringify(outcome));
    assert.equal(receiver.connections, 0);
  });

  test("a literal address is refused at connect even if nobody had checked the URL", async () => {
    const receiver = await openReceiver({});
    const strict = createAddressGuard({ allowNetworks: [], allowPorts: "any" });
    const own = createTransport({ guard: { ...strict, checkUrl: (url) => new URL(url) } });
    const { port } = receiver;
    for (const host of ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "0"]) {
      const { outcome } = await own.ship(shipment(`http://${host}:${port}/`));
      assert.ok(
        outcome.kind === "unreachable" && outcome.cause === "address_refused",
        `${host}: ${JSON.stringify(outcome)}`,
      );
    }
    const ports = createTransport({
      guard: { ...createAddressGuard({ ...loopback, allowPorts: [] }), checkUrl: (url) => new URL(url) },
    });
    const { outcome } = await ports.ship(shipment(receiver.url));
    assert.ok(outcome.kind === "unreachable" && outcome.cause === "address_refused", JSON.stringify(outcome));
    assert.equal(receiver.connections, 0);
  });

  test("a socket that ends up at another address is closed unused", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const own = createTransport({ guard: { ...loopbackGuard, admits: () => false } });
    const { outcome } = await own.ship(shipment(receiver.url));
    assert.ok(outcome.kind === "unreachable" && outcome.cause === "address_refused", JSON.stringify(outcome));
    assert.equal(receiver.requests.length, 0);
  });

  test("when the first address is dead, the next one is tried", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const own = named(async () => ["127.0.0.2", "127.0.0.1"]);
    const { outcome } = await own.ship(shipment(`http://two.example.com:${receiver.port}/`));
    assert.equal(outcome.kind, "succeeded");
  });

  test("no proxy of the environment is used", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const proxy = await openReceiver({});
    process.env.HTTP_PROXY = `http://127.0.0.1:${proxy.port}`;
    try {
      assert.equal((await createTransport().ship(shipment(receiver.url))).outcome.kind, "succeeded");
    } finally {
      delete process.env.HTTP_PROXY;
    }
    assert.equal(proxy.connections, 0);
  });
});

describe("TLS", () => {
  const trusting = createTransport({
    guard: createAddressGuard({ ...loopback, resolver: async () => ["127.0.0.1"] }),
    certificateAuthorities: [pem("authority")],
  });

  async function shipTls(
    certificate: string,
    host: string,
    own = trusting,
  ): Promise<{ receipt: Receipt; receiver: RawReceiver }> {
    const receiver = await openReceiver({
      tls: { key: pem("key"), cert: pem(certificate) },
      onRequest: (socket) => socket.write(answer(200)),
    });
    return { receipt: await own.ship(shipment(`https://${host}:${receiver.port}/`)), receiver };
  }

  test("the certificate is checked against the host's name, though an address is dialled", async () => {
    assert.equal((await shipTls("hooks", "hooks.example.com")).receipt.outcome.kind, "succeeded");
    assert.equal((await shipTls("hooks", "hooks.example.com.")).receipt.outcome.kind, "succeeded");
  });

  test("an expired, foreign, self-signed or unknown certificate gets no request", async () => {
    for (const [certificate, host, own] of [
      ["expired", "hooks.example.com", trusting],
      ["hooks", "other.example.com", trusting],
      ["hooks", "127.0.0.1", trusting],
      ["self-signed", "hooks.example.com", trusting],
      ["hooks", "127.0.0.1", createTransport()],
    ] as const) {
      const { receipt, receiver } = await shipTls(certificate, host, own);
      const { outcome } = receipt;
      assert.ok(
        outcome.kind === "unreachable" && outcome.cause.startsWith("tls"),
        `${certificate}: ${JSON.stringify(outcome)}`,
      );
      assert.equal(receiver.requests.length, 0);
    }
  });

  test("NODE_TLS_REJECT_UNAUTHORIZED does not switch the check off", async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    try {
      const { outcome } = (await shipTls("self-signed", "hooks.example.com")).receipt;
      assert.ok(outcome.kind === "unreachable" && outcome.cause.startsWith("tls"), JSON.stringify(outcome));
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
  });

  test("nothing older than TLS 1.2 is spoken, and plain HTTP is no TLS", async () => {
    const old = await openReceiver({
      tls: {
        key: pem("key"),
        cert: pem("hooks"),
        minVersion: "TLSv1",
        maxVersion: "TLSv1.1",
        ciphers: "DEFAULT@SECLEVEL=0",
      },
    });
    const plain = await openReceiver({
      onConnection: (socket) => void socket.once("data", () => socket.end(answer(400))),
    });
    for (const { port } of [old, plain]) {
      const { outcome } = await trusting.ship(shipment(`https://hooks.example.com:${port}/`));
      assert.ok(outcome.kind === "unreachable" && outcome.cause.startsWith("tls"), JSON.stringify(outcome));
    }
  });

  test("a handshake that stalls ends at the connect deadline", async () => {
    const receiver = await openReceiver({});
    const own = createTransport({ connectTimeoutMs: 100 });
    const { outcome } = await own.ship(shipment(`https://127.0.0.1:${receiver.port}/`));
    assert.deepEqual(outcome, { kind: "timed_out", phase: "handshake" });
    await receiver.empty();
  });

  test("a connection is kept, large payloads included", async () => {
    const receiver = await openReceiver({
      tls: { key: pem("key"), cert: pem("hooks") },
      onRequest: (socket) => socket.write(answer(200)),
    });
    for (const length of [2, 100_000, 1_000_000, 2]) {
      await trusting.ship(
        shipment(`https://hooks.example.com:${receiver.port}/`, { body: new Uint8Array(length) }),
      );
    }
    assert.equal(receiver.connections, 1);
  });

  test("a session is resumed on the next connection", async () => {
    const resumed: boolean[] = [];
    const receiver = await openReceiver({
      tls: { key: pem("key"), cert: pem("hooks") },
      onConnection: (socket) => resumed.push((socket as import("node:tls").TLSSocket).isSessionReused()),
      onRequest: (socket) => socket.end(answer(200, { connection: "close" })),
    });
    for (let i = 0; i < 3; i++) {
      await trusting.ship(shipment(`https://hooks.example.com:${receiver.port}/`));
      await receiver.empty();
    }
    assert.deepEqual(resumed, [false, true, true]);
  });

  test("an hour after the certificate was last seen it is asked for again, however often a session was resumed", async () => {
    const clock = { now: 1000 };
    const own = createTransport({
      guard: createAddressGuard({ ...loopback, resolver: async () => ["127.0.0.1"] }),
      certificateAuthorities: [pem("authority")],
      now: () => clock.now,
    });
    const resumed: boolean[] = [];
    const receiver = await openReceiver({
      tls: { key: pem("key"), cert: pem("hooks") },
      onConnection: (socket) => resumed.push((socket as import("node:tls").TLSSocket).isSessionReused()),
      onRequest: (socket) => socket.end(answer(200, { connection: "close" })),
    });
    for (let i = 0; i < 5; i++) {
      await own.ship(shipment(`https://hooks.example.com:${receiver.port}/`));
      await receiver.empty();
      clock.now += 25 * 60_000;
    }
    assert.deepEqual(resumed, [false, true, true, false, true]);
  });
});

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { answer, flood, openRawReceiver, type RawRequest, trickle } from "../../../test/raw-receiver.ts";
import {
  closeAll,
  createTransport,
  loopback,
  openReceiver,
  pem,
  shipment,
} from "../../../test/webhook-sender.ts";
import { createAddressGuard } from "../../security/address-guard.ts";
import {
  type ConformanceReceiver,
  exerciseTransport,
  type ReceiverBehaviour,
} from "../transport.conformance.ts";
import type { Receipt, Shipment } from "../transport.ts";

after(closeAll);

const transport = createTransport({ userAgent: "Posthorn/1.2.3" });

/** What comes of one shipment to a receiver that does this with it. */
async function shipTo(onRequest: (socket: Socket) => void, timeoutMs = 2000): Promise<Receipt> {
  const receiver = await openReceiver({ onRequest });
  const receipt = await transport.ship(shipment(receiver.url, { timeoutMs }));
  if (receipt.outcome.kind === "unreachable" || receipt.outcome.kind === "timed_out") await receiver.empty();
  return receipt;
}

const behaviours: Record<ReceiverBehaviour, (socket: Socket, request: RawRequest) => void> = {
  accepts: (socket) => socket.write(answer(204)),
  refuses: (socket) => socket.write(answer(500)),
  silent: () => {},
  trickles: (socket) => {
    socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    trickle(socket, "1\r\nx\r\n");
  },
  floods: (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    flood(socket, Buffer.alloc(64 * 1024, "x"));
  },
  breaks: (socket) => socket.resetAndDestroy(),
  tells: (socket, { body }) => {
    const head = `HTTP/1.1 200 OK\r\nx-told: one\r\nX-Told: two\r\ncontent-length: ${body.length}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), body]));
  },
};

exerciseTransport("webhook", {
  createTransport,
  async openReceiver(behaviour): Promise<ConformanceReceiver> {
    const receiver = await openRawReceiver({ onRequest: behaviours[behaviour] });
    return {
      url: receiver.url,
      get payloads() {
        return receiver.requests.map(({ body }) => body);
      },
      close: receiver.close,
    };
  },
  deserted: "http://127.0.0.1:1/hooks",
  refused: "http://169.254.169.254/latest/meta-data/",
  clientCertificate: pem("client"),
  clientKey: pem("client-key"),
  authority: pem("client-authority"),
  otherKey: pem("key"),
});

describe("what is sent", () => {
  test("one POST with our headers, those of the shipment, and nothing that asks for compression", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const { port } = receiver;
    await transport.ship(
      shipment(`http://127.0.0.1:${port}/a%20b?c=d`, {
        headers: { "webhook-id": "evt_1", "x-custom": "yes" },
      }),
    );
    const lines = receiver.requests[0]?.head.split("\r\n").sort();
    assert.deepEqual(
      lines,
      [
        "POST /a%20b?c=d HTTP/1.1",
        `host: 127.0.0.1:${port}`,
        "connection: keep-alive",
        "content-type: application/json",
        "content-length: 2",
        "user-agent: Posthorn/1.2.3",
        "webhook-id: evt_1",
        "x-custom: yes",
      ].sort(),
    );
  });

  test("content-type and user-agent of the shipment win", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const headers = { "content-type": "application/cloudevents+json", "user-agent": "Shop/1" };
    await transport.ship(shipment(receiver.url, { headers }));
    const head = receiver.requests[0]?.head ?? "";
    assert.match(head, /\r\ncontent-type: application\/cloudevents\+json\r\n/);
    assert.match(head, /\r\nuser-agent: Shop\/1(\r\n|$)/);
    assert.equal(head.match(/content-type|user-agent/g)?.length, 2);
  });

  test("a header that would break the request is invalid, and nothing is sent", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const broken: Shipment["headers"][] = [
      { "x-a": "1\r\nx-b: 2" },
      { host: "other.example" },
      { "transfer-encoding": "chunked" },
      { "x y": "1" },
    ];
    for (const headers of broken) {
      const { outcome } = await transport.ship(shipment(receiver.url, { headers }));
      assert.equal(outcome.kind, "invalid", JSON.stringify(headers));
    }
    assert.equal(receiver.requests.length, 0);
  });

  test("an empty body has a length of 0", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    await transport.ship(shipment(receiver.url, { body: new Uint8Array(0) }));
    assert.match(receiver.requests[0]?.head ?? "", /content-length: 0/);
  });
});

describe("what is answered", () => {
  test("200 to 299 succeed, and the first 4 KiB of the body are kept as they came", async () => {
    const { outcome, responseBody } = await shipTo((socket) =>
      socket.write(answer(299, {}, Buffer.alloc(9000, "ab"))),
    );
    assert.deepEqual(outcome, { kind: "succeeded", status: 299, control: null });
    assert.deepEqual(Buffer.from(responseBody ?? []), Buffer.alloc(4096, "ab"));
  });

  test("a body in many pieces is joined", async () => {
    const { responseBody } = await shipTo((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      for (const piece of ["a", "bc", "def"]) socket.write(`${piece.length}\r\n${piece}\r\n`);
      socket.write("0\r\n\r\n");
    });
    assert.equal(Buffer.from(responseBody ?? []).toString(), "abcdef");
  });

  test("204 has no body", async () => {
    const receipt = await shipTo((socket) => socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
    assert.deepEqual(receipt.outcome, { kind: "succeeded", status: 204, control: null });
    assert.equal(receipt.responseBody, null);
  });

  test("a redirect is not followed, wherever it leads", async () => {
    let trapped = 0;
    const trap = await openReceiver({ onConnection: () => trapped++ });
    for (const location of [trap.url, "http://169.254.169.254/", "file:///etc/passwd", "/hooks"]) {
      const { outcome } = await shipTo((socket) => socket.write(answer(302, { location })));
      assert.deepEqual(outcome, { kind: "rejected", status: 302, retryAfterMs: null, control: null });
    }
    assert.equal(trapped, 0);
  });

  test("410 and 500 are rejections", async () => {
    for (const status of [410, 500]) {
      const { outcome } = await shipTo((socket) => socket.write(answer(status)));
      assert.deepEqual(outcome, { kind: "rejected", status, retryAfterMs: null, control: null });
    }
  });

  test("Retry-After is read in seconds and as a date, clamped, and nonsense is none", async () => {
    const inAMinute = new Date(Date.now() + 60_000).toUTCString();
    const cases: [string, (ms: number | null) => boolean][] = [
      ["7", (ms) => ms === 7000],
      [inAMinute, (ms) => ms !== null && ms > 55_000 && ms <= 60_000],
      ["999999999", (ms) => ms === 24 * 3600 * 1000],
      ["-5", (ms) => ms === null],
      ["NaN", (ms) => ms === null],
    ];
    for (const [value, isRight] of cases) {
      const { outcome } = await shipTo((socket) => socket.write(answer(429, { "Retry-After": value })));
      assert.ok(
        outcome.kind === "rejected" && isRight(outcome.retryAfterMs),
        `${value}: ${JSON.stringify(outcome)}`,
      );
    }
  });

  test("the receiver's wish is read at any status, and an unknown one is none", async () => {
    const controls = [];
    for (const [status, wish] of [
      [200, "disable"],
      [500, " Abort-Message "],
      [200, "please"],
    ] as const) {
      const { outcome } = await shipTo((socket) =>
        socket.write(answer(status, { "webhook-delivery": wish })),
      );
      controls.push("control" in outcome ? outcome.control : undefined);
    }
    assert.deepEqual(controls, ["disable", "abort-message", null]);
  });

  test("one interim answer is passed over", async () => {
    const { outcome } = await shipTo((socket) => {
      socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
      socket.write(answer(200));
    });
    assert.equal(outcome.kind, "succeeded");
  });
});

describe("answers that would hurt", () => {
  test("headers that come byte by byte end at the deadline", async () => {
    const receipt = await shipTo(
      (socket) => trickle(socket, `HTTP/1.1 200 OK\r\nx: ${"y".repeat(10_000)}`),
      150,
    );
    assert.deepEqual(receipt.outcome, { kind: "timed_out", phase: "response" });
    assert.ok(receipt.durationMs < 1000);
  });

  test("a body that comes byte by byte: the status decides at the deadline", async () => {
    const receipt = await shipTo((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
      trickle(socket, "x");
    }, 150);
    assert.deepEqual(receipt.outcome, { kind: "succeeded", status: 200, control: null });
    assert.ok(receipt.durationMs >= 145 && receipt.durationMs < 1000);
    assert.ok((receipt.responseBody?.length ?? 0) > 0);
  });

  test("of an endless chunked body 64 KiB are read, then the connection is closed", async () => {
    let accepted: Socket | undefined;
    const receiver = await openReceiver({
      onRequest: (socket) => {
        accepted = socket;
        socket.write("HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n");
        flood(socket, Buffer.from(`4000\r\n${"x".repeat(0x4000)}\r\n`));
      },
    });
    const { outcome, responseBody } = await transport.ship(shipment(receiver.url));
    assert.equal(outcome.kind, "rejected");
    assert.equal(responseBody?.length, 4096);
    await receiver.empty();
    // What the kernel buffered on both sides, and not the gigabytes on offer.
    assert.ok((accepted?.bytesWritten ?? 0) < 64 * 1024 * 1024);
  });

  /** Parts of an answer that have no end, and of which the parser hands over nothing. */
  const endless: Record<string, readonly [head: string, piece: string]> = {
    "a reason phrase": ["HTTP/1.1 200 ", "k"],
    "empty lines before the status line": ["", "\r\n"],
    "extensions of a chunk": ["HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n5;", "a"],
    "zeros before a chunk's size": ["HTTP/1.1 202 Yes\r\ntransfer-encoding: chunked\r\n\r\n", "0"],
  };
  for (const isTls of [false, true]) {
    test(`what never ends and is no body is left after a moment${isTls ? ", below TLS as well" : ""}`, async () => {
      const trusting = createTransport({
        guard: createAddressGuard({ ...loopback, resolver: async () => ["127.0.0.1"] }),
        certificateAuthorities: [pem("authority")],
      });
      const said = Object.entries(endless).map(async ([name, [head, piece]]) => {
        const receiver = await openReceiver({
          ...(isTls && { tls: { key: pem("key"), cert: pem("hooks") } }),
          onRequest: (socket) => {
            socket.write(head);
            flood(socket, Buffer.from(piece.repeat(64 * 1024)));
          },
        });
        const url = `${isTls ? "https" : "http"}://hooks.example.com:${receiver.port}/`;
        const { outcome, durationMs } = await trusting.ship(shipment(url, { timeoutMs: 20_000 }));
        await receiver.empty();
        assert.ok(durationMs < 5000, `${name}: ${durationMs} ms`);
        return outcome.kind === "unreachable" ? outcome.cause : "status" in outcome && outcome.status;
      });
      assert.deepEqual(await Promise.all(said), ["protocol", "protocol", 500, 202]);
      assert.equal(trusting.openConnections, 0);
    });
  }

  test("what comes after the answer, without end, closes the kept connection", async () => {
    const receiver = await openReceiver({
      onRequest: (socket) => {
        socket.write(answer(200));
        flood(socket, Buffer.from("\r\n".repeat(32 * 1024)));
      },
    });
    const own = createTransport();
    assert.equal((await own.ship(shipment(receiver.url))).outcome.kind, "succeeded");
    await receiver.empty();
    assert.equal(own.openConnections, 0);
  });

  test("many small answers over one connection are no long one", async () => {
    const receiver = await openReceiver({
      onRequest: (socket) => socket.write(answer(200, {}, Buffer.alloc(60 * 1024))),
    });
    const own = createTransport();
    const endsAt = performance.now() + 150;
    while (performance.now() < endsAt) await own.ship(shipment(receiver.url));
    assert.ok(receiver.requests.length > 10);
    assert.equal(receiver.connections, 1);
  });

  test("a gzip bomb stays packed", async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024));
    const { outcome, responseBody } = await shipTo((socket) =>
      socket.write(answer(200, { "content-encoding": "gzip" }, bomb)),
    );
    assert.equal(outcome.kind, "succeeded");
    assert.deepEqual(Buffer.from(responseBody ?? []), bomb.subarray(0, 4096));
  });

  test("what is not HTTP, or breaks its rules, is a protocol error", async () => {
    const answers: Record<string, string | Buffer> = {
      "a bad status line": "HTTP/9.9 abc\r\n\r\n",
      "another protocol": "SSH-2.0-OpenSSH_9.6\r\n",
      "200 KB of headers": `HTTP/1.1 200 OK\r\nx: ${"y".repeat(200_000)}\r\n\r\n`,
      "many headers": `HTTP/1.1 200 OK\r\n${"x-a: b\r\n".repeat(10_000)}\r\n`,
      "two lengths": "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
      "a flood of interim answers": "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000),
      "an upgrade that nobody asked for":
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    };
    for (const [name, bytes] of Object.entries(answers)) {
      const { outcome } = await shipTo((socket) => socket.write(bytes));
      assert.ok(
        outcome.kind === "unreachable" && outcome.cause === "protocol",
        `${name}: ${JSON.stringify(outcome)}`,
      );
      assert.ok(outcome.detail.length > 0 && outcome.detail.length <= 200);
    }
  });

  test("a bad chunk after the status line changes nothing: the status was said", async () => {
    const { outcome } = await shipTo((socket) =>
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
    );
    assert.deepEqual(outcome, { kind: "succeeded", status: 200, control: null });
  });

  test("a reset before the status line is unreachable", async () => {
    for (const onRequest of [
      (socket: Socket) => socket.resetAndDestroy(),
      (socket: Socket) => socket.destroy(),
      (socket: Socket) => socket.write("HTTP/1.1 2", () => socket.resetAndDestroy()),
      (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\nx: "),
    ]) {
      const { outcome } = await shipTo(onRequest);
      assert.ok(
        outcome.kind === "unreachable" && outcome.cause === "connection_reset",
        JSON.stringify(outcome),
      );
    }
  });

  test("a reset after the status line leaves the status", async () => {
    const head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    for (const leave of [
      (socket: Socket) => socket.resetAndDestroy(),
      (socket: Socket) => socket.destroy(),
    ]) {
      const { outcome, responseBody } = await shipTo((socket) => socket.write(head, () => leave(socket)));
      assert.deepEqual(outcome, { kind: "succeeded", status: 200, control: null });
      assert.equal(Buffer.from(responseBody ?? []).toString(), "abc");
    }
  });

  test("a connection that is reset as it is made is unreachable", async () => {
    const receiver = await openReceiver({ onConnection: (socket) => socket.resetAndDestroy() });
    const { outcome } = await transport.ship(shipment(receiver.url));
    assert.ok(
      outcome.kind === "unreachable" && outcome.cause === "connection_reset",
      JSON.stringify(outcome),
    );
  });
});

import assert from "node:assert/strict";
import net from "node:net";
import { after, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { answer } from "../../../test/raw-receiver.ts";
import { closeAll, createTransport, openReceiver, shipment } from "../../../test/webhook-sender.ts";

after(closeAll);

describe("kept connections", () => {
  test("are used again, the last one first", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200, {}, "ok")) });
    const own = createTransport();
    for (let i = 0; i < 5; i++) await own.ship(shipment(receiver.url));
    assert.equal(receiver.connections, 1);
    await Promise.all(Array.from({ length: 4 }, () => own.ship(shipment(receiver.url))));
    assert.equal(receiver.connections, 4);
    assert.equal(own.openConnections, 4);
    await own.close();
    await receiver.empty();
    assert.equal(own.openConnections, 0);
  });

  test("are not used again when the receiver says close, or leaves", async () => {
    const own = createTransport();
    const closing = await openReceiver({
      onRequest: (socket) => socket.end(answer(200, { connection: "close" })),
    });
    for (let i = 0; i < 3; i++)
      assert.equal((await own.ship(shipment(closing.url))).outcome.kind, "succeeded");
    assert.equal(closing.connections, 3);
    const leaving = await openReceiver({ onRequest: (socket) => socket.end(answer(200)) });
    for (let i = 0; i < 3; i++) {
      assert.equal((await own.ship(shipment(leaving.url))).outcome.kind, "succeeded");
      await leaving.empty();
    }
    assert.equal(leaving.connections, 3);
  });

  test("are closed when the receiver answers without taking the request", async () => {
    const own = createTransport();
    const receiver = await openReceiver({
      onConnection: (socket) => {
        socket.pause();
        socket.write(answer(413));
      },
    });
    // More than any kernel buffers.
    const { outcome } = await own.ship(shipment(receiver.url, { body: Buffer.alloc(64 * 1024 * 1024) }));
    assert.ok(outcome.kind === "rejected" && outcome.status === 413, JSON.stringify(outcome));
    assert.equal(own.openConnections, 0);
  });

  test("close when they have been idle for long enough", async () => {
    const own = createTransport({ keepAliveMs: 20 });
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    await own.ship(shipment(receiver.url));
    assert.equal(own.openConnections, 1);
    while (own.openConnections > 0) await nextTurn();
    await receiver.empty();
  });

  test("of many receivers are bounded, the longest idle closed first", async () => {
    const own = createTransport({ idleConnectionsMax: 3 });
    const receivers = await Promise.all(
      Array.from({ length: 8 }, () => openReceiver({ onRequest: (socket) => socket.write(answer(200)) })),
    );
    for (const receiver of receivers) await own.ship(shipment(receiver.url));
    assert.equal(own.openConnections, 3);
    await Promise.all(receivers.slice(0, 5).map((receiver) => receiver.empty()));
    await own.ship(shipment(receivers[7]?.url ?? ""));
    assert.equal(receivers[7]?.connections, 1);
  });

  test("that are idle are given back when this machine is short of files, at most once a minute", async () => {
    const receiver = await openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
    const short = Object.assign(new Error("connect EMFILE"), { code: "EMFILE" });
    const own = createTransport({
      dial(options) {
        if (options.host === "127.0.0.1") return net.connect(options);
        return new net.Socket().destroy(short);
      },
    });
    const connections: number[] = [];
    for (let i = 0; i < 3; i++) {
      await own.ship(shipment(receiver.url));
      connections.push(receiver.connections);
      const { outcome } = await own.ship(shipment("http://127.0.0.2/"));
      assert.equal(outcome.kind, "unreachable");
    }
    assert.deepEqual(connections, [1, 2, 2]);
  });

  test("are left before the receiver would close them by its own word", async () => {
    const own = createTransport();
    const receiver = await openReceiver({
      onRequest: (socket) =>
        socket.write(answer(200, { connection: "keep-alive", "keep-alive": "timeout=1" })),
    });
    for (let i = 0; i < 2; i++) {
      await own.ship(shipment(receiver.url));
      await receiver.empty();
    }
    assert.equal(receiver.connections, 2);
  });
});

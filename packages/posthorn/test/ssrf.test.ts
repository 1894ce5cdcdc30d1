// What must hold on real sockets, whatever a URL, a name or a receiver says.
import assert from "node:assert/strict";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, describe, test } from "node:test";
import { type AddressGuardOptions, createAddressGuard } from "../src/security/address-guard.ts";
import type { WebhookTransport } from "../src/transports/webhook/webhook-transport.ts";
import { startTestServer, type TestServer } from "./api-server-fixture.ts";
import { answer, openRawReceiver, type RawReceiver } from "./raw-receiver.ts";
import { closeAll, createTransport, openReceiver, shipment } from "./webhook-sender.ts";

after(closeAll);

function sender(
  options: Partial<AddressGuardOptions>,
  dial?: (options: net.TcpNetConnectOpts) => net.Socket,
): WebhookTransport & { readonly guard: ReturnType<typeof createAddressGuard> } {
  const guard = createAddressGuard({ allowNetworks: [], allowPorts: "any", ...options });
  return Object.assign(createTransport({ guard, ...(dial && { dial }) }), { guard });
}

/** Dials in earnest, but what is not this machine's; keeps count of every address that was tried. */
function dialler(): { dial: (options: net.TcpNetConnectOpts) => net.Socket; dialled: string[] } {
  const dialled: string[] = [];
  const dial = (options: net.TcpNetConnectOpts): net.Socket => {
    const socket = net.connect({
      ...options,
      lookup: (host, lookupOptions, callback) => {
        options.lookup?.(host, lookupOptions, (error, addresses, family) => {
          const list = [addresses].flat().map((entry) => (typeof entry === "string" ? entry : entry.address));
          if (error === null) dialled.push(...list);
          const isHere = list.every((address) => address.startsWith("127."));
          callback(isHere ? error : new Error("not dialled in a test"), addresses, family);
        });
      },
    });
    if (net.isIP(options.host ?? "") !== 0) dialled.push(options.host ?? "");
    return socket;
  };
  return { dial, dialled };
}

function openAccepting(): Promise<RawReceiver> {
  return openReceiver({ onRequest: (socket) => socket.write(answer(200)) });
}

function causeOf({ outcome }: Awaited<ReturnType<WebhookTransport["ship"]>>): string {
  return outcome.kind === "unreachable" ? outcome.cause : outcome.kind;
}

describe("a name that changes its address (DNS rebinding)", () => {
  test("public at first and 127.0.0.1 next: no connection to 127.0.0.1", async () => {
    const victim = await openAccepting();
    const answers = [
      ["93.184.215.14"],
      ["127.0.0.1"],
      ["93.184.215.14", "127.0.0.1"],
      ["::ffff:127.0.0.1"],
      ["::1"],
    ];
    const { dial, dialled } = dialler();
    const own = sender({ resolver: async () => answers.shift() ?? ["127.0.0.1"] }, dial);
    const url = `http://rebind.attacker.com:${victim.port}/`;
    own.checkUrl(url);
    const causes: string[] = [];
    for (let i = 0; i < 6; i++) causes.push(causeOf(await own.ship(shipment(url))));
    assert.deepEqual(causes, ["network", ...Array(5).fill("address_refused")]);
    assert.deepEqual(dialled, ["93.184.215.14"]);
    assert.equal(victim.connections, 0);
  });

  test("a connection that was made stays with the address that was checked; the next one is checked anew", async () => {
    const receiver = await openAccepting();
    let address = "127.0.0.1";
    const own = sender({ allowNetworks: ["127.0.0.0/8"], resolver: async () => [address] });
    const url = `http://hooks.example.com:${receiver.port}/`;
    assert.equal(causeOf(await own.ship(shipment(url))), "succeeded");
    address = "10.0.0.1";
    assert.equal(causeOf(await own.ship(shipment(url))), "succeeded");
    assert.equal(receiver.connections, 1);
    const both = await Promise.all([own.ship(shipment(url)), own.ship(shipment(url))]);
    assert.deepEqual(both.map(causeOf), ["succeeded", "address_refused"]);
    assert.equal(receiver.connections, 1);
  });

  test("a connection is another origin's for no other name, port or scheme", async () => {
    const [one, two] = [await openAccepting(), await openAccepting()];
    const own = sender({ allowNetworks: ["127.0.0.0/8"], resolver: async () => ["127.0.0.1"] });
    for (const host of ["a.example.com", "b.example.com", "a.example.com"]) {
      await own.ship(shipment(`http://${host}:${one.port}/`));
    }
    await own.ship(shipment(`http://a.example.com:${two.port}/`));
    assert.deepEqual([one.connections, two.connections], [2, 1]);
  });
});

describe("a redirect", () => {
  test("to an internal address is an answer, and no second request", async () => {
    const trap = await openAccepting();
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of ["http://169.254.169.254/", trap.url]) {
        const { dial, dialled } = dialler();
        const own = sender({ allowNetworks: ["127.0.0.0/8", "169.254.0.0/16"] }, dial);
        const receiver = await openReceiver({
          onRequest: (socket) => socket.write(answer(status, { location })),
        });
        const { outcome } = await own.ship(shipment(receiver.url));
        assert.ok(outcome.kind === "rejected" && outcome.status === status, JSON.stringify(outcome));
        const question = {
          method: "GET",
          url: receiver.url,
          headers: {},
          body: null,
          timeoutMs: 2000,
        } as const;
        const reply = await own.ask(question);
        assert.ok(reply.outcome.kind === "rejected" && reply.headers.location === location);
        assert.deepEqual([...new Set(dialled)], ["127.0.0.1"]);
      }
    }
    assert.equal(trap.connections, 0);
  });
});

describe("this server's own listener", () => {
  /** Names for this machine, and addresses of it, that a URL may hold. */
  const names = ["me.example.com", "localhost"];
  const addresses = ["127.0.0.1", "127.1.2.3", "0.0.0.0", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[::1]"];
  const external = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  const everything = {
    allowNetworks: ["0.0.0.0/0", "::/0"],
    resolver: async () => [external ?? "127.0.0.1"],
  } as const;

  async function shipAll(own: WebhookTransport, port: number): Promise<string[]> {
    const hosts = [...names, ...addresses, ...(external === undefined ? [] : [external])];
    const receipts = await Promise.all(
      hosts.map((host) => own.ship(shipment(`http://${host}:${port}/`, { timeoutMs: 500 }))),
    );
    return [...new Set(receipts.map(causeOf))];
  }

  test("is not reached under any name or address of this machine", async () => {
    const listener = await openAccepting();
    const own = sender(everything);
    own.guard.ownListener(listener.port);
    assert.deepEqual(await shipAll(own, listener.port), ["address_refused"]);
    assert.equal(listener.connections, 0);
  });

  test("is refused even when URLs were in use before it was known", async () => {
    const listener = await openReceiver({
      onRequest: (socket) => socket.end(answer(200, { connection: "close" })),
    });
    const own = sender(everything);
    assert.equal(causeOf(await own.ship(shipment(listener.url))), "succeeded");
    own.guard.ownListener(listener.port);
    assert.equal(causeOf(await own.ship(shipment(listener.url))), "address_refused");
    assert.equal(listener.connections, 1);
  });

  test("is reached when the operator allows it, and other ports of this machine are as before", async () => {
    const [listener, other] = [
      await openRawReceiver({ onRequest: (socket) => socket.write(answer(200)) }),
      await openAccepting(),
    ];
    const allowed = sender({ ...everything, allowSelf: true });
    allowed.guard.ownListener(listener.port);
    assert.equal(causeOf(await allowed.ship(shipment(listener.url))), "succeeded");
    const own = sender(everything);
    own.guard.ownListener(listener.port);
    assert.equal(causeOf(await own.ship(shipment(other.url))), "succeeded");
    await allowed.close();
    await listener.close();
  });
});

describe("a server with an outbound proxy that is down", () => {
  const PASSWORD = "tr0mbone-secret";
  let server: TestServer;
  before(async () => {
    server = await startTestServer({ outboundProxy: `http://user:${PASSWORD}@127.0.0.1:1` });
    await server.call("POST", "/v1/apps", { uid: "shop", name: "The shop" });
  });
  after(() => server.end());

  test("refuses endpoints that lead back to it", async () => {
    const { status, json } = await server.call("POST", "/v1/apps/shop/endpoints", {
      url: `${server.url}/v1/events`,
    });
    assert.deepEqual(
      [status, json.code, json.errors?.[0]?.pointer],
      [422, "invalid_url", "/url"],
      JSON.stringify(json),
    );
    assert.match(json.detail, /leads back to this server/);
  });

  test("sends nothing around it, and its password is in no answer and no log", async () => {
    const receiver = await openAccepting();
    const attempted = Promise.withResolvers<void>();
    const stop = server.engine.feed.subscribe(({ kind }) => kind === "attempt" && attempted.resolve());
    await server.call("POST", "/v1/apps/shop/endpoints", { url: receiver.url });
    await server.call("POST", "/v1/events", { app: "shop", type: "order.created", data: {} });
    await attempted.promise;
    stop();
    const { json } = await server.call("GET", "/v1/deliveries");
    const delivery = await server.call("GET", `/v1/deliveries/${json.data[0].id}`);
    assert.match(delivery.text, /"cause":"proxy"/);
    assert.equal(receiver.connections, 0);
    for (const text of [delivery.text, server.log.join("")]) assert.ok(!text.includes(PASSWORD));
  });
});

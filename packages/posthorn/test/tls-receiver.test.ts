// Against a real TLS receiver: each fault has its own cause, and what was mended works again.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { TlsOptions } from "node:tls";
import type { AttemptOutcome } from "../src/domain/attempt.ts";
import { createAddressGuard } from "../src/security/address-guard.ts";
import type { ShipmentAccess, TlsAccess } from "../src/transports/transport.ts";
import { answer, type RawReceiver } from "./raw-receiver.ts";
import { closeAll, createTransport, loopback, openReceiver, pem, shipment } from "./webhook-sender.ts";

after(closeAll);

const guard = createAddressGuard({ ...loopback, resolver: async () => ["127.0.0.1"] });
const trusting = createTransport({ guard, certificateAuthorities: [pem("authority")] });
const hooks: TlsOptions = { key: pem("key"), cert: pem("hooks") };
const none: TlsAccess = { clientCertificate: null, clientKey: null, certificateAuthorities: null };
let accesses = 0;

function access(tls: Partial<TlsAccess>, id = `access-${++accesses}`): ShipmentAccess {
  return { id, tls: { ...none, ...tls }, oauth2: null };
}

function openTls(tls: TlsOptions): Promise<RawReceiver> {
  return openReceiver({ tls: { ...hooks, ...tls }, onRequest: (socket) => socket.write(answer(200)) });
}

async function ship(
  { port }: RawReceiver,
  {
    host = "hooks.example.com",
    by = trusting,
    as,
  }: { host?: string; by?: typeof trusting; as?: ShipmentAccess } = {},
): Promise<AttemptOutcome> {
  const facts = as === undefined ? {} : { access: as };
  return (await by.ship(shipment(`https://${host}:${port}/`, facts))).outcome;
}

/** `succeeded`, or the cause. */
function told(outcome: AttemptOutcome): string {
  return outcome.kind === "unreachable" ? outcome.cause : outcome.kind;
}

describe("a receiver's certificate", () => {
  test("that is expired, of another host, self-signed or of an unknown authority has a cause of its own", async () => {
    const unknowing = createTransport({ guard, certificateAuthorities: [pem("client-authority")] });
    const cases = [
      ["tls_expired", { cert: pem("expired") }, {}, /expired, or is not valid yet \(CERT_HAS_EXPIRED\)/],
      ["tls_wrong_host", {}, { host: "other.example.com" }, /another host.*hooks\.example\.com/],
      ["tls_self_signed", { cert: pem("self-signed") }, {}, /signed by itself/],
      ["tls_untrusted", {}, { by: unknowing }, /no authority that is trusted/],
      [
        "tls_untrusted",
        { cert: pem("hooks") + pem("authority") },
        { by: unknowing },
        /no authority that is trusted/,
      ],
    ] as const;
    for (const [cause, tls, how, detail] of cases) {
      const receiver = await openTls(tls);
      const outcome = await ship(receiver, how);
      assert.equal(told(outcome), cause);
      assert.ok(outcome.kind === "unreachable" && detail.test(outcome.detail), JSON.stringify(outcome));
      assert.equal(receiver.requests.length, 0);
    }
  });

  test("that is mended on the same port is accepted at the next attempt", async () => {
    const receiver = await openTls({ cert: pem("expired") });
    assert.equal(told(await ship(receiver)), "tls_expired");
    receiver.setTls({ ...hooks, cert: pem("self-signed") });
    assert.equal(told(await ship(receiver)), "tls_self_signed");
    receiver.setTls(hooks);
    assert.equal(told(await ship(receiver)), "succeeded");
    assert.equal(receiver.requests.length, 1);
  });

  test("that goes bad is noticed on the next connection, though the last one left a session", async () => {
    const receiver = await openReceiver({
      tls: hooks,
      onRequest: (socket) => socket.end(answer(200, { connection: "close" })),
    });
    assert.equal(told(await ship(receiver)), "succeeded");
    await receiver.empty();
    receiver.setTls({ ...hooks, cert: pem("expired"), ticketKeys: Buffer.alloc(48, 7) });
    assert.equal(told(await ship(receiver)), "tls_expired");
  });
});

describe("the TLS of a receiver", () => {
  test("that is older than 1.2, or shares no cipher, is a version's fault, and nothing is sent", async () => {
    const cases: TlsOptions[] = [
      { minVersion: "TLSv1", maxVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" },
      { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
      { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-CCM8@SECLEVEL=0" },
    ];
    for (const tls of cases) {
      const receiver = await openTls(tls);
      assert.equal(told(await ship(receiver)), "tls_version", JSON.stringify(tls));
      assert.equal(receiver.requests.length, 0);
    }
  });

  test("that is 1.2 or 1.3 is spoken", async () => {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      assert.equal(told(await ship(await openTls({ maxVersion }))), "succeeded");
    }
  });

  test("that stalls times out in the handshake, at the connect deadline or at that of the attempt", async () => {
    const receiver = await openReceiver({});
    const url = `https://hooks.example.com:${receiver.port}/`;
    const own = createTransport({ guard, connectTimeoutMs: 80 });
    for (const timeoutMs of [2000, 40]) {
      const { outcome } = await own.ship(shipment(url, { timeoutMs }));
      assert.deepEqual(outcome, { kind: "timed_out", phase: "handshake" });
    }
    await receiver.empty();
    assert.equal(own.openConnections, 0);
  });

  test("that is none is a fault of TLS without a name", async () => {
    const plain = await openReceiver({
      onConnection: (socket) =>
        void socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    });
    assert.equal(told(await ship(plain)), "tls");
  });
});

describe("a receiver that wants a client certificate", () => {
  const wants = { requestCert: true, rejectUnauthorized: true, ca: pem("client-authority") } as const;
  const right = { clientCertificate: pem("client"), clientKey: pem("client-key") };
  const wrong = { clientCertificate: pem("other-client"), clientKey: pem("client-key") };

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    describe(version, () => {
      let receiver: RawReceiver;
      before(async () => {
        receiver = await openTls({ ...wants, minVersion: version, maxVersion: version });
      });

      test("says so when there is none", async () => {
        const outcome = await ship(receiver);
        assert.equal(told(outcome), "tls_client_certificate", JSON.stringify(outcome));
      });

      test("or when it is another authority's", async () => {
        const outcome = await ship(receiver, { as: access(wrong) });
        assert.equal(told(outcome), "tls_client_certificate", JSON.stringify(outcome));
      });

      test("and takes the right one", async () => {
        assert.equal(told(await ship(receiver, { as: access(right) })), "succeeded");
        assert.equal(receiver.requests.length, 1);
      });
    });
  }

  test("and breaks off later is reset like any other", async () => {
    const receiver = await openReceiver({
      tls: { ...hooks, ...wants },
      onRequest: (socket, _, nth) => (nth === 1 ? socket.write(answer(200)) : socket.destroy()),
    });
    const as = access(right);
    assert.equal(told(await ship(receiver, { as })), "succeeded");
    assert.equal(told(await ship(receiver, { as })), "connection_reset");
  });
});

describe("what an endpoint has of TLS", () => {
  test("is used for it alone: connections and sessions are not shared", async () => {
    const subjects: string[] = [];
    const resumed: boolean[] = [];
    const receiver = await openReceiver({
      tls: { ...hooks, requestCert: true, rejectUnauthorized: false },
      onConnection(socket) {
        const secured = socket as import("node:tls").TLSSocket;
        subjects.push(String(secured.getPeerCertificate().subject?.CN));
        resumed.push(secured.isSessionReused());
      },
      onRequest: (socket) => socket.write(answer(200)),
    });
    const right = { clientCertificate: pem("client"), clientKey: pem("client-key") };
    const [one, two] = [access(right), access(right)];
    for (const as of [undefined, one, two, undefined, one, two]) {
      assert.equal(told(await ship(receiver, as === undefined ? {} : { as })), "succeeded");
    }
    assert.deepEqual(subjects, ["undefined", "posthorn.example.com", "posthorn.example.com"]);
    assert.deepEqual(resumed, [false, false, false]);
  });

  test("may be another authority, in place of all others", async () => {
    const receiver = await openTls({});
    const system = createTransport({ guard });
    const own = access({ certificateAuthorities: pem("authority") });
    const other = access({ certificateAuthorities: pem("client-authority") });
    assert.equal(told(await ship(receiver, { by: system })), "tls_untrusted");
    assert.equal(told(await ship(receiver, { by: system, as: own })), "succeeded");
    assert.equal(told(await ship(receiver, { by: system, as: other })), "tls_untrusted");
    assert.equal(told(await ship(receiver, { by: system })), "tls_untrusted");
    const selfSigned = await openTls({ cert: pem("self-signed") });
    const pinned = access({ certificateAuthorities: pem("self-signed") });
    assert.equal(told(await ship(selfSigned, { as: pinned })), "succeeded");
  });

  test("may trust the receiver's very certificate, without what signed it", async () => {
    const pinned = access({ certificateAuthorities: pem("hooks") });
    assert.equal(told(await ship(await openTls({}), { as: pinned })), "succeeded");
  });

  test("and cannot be used is the endpoint's fault, and shows no key", async () => {
    const receiver = await openTls({});
    const broken = access({ clientCertificate: pem("client"), clientKey: pem("key") });
    const outcome = await ship(receiver, { as: broken });
    assert.ok(outcome.kind === "invalid", JSON.stringify(outcome));
    assert.match(outcome.detail, /client certificate, its key or the certificate authorities cannot be used/);
    assert.doesNotMatch(outcome.detail, /BEGIN|MIG/);
  });
});

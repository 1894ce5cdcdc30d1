/** The promises of the contract in transport.ts that every transport keeps, whatever it speaks. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import { LIMITS } from "../domain/defaults.ts";
import type { Question, Receipt, Reply, Shipment, TlsAccess, Transport } from "./transport.ts";

/**
 * What a receiver does with a shipment: accept it, refuse it, say nothing, answer a byte at a time for ever, answer
 * without end, or break the connection. To a question it "tells": `x-told` is `one, two`, and the body is what was asked.
 */
export type ReceiverBehaviour = "accepts" | "refuses" | "silent" | "trickles" | "floods" | "breaks" | "tells";

export interface ConformanceReceiver {
  readonly url: string;
  /** The payloads that came, in order. */
  readonly payloads: readonly Uint8Array[];
  close(): Promise<void>;
}

export interface TransportHarness {
  createTransport(): Transport;
  openReceiver(behaviour: ReceiverBehaviour): Promise<ConformanceReceiver>;
  /** An address that the guard lets through and where nobody listens. */
  readonly deserted: string;
  /** An address that the guard refuses. */
  readonly refused: string;
  /** PEM: a certificate of a client with its chain, its key, and the authority; and a key that is another's. */
  readonly clientCertificate: string;
  readonly clientKey: string;
  readonly authority: string;
  readonly otherKey: string;
}

const TIMEOUT_MS = 150;
/** How late a deadline may be on a busy machine. */
const LATENESS_MS = 700;

export function exerciseTransport(name: string, harness: TransportHarness): void {
  describe(`${name} keeps the contract of a transport`, () => {
    let transport: Transport;
    const receivers: ConformanceReceiver[] = [];
    before(() => {
      transport = harness.createTransport();
    });
    after(async () => {
      await transport.close();
      await Promise.all(receivers.map((receiver) => receiver.close()));
    });

    async function open(behaviour: ReceiverBehaviour): Promise<ConformanceReceiver> {
      const receiver = await harness.openReceiver(behaviour);
      receivers.push(receiver);
      return receiver;
    }

    function ship(url: string, text: Uint8Array | string = "{}", timeoutMs = TIMEOUT_MS): Promise<Receipt> {
      const body = typeof text === "string" ? Buffer.from(text) : text;
      return transport.ship({ ...shipment, url, body, timeoutMs });
    }

    test("the exact bytes arrive, whatever they are", async () => {
      const receiver = await open("accepts");
      const payloads = [
        Buffer.from('{"2":1,"1":2,"n":9007199254740993,"d":1.0,"e":1e2,  "s":"\\u00e9\u00e9"}\n'),
        Uint8Array.from({ length: 256 }, (_, byte) => byte),
        Buffer.alloc(LIMITS.payloadBytesMax, "0123456789abcde"),
      ];
      for (const payload of payloads) {
        const { outcome } = await ship(receiver.url, payload, 5000);
        assert.equal(outcome.kind, "succeeded");
      }
      assert.equal(receiver.payloads.length, payloads.length);
      for (const [i, payload] of payloads.entries()) {
        assert.ok(Buffer.from(receiver.payloads[i] ?? []).equals(payload), `payload ${i} was changed`);
      }
    });

    test("many shipments at once do not mix", async () => {
      const receiver = await open("accepts");
      const bodies = Array.from({ length: 40 }, (_, i) => `{"n":${i}}`);
      const receipts = await Promise.all(bodies.map((body) => ship(receiver.url, body, 5000)));
      assert.ok(receipts.every(({ outcome, durationMs }) => outcome.kind === "succeeded" && durationMs >= 0));
      assert.deepEqual(
        receiver.payloads.map((payload) => Buffer.from(payload).toString()).sort(),
        [...bodies].sort(),
      );
    });

    test("a refusal is an outcome", async () => {
      assert.equal((await ship((await open("refuses")).url)).outcome.kind, "rejected");
    });

    test("a receiver that says nothing is given up at the deadline", async () => {
      const receiver = await open("silent");
      const { outcome, durationMs } = await ship(receiver.url);
      assert.deepEqual(outcome, { kind: "timed_out", phase: "response" });
      assert.ok(durationMs >= TIMEOUT_MS - 5 && durationMs < TIMEOUT_MS + LATENESS_MS, `${durationMs} ms`);
    });

    test("the deadline is in total, not between bytes", async () => {
      const { durationMs } = await ship((await open("trickles")).url);
      assert.ok(durationMs < TIMEOUT_MS + LATENESS_MS, `${durationMs} ms`);
    });

    test("an answer without end is neither read nor kept beyond its bounds", async () => {
      const { responseBody, durationMs } = await ship((await open("floods")).url, "{}", 5000);
      assert.ok((responseBody?.length ?? 0) <= LIMITS.responseBytesKeptMax);
      assert.ok(durationMs < 3000, `${durationMs} ms`);
    });

    test("a broken connection is an outcome", async () => {
      assert.equal((await ship((await open("breaks")).url)).outcome.kind, "unreachable");
    });

    test("an address where nobody listens is an outcome", async () => {
      const { outcome, responseBody } = await ship(harness.deserted);
      assert.ok(
        outcome.kind === "unreachable" && outcome.cause === "connection_refused",
        JSON.stringify(outcome),
      );
      assert.equal(responseBody, null);
    });

    test("an address that the guard refuses cannot be registered, and is not dialled", async () => {
      assert.throws(
        () => transport.checkUrl(harness.refused),
        (error: unknown) => {
          return error instanceof PosthornError && error.code === "invalid_url" && error.pointer === "/url";
        },
      );
      const { outcome } = await ship(harness.refused);
      assert.ok(
        outcome.kind === "unreachable" && outcome.cause === "address_refused",
        JSON.stringify(outcome),
      );
    });

    function ask(url: string, facts: Partial<Question> = {}): Promise<Reply> {
      return transport.ask({ ...question, url, ...facts });
    }

    test("a question gets the answer with its headers and its body", async () => {
      const receiver = await open("tells");
      for (const method of ["GET", "POST", "OPTIONS"] as const) {
        const body = method === "POST" ? Buffer.from("what?") : null;
        const { outcome, headers, body: told } = await ask(receiver.url, { method, body });
        assert.equal(outcome.kind, "succeeded", method);
        assert.equal(headers["x-told"], "one, two");
        assert.equal(Buffer.from(told).toString(), body === null ? "" : "what?");
      }
    });

    test("a question without an answer has an outcome, and nothing else", async () => {
      const silent = await open("silent");
      const broken = await open("breaks");
      const kinds: string[] = [];
      for (const url of [silent.url, broken.url, harness.deserted, harness.refused]) {
        const { outcome, headers, body } = await ask(url);
        kinds.push(outcome.kind);
        assert.deepEqual(headers, {});
        assert.equal(body.length, 0);
      }
      assert.deepEqual(kinds, ["timed_out", "unreachable", "unreachable", "unreachable"]);
    });

    test("of an answer to a question at most 64 KiB are read, within its deadline", async () => {
      const flood = await ask((await open("floods")).url, { timeoutMs: 5000 });
      assert.ok(flood.body.length > LIMITS.responseBytesKeptMax && flood.body.length <= 64 * 1024);
      const startedAt = performance.now();
      await ask((await open("trickles")).url);
      assert.ok(performance.now() - startedAt < TIMEOUT_MS + LATENESS_MS);
    });

    test("a field that may not have an address is named", () => {
      assert.throws(() => transport.checkUrl(harness.refused, { pointer: "/authentication/tokenUrl" }), {
        code: "invalid_url",
        pointer: "/authentication/tokenUrl",
      });
    });

    test("TLS that can be used is taken", () => {
      const { clientCertificate, clientKey, authority: certificateAuthorities } = harness;
      transport.checkTls(noTls);
      transport.checkTls({ ...noTls, clientCertificate, clientKey });
      transport.checkTls({ clientCertificate, clientKey, certificateAuthorities });
    });

    test("TLS that cannot be used is refused, with the field that is wrong and without the key", () => {
      const { clientCertificate, clientKey, otherKey } = harness;
      const nonsense = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
      const cases: [string, Partial<TlsAccess>][] = [
        ["/clientCertificate/certificate", { clientCertificate: "nonsense", clientKey }],
        ["/clientCertificate/certificate", { clientCertificate: nonsense, clientKey }],
        ["/clientCertificate/certificate", { clientCertificate: clientCertificate + clientKey, clientKey }],
        ["/clientCertificate/certificate", { clientKey }],
        ["/clientCertificate/privateKey", { clientCertificate }],
        ["/clientCertificate/privateKey", { clientCertificate, clientKey: "nonsense" }],
        ["/clientCertificate/privateKey", { clientCertificate, clientKey: otherKey }],
        ["/certificateAuthorities", { certificateAuthorities: "nonsense" }],
        ["/certificateAuthorities", { certificateAuthorities: nonsense }],
      ];
      for (const [pointer, tls] of cases) {
        const error = failureOf(() => transport.checkTls({ ...noTls, ...tls }));
        assert.ok(error instanceof PosthornError && error.code === "invalid_certificate", String(error));
        assert.equal(error.pointer, pointer);
        assert.ok(error.message.startsWith(`${pointer}: `), error.message);
        const keyText = (key: string): string => key.split("\n")[1] ?? "";
        for (const key of [clientKey, otherKey])
          assert.ok(!JSON.stringify([error.message, error]).includes(keyText(key)));
      }
    });

    test("a closing transport lets a shipment under way come to its end", async () => {
      const closing = harness.createTransport();
      const receiver = await open("silent");
      const shipped = closing.ship({ ...shipment, url: receiver.url });
      await closing.close();
      assert.deepEqual((await shipped).outcome, { kind: "timed_out", phase: "response" });
    });
  });
}

const noTls: TlsAccess = { clientCertificate: null, clientKey: null, certificateAuthorities: null };
const question: Question = { method: "GET", url: "", headers: {}, body: null, timeoutMs: TIMEOUT_MS };

function failureOf(act: () => void): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  assert.fail("nothing was refused");
}

const shipment: Shipment = {
  url: "",
  headers: { "webhook-id": "evt_1", "webhook-timestamp": "1764000000", "webhook-signature": "v1,AAAA" },
  body: Buffer.from("{}"),
  timeoutMs: TIMEOUT_MS,
};

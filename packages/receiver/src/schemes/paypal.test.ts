import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, test } from "node:test";
import { crc32 as zlibCrc32 } from "node:zlib";
import { linesOf } from "../headers.ts";
import { type PayPalSecret, paypal, paypalCertificateUrl } from "./paypal.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PUBLIC_PEM = publicKey.export({ format: "pem", type: "spki" }).toString();
const PRIVATE_PEM = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
const WEBHOOK_ID = "4JH86294D6297924G";
const SIGNED_AT = Date.parse("2026-05-18T15:45:13Z") / 1000;
const EVENT = {
  ...{ id: "WH-1", type: "PAYMENT.SALE.COMPLETED", timestamp: "2026-05-18T15:45:00Z" },
  data: Buffer.from('{"n":1.0}'),
};

const SENT = paypal.sign(
  { ...EVENT, ...paypal.compose(EVENT), timestampSeconds: SIGNED_AT, url: "https://r.example/" },
  [{ webhookId: WEBHOOK_ID, privateKey: PRIVATE_PEM, certificateUrl: "https://api.paypal.com/c" }],
);
interface Received {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly nowSeconds?: number;
}
function receive(
  secrets: readonly PayPalSecret[],
  { headers = SENT.headers, body = SENT.body, nowSeconds = SIGNED_AT }: Received = {},
) {
  const request = { method: "POST", url: "https://r.example/", headers, body };
  return paypal.verifier(secrets)(request, { nowSeconds, toleranceSeconds: 300 });
}
const withKey: PayPalSecret = { webhookId: WEBHOOK_ID, publicKey: PUBLIC_PEM };
const refused = (code: string, run: () => unknown, message = /./) =>
  assert.throws(run, { name: "VerificationError", code, message });

/** One element of DER: tag, length, content. */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const length = content.length < 128 ? [content.length] : [0x82, content.length >> 8, content.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
/** A certificate (X.509 v1) of the key above, signed by itself. @param dates two of `YYMMDDhhmmssZ` */
function certificateFor(...dates: readonly string[]): string {
  const [sequence, rsaSha256] = [0x30, Buffer.from("300d06092a864886f70d01010b0500", "hex")];
  const name = der(sequence);
  const validity = der(sequence, ...dates.map((date) => der(0x17, Buffer.from(date))));
  const spki = publicKey.export({ format: "der", type: "spki" });
  const content = der(sequence, der(2, Buffer.from([1])), rsaSha256, name, validity, name, spki);
  const signature = Buffer.concat([Buffer.from([0]), sign("sha256", content, privateKey)]);
  const certificate = der(sequence, content, rsaSha256, der(3, signature)).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${certificate.match(/.{1,64}/g)?.join("\n")}\n-----END CERTIFICATE-----\n`;
}

describe("verifying a request of PayPal's", () => {
  test("the signature is over id, time, webhook id and the body's CRC-32 in decimal", () => {
    const content = `WH-1|2026-05-18T15:45:13Z|${WEBHOOK_ID}|${zlibCrc32(SENT.body)}`;
    const signature = Buffer.from(SENT.headers["paypal-transmission-sig"] ?? "", "base64");
    assert.ok(verify("sha256", Buffer.from(content), createPublicKey(PUBLIC_PEM), signature));
    assert.deepEqual(receive([withKey]), {
      ...{ kind: "event", payload: SENT.body, timestampSeconds: SIGNED_AT, acknowledgement: null },
    });
    assert.equal(paypal.strength, "weak");
  });
  test("another body, id, time, webhook or key does not match, and another may stand beside the right one", () => {
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
    const otherKey = {
      webhookId: WEBHOOK_ID,
      publicKey: other.export({ format: "pem", type: "spki" }).toString(),
    };
    const otherHook = { ...withKey, webhookId: "ANOTHER1" };
    assert.equal(receive([otherKey, otherHook, withKey]).kind, "event");
    const change = (name: string, value: string) => ({ headers: { ...SENT.headers, [name]: value } });
    for (const run of [
      () => receive([otherKey]),
      () => receive([otherHook]),
      () => receive([withKey], { body: Buffer.concat([SENT.body, Buffer.from(" ")]) }),
      () => receive([withKey], change("paypal-transmission-id", "WH-2")),
      () => receive([withKey], change("paypal-transmission-time", "2026-05-18T15:45:14Z")),
      () =>
        receive([withKey], change("paypal-transmission-sig", `${SENT.headers["paypal-transmission-sig"]}=`)),
    ]) {
      refused("no_matching_signature", run);
    }
    refused("algorithm_mismatch", () => receive([withKey], change("paypal-auth-algo", "SHA1withRSA")));
    refused("missing_header", () => receive([withKey], change("paypal-auth-algo", "")));
  });
  test("300 s count in both directions, and a time is written in ISO 8601", () => {
    receive([withKey], { nowSeconds: SIGNED_AT + 300 });
    refused("timestamp_too_old", () => receive([withKey], { nowSeconds: SIGNED_AT + 301 }));
    refused("timestamp_too_new", () => receive([withKey], { nowSeconds: SIGNED_AT - 301 }));
    for (const time of ["18 May 2026 15:45:13", "2026-05-18", String(SIGNED_AT), "2026-13-18T15:45:13Z"]) {
      const headers = { ...SENT.headers, "paypal-transmission-time": time };
      refused("invalid_timestamp", () => receive([withKey], { headers }));
    }
  });
});

describe("the certificate", () => {
  const now = certificateFor("260101000000Z", "261231235959Z");

  test("verifies as the key does, alone or at the head of its chain", () => {
    const before = certificateFor("250101000000Z", "251231235959Z");
    assert.equal(receive([{ webhookId: WEBHOOK_ID, certificate: now }]).kind, "event");
    assert.equal(receive([{ webhookId: WEBHOOK_ID, certificate: now + before }]).kind, "event");
  });
  test("counts while it is valid", () => {
    for (const dates of [
      ["250101000000Z", "260518154512Z"],
      ["260518154514Z", "261231235959Z"],
    ] as const) {
      const secret = { webhookId: WEBHOOK_ID, certificate: certificateFor(...dates) };
      refused("invalid_key", () => receive([secret]), /valid from .* to .*, which is not now/);
    }
    const edge = certificateFor("260518154513Z", "260518154513Z");
    assert.equal(receive([{ webhookId: WEBHOOK_ID, certificate: edge }]).kind, "event");
  });
  test("an old one does not stand in the way of the new one of the same key", () => {
    const old = { webhookId: WEBHOOK_ID, certificate: certificateFor("250101000000Z", "251231235959Z") };
    assert.equal(receive([old, { webhookId: WEBHOOK_ID, certificate: now }]).kind, "event");
  });
  test("is not to be had by posing as a public key, which counts for ever", () => {
    refused(
      "invalid_key",
      () => receive([{ webhookId: WEBHOOK_ID, publicKey: now }]),
      /give it as certificate/,
    );
    for (const certificate of ["", "x", PUBLIC_PEM, now.slice(0, 200)]) {
      refused("invalid_key", () => receive([{ webhookId: WEBHOOK_ID, certificate }]), /^certificate/);
    }
  });
});

describe("secrets as text", () => {
  test("are JSON, and say what is missing without showing what is there", () => {
    assert.deepEqual(paypal.parseSecret(JSON.stringify(withKey)), withKey);
    const signing = { webhookId: WEBHOOK_ID, privateKey: PRIVATE_PEM };
    assert.deepEqual(paypal.parseSigningSecret(JSON.stringify(signing)), signing);
    const { webhookId } = signing;
    refused("invalid_secret", () => paypal.parseSecret(PUBLIC_PEM), /webhookId/);
    refused(
      "invalid_secret",
      () => paypal.parseSecret(JSON.stringify({ publicKey: PUBLIC_PEM })),
      /webhookId/,
    );
    refused(
      "invalid_secret",
      () => paypal.parseSecret(JSON.stringify({ ...withKey, webhookId: "a|b" })),
      /letters/,
    );
    refused("invalid_key", () => paypal.parseSecret(JSON.stringify({ webhookId })), /publicKey/);
    refused("invalid_key", () => paypal.parseSecret(JSON.stringify({ webhookId, publicKey: PRIVATE_PEM })));
    refused("invalid_key", () => paypal.parseSigningSecret(JSON.stringify({ webhookId })), /privateKey/);
    refused("invalid_secret", () => paypal.verifier([]));
    refused("invalid_secret", () =>
      paypal.sign({ ...EVENT, ...SENT, contentType: "", timestampSeconds: 1 }, []),
    );
  });
});

describe("an event of PayPal's", () => {
  test("is its resource, and what we send in its form is read as what it was", () => {
    const { id, type, data } = paypal.describe(SENT.body, linesOf(SENT.headers));
    assert.deepEqual({ id, type, data }, { id: "WH-1", type: "PAYMENT.SALE.COMPLETED", data: { n: 1 } });
    assert.ok(Buffer.from(SENT.body).includes('"resource":{"n":1.0}'));
    for (const text of ["", "[]", '{"id":"x"}', '{"event_type":"x"}']) {
      refused("invalid_payload", () => paypal.describe(Buffer.from(text), linesOf({})));
    }
  });
});

describe("where the certificate is to be had", () => {
  const from = (url: string) => paypalCertificateUrl({ "PAYPAL-CERT-URL": url });
  test("https on a host below paypal.com, and nowhere else", () => {
    const url = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";
    assert.equal(from(url), url);
    for (const wrong of [
      "http://api.paypal.com/c",
      "https://paypal.com.evil.example/c",
      "https://evilpaypal.com/c",
      "https://evil.example/.paypal.com",
      "https://evil.example#.paypal.com",
      "https://evil.example\\.paypal.com",
      "https://api.paypal.com@evil.example/c",
      "https://user@api.paypal.com/c",
      "https://api.paypal.com:8443/c",
      "https://.paypal.com./c",
      "file:///api.paypal.com",
      "//api.paypal.com/c",
      "x",
    ]) {
      refused("invalid_header", () => from(wrong), /do not fetch it/);
    }
    refused("missing_header", () => paypalCertificateUrl({}));
  });
});

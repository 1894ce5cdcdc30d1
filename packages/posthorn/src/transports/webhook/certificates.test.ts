import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import { pem } from "../../../test/webhook-sender.ts";
import type { TlsAccess } from "../transport.ts";
import { checkTls } from "./certificates.ts";

const none: TlsAccess = { clientCertificate: null, clientKey: null, certificateAuthorities: null };
const [leaf = "", intermediate = ""] = pem("client").split(/(?<=-----END CERTIFICATE-----\n)/);
const client = { ...none, clientCertificate: pem("client"), clientKey: pem("client-key") };

function refused(tls: Partial<TlsAccess>, message: RegExp, now?: number): void {
  assert.throws(() => checkTls({ ...none, ...tls }, now), { code: "invalid_certificate", message });
}

describe("a client certificate", () => {
  test("may come alone or with its chain, and with text around", () => {
    checkTls({ ...client, clientCertificate: leaf });
    checkTls({ ...client, clientCertificate: `subject=CN = posthorn\n${leaf}\nissuer\n${intermediate}` });
    checkTls({ ...client, clientCertificate: pem("client").replaceAll("\n", "\r\n") });
  });

  test("comes before the one that signed it", () => {
    const clientKey = pem("client-key");
    refused(
      { clientCertificate: intermediate + leaf, clientKey },
      /certificate 1 is not signed by certificate 2/,
    );
    refused(
      { clientCertificate: leaf + pem("client-authority"), clientKey },
      /certificate 1 is not signed by certificate 2/,
    );
    refused({ clientCertificate: leaf.repeat(11), clientKey }, /more than 10 certificates/);
  });

  test("is valid today", () => {
    refused(client, /certificate 1 expired on 2120-01-01T00:00:00\.000Z/, Date.UTC(2121, 0));
    refused(client, /certificate 1 is valid only from 2020-01-01T00:00:00\.000Z/, Date.UTC(2019, 0));
    refused(
      { clientCertificate: pem("expired"), clientKey: pem("key") },
      /certificate 1 expired on 2020-02-01/,
    );
  });

  test("has a key without a passphrase, of a length that is still in use", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const locked = privateKey.export({
      format: "pem",
      type: "pkcs8",
      cipher: "aes-256-cbc",
      passphrase: "tr0mbone",
    });
    refused({ ...client, clientKey: String(locked) }, /^\/clientCertificate\/privateKey: .*passphrase/);
    const other = privateKey.export({ format: "pem", type: "pkcs8" });
    refused({ ...client, clientKey: String(other) }, /^\/clientCertificate\/privateKey: it does not belong/);
  });

  test("is no other block of PEM", () => {
    refused({ ...client, clientCertificate: leaf + pem("key") }, /private key; put that into its own field/);
    const request = leaf.replaceAll("CERTIFICATE", "CERTIFICATE REQUEST");
    refused({ ...client, clientCertificate: request }, /-----BEGIN CERTIFICATE----- blocks/);
    refused({ ...client, clientCertificate: leaf + request }, /-----BEGIN CERTIFICATE----- blocks/);
  });
});

describe("certificate authorities", () => {
  const authorities = (certificateAuthorities: string): TlsAccess => ({ ...none, certificateAuthorities });

  test("may be several, intermediate ones, and a receiver's own certificate", () => {
    checkTls(authorities(pem("authority") + pem("client-authority") + intermediate));
    checkTls(authorities(pem("self-signed")));
    checkTls(authorities(pem("hooks")));
  });

  test("are valid today", () => {
    refused(
      authorities(pem("authority") + pem("expired")),
      /^\/certificateAuthorities: certificate 2 expired/,
    );
    refused(authorities(pem("authority")), /certificate 1 expired on 2120/, Date.UTC(2121, 0));
  });
});

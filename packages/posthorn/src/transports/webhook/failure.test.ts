import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isExhausted, outcomeOfError } from "./failure.ts";

function failed(code: string, message = "why"): Error & { code: string } {
  return Object.assign(new Error(message), { code });
}

describe("an exchange without an answer", () => {
  test("has the cause that its error's code names", () => {
    const causes: [string, string][] = [
      ["ECONNREFUSED", "connection_refused"],
      ["EPIPE", "connection_reset"],
      ["ENETUNREACH", "network"],
      ["EHOSTUNREACH", "network"],
      ["EMFILE", "network"],
      ["EADDRNOTAVAIL", "network"],
      ["SOMETHING_NEW", "network"],
    ];
    for (const [code, cause] of causes) {
      assert.deepEqual(outcomeOfError(failed(code)), { kind: "unreachable", cause, detail: "why" }, code);
    }
  });

  test("of TLS says which part of it, in a sentence and OpenSSL's word", () => {
    const causes: Record<string, readonly string[]> = {
      tls_expired: ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"],
      tls_wrong_host: ["ERR_TLS_CERT_ALTNAME_INVALID", "HOSTNAME_MISMATCH"],
      tls_self_signed: ["DEPTH_ZERO_SELF_SIGNED_CERT"],
      tls_untrusted: [
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "SELF_SIGNED_CERT_IN_CHAIN",
        "CERT_REVOKED",
        "INVALID_CA",
      ],
      tls_version: [
        "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
        "ERR_SSL_UNSUPPORTED_PROTOCOL",
        "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
        "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
      ],
      tls_client_certificate: [
        "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE",
        "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
        "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED",
      ],
      tls: ["EPROTO", "ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG"],
    };
    for (const [cause, codes] of Object.entries(causes)) {
      for (const code of codes) {
        const outcome = outcomeOfError(failed(code, "C0:error:0A:SSL routines:x:y:../deps/openssl/z.c:1"));
        assert.ok(
          outcome.kind === "unreachable" && outcome.cause === cause,
          `${code}: ${JSON.stringify(outcome)}`,
        );
        assert.match(outcome.detail, /^The .*\(.+\)\.$/);
      }
    }
  });

  test("timed out while connecting when the kernel says so", () => {
    assert.deepEqual(outcomeOfError(failed("ETIMEDOUT")), { kind: "timed_out", phase: "connect" });
  });

  test("tells what every address of a host came to, in at most 200 characters", () => {
    const inner = [failed("ECONNREFUSED", "refused by ::1"), failed("ECONNREFUSED", "refused by 127.0.0.1")];
    const all = Object.assign(new AggregateError(inner), { code: "ECONNREFUSED" });
    assert.deepEqual(outcomeOfError(all), {
      kind: "unreachable",
      cause: "connection_refused",
      detail: "refused by ::1; refused by 127.0.0.1",
    });
    const long = outcomeOfError(failed("ECONNRESET", "x".repeat(1000)));
    assert.equal(long.kind === "unreachable" && long.detail.length, 200);
  });

  test("is this machine's fault when files or ports ran out", () => {
    assert.equal(isExhausted(failed("EMFILE")), true);
    assert.equal(isExhausted(failed("ECONNRESET")), false);
  });

  test("is no want of ports when this machine has no IPv6 and the receiver is reached by nothing else", () => {
    const from = (address: string) => Object.assign(failed("EADDRNOTAVAIL"), { address });
    assert.equal(isExhausted(from("203.0.113.1")), true);
    assert.equal(isExhausted(from("2001:db8::1")), false);
    const both = [from("2001:db8::1"), from("203.0.113.1")];
    assert.equal(isExhausted(new AggregateError(both)), true);
    assert.equal(isExhausted(new AggregateError(both.slice(0, 1))), false);
  });
});

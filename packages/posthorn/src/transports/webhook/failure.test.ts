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
      ["CERT_HAS_EXPIRED", "tls"],
      ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "tls"],
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
});

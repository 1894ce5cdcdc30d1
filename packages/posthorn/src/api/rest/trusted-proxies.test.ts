import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTrustedProxies, type FromClient } from "./trusted-proxies.ts";

function from(
  remoteAddress: string | undefined,
  headers: Record<string, string> = {},
  encrypted?: true,
): FromClient {
  return { headers, socket: { remoteAddress, ...(encrypted && { encrypted }) } } as unknown as FromClient;
}

describe("who asks", () => {
  const nobody = createTrustedProxies([]);
  const proxies = createTrustedProxies(["10.0.0.0/8", "fd00::/8"]);
  const forged = {
    "x-forwarded-for": "198.51.100.1",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "bank.example",
    host: "Posthorn.example:8071",
  };

  test("with no proxy named, nothing that a client writes counts", () => {
    for (const peer of ["203.0.113.7", "127.0.0.1", "10.0.0.1", "::1"]) {
      assert.equal(nobody.addressOf(from(peer, forged)), peer);
      assert.equal(nobody.schemeOf(from(peer, forged)), "http");
      assert.equal(nobody.hostOf(from(peer, forged)), "posthorn.example:8071");
    }
  });

  test("nor does it when it does not come from a named one", () => {
    assert.equal(proxies.addressOf(from("203.0.113.7", forged)), "203.0.113.7");
    assert.equal(proxies.schemeOf(from("203.0.113.7", forged)), "http");
    assert.equal(proxies.hostOf(from("203.0.113.7", forged)), "posthorn.example:8071");
    assert.equal(proxies.schemeOf(from("203.0.113.7", { "x-forwarded-proto": "http" }, true)), "https");
  });

  test("from a named one it counts", () => {
    assert.equal(proxies.addressOf(from("10.1.2.3", forged)), "198.51.100.1");
    assert.equal(proxies.schemeOf(from("10.1.2.3", forged)), "https");
    assert.equal(proxies.hostOf(from("10.1.2.3", forged)), "bank.example");
    assert.equal(proxies.schemeOf(from("10.1.2.3", { "x-forwarded-proto": "http" }, true)), "http");
    assert.equal(proxies.addressOf(from("10.1.2.3")), "10.1.2.3");
    assert.equal(proxies.schemeOf(from("10.1.2.3", {}, true)), "https");
    assert.equal(proxies.schemeOf(from("10.1.2.3", { "x-forwarded-proto": "gopher" })), "http");
  });

  /** What the proxy at 10.0.0.1 heard from someone who sent it this list. */
  const addressOf = (list: string): string =>
    proxies.addressOf(from("10.0.0.1", { "x-forwarded-for": list }));

  test("the list is read from its end: what the client wrote before it stays a claim", () => {
    assert.equal(addressOf("1.1.1.1, 203.0.113.7"), "203.0.113.7");
    assert.equal(addressOf("1.1.1.1, 203.0.113.7, 10.9.9.9"), "203.0.113.7");
    assert.equal(addressOf("10.7.7.7, 203.0.113.7, fd00::2,10.9.9.9"), "203.0.113.7");
    assert.equal(addressOf("10.7.7.7, 10.8.8.8"), "10.7.7.7", "all are ours: the first asked");
    assert.equal(addressOf("203.0.113.7, rubbish, 10.9.9.9"), "10.9.9.9", "nothing is known beyond it");
    assert.equal(addressOf("unknown"), "10.0.0.1");
    assert.equal(addressOf(""), "10.0.0.1");
    assert.equal(
      proxies.schemeOf(from("10.0.0.1", { "x-forwarded-proto": "https, http" })),
      "http",
      "the last one is the proxy's own word",
    );
  });

  test("addresses come in many forms, and each has one name here", () => {
    assert.equal(addressOf("203.0.113.7:51234"), "203.0.113.7");
    assert.equal(addressOf("[2001:db8::7]:51234"), "2001:db8::7");
    assert.equal(addressOf("[2001:db8::7]"), "2001:db8::7");
    assert.equal(addressOf("2001:DB8:0:0::7"), "2001:db8::7");
    assert.equal(addressOf("::ffff:203.0.113.7"), "203.0.113.7");
    assert.equal(addressOf("203.0.113.7, [fd00::2]:443, ::ffff:10.9.9.9"), "203.0.113.7");
    assert.equal(
      proxies.addressOf(from("::ffff:10.0.0.1", { "x-forwarded-for": "203.0.113.7" })),
      "203.0.113.7",
    );
    assert.equal(proxies.addressOf(from("fe80::1%eth0")), "fe80::1");
    assert.equal(proxies.addressOf(from(undefined, forged)), "unknown");
  });

  test("what is no network is refused by name", () => {
    assert.throws(() => createTrustedProxies(["10.0.0.1"]), {
      code: "invalid_field",
      message: 'trustedProxies: "10.0.0.1" is not a network; write it like 10.0.0.0/8 or fd00::/8.',
    });
  });
});

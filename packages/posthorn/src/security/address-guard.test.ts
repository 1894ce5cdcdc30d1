import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import {
  type AddressGuard,
  AddressRefusedError,
  createAddressGuard,
  NameUnresolvedError,
} from "./address-guard.ts";
import type { Resolver } from "./resolver.ts";

const nothingListed = { allowNetworks: [], allowPorts: [] } as const;
const loopbackListed = { allowNetworks: ["127.0.0.0/8", "::1/128"], allowPorts: "any" } as const;

function resolvesTo(...addresses: string[]): Resolver {
  return async () => addresses;
}

function lookup(guard: AddressGuard, name: string, { all = true, port = 443 } = {}): Promise<unknown> {
  return new Promise((resolve, reject) => {
    guard.lookupFor(port)(name, { all }, (error, found) => (error ? reject(error) : resolve(found)));
  });
}

function refusal(check: () => void): PosthornError {
  try {
    check();
  } catch (error) {
    assert.ok(error instanceof PosthornError);
    assert.equal(error.code, "invalid_url");
    assert.equal(error.pointer, "/url");
    return error;
  }
  assert.fail("nothing was refused");
}

describe("registering a URL", () => {
  const guard = createAddressGuard(nothingListed);

  test("a public https URL comes back parsed, without any name being resolved", () => {
    const url = guard.checkUrl("https://Hooks.Example.com/a?b=c%20d&e=@x");
    assert.equal(url.origin, "https://hooks.example.com");
    assert.equal(url.pathname + url.search, "/a?b=c%20d&e=@x");
  });

  test("a refusal names the value and says what to do", () => {
    const port = refusal(() => guard.checkUrl("http://example.com:25/"));
    assert.match(
      port.message,
      /port 25 is not allowed; use 80, 443, 8080, 8443.*POSTHORN_ALLOW_PORTS.*example\.com:25/,
    );
    assert.match(
      refusal(() => guard.checkUrl("http://0x7f.1/")).message,
      /127\.0\.0\.1 is not public.*POSTHORN_ALLOW_NETWORKS/,
    );
    assert.match(
      refusal(() => guard.checkUrl("http://localhost/")).message,
      /"localhost" is not a public one/,
    );
    assert.match(refusal(() => guard.checkUrl("ftp://example.com/")).message, /must begin with https:/);
    assert.match(
      refusal(() => guard.checkUrl(`https://example.com/${"a".repeat(2048)}`)).message,
      /longer than 2048/,
    );
  });

  test("the field that holds the URL is named", () => {
    assert.throws(() => guard.checkUrl("http://10.0.0.1/", { pointer: "/authentication/tokenUrl" }), {
      pointer: "/authentication/tokenUrl",
      message: /^\/authentication\/tokenUrl: the address 10\.0\.0\.1 is not public/,
    });
  });

  test("a host with an empty label is none, whatever is listed: resolvers and proxies disagree about it", () => {
    const open = createAddressGuard({
      allowNetworks: ["0.0.0.0/0"],
      allowPorts: "any",
      resolvesNames: false,
    });
    const hosts = ["127.0.0.1..", "169.254.169.254..", "localhost..", "a..example.com", ".example.com"];
    for (const host of hosts) {
      assert.match(refusal(() => open.checkUrl(`http://${host}/`)).message, /empty label/, host);
      assert.throws(() => open.checkTarget(host, 80), AddressRefusedError, host);
    }
    open.checkUrl("http://hooks.example.com./");
    open.checkTarget("hooks.example.com.", 80);
  });

  test("what carries a secret must be https, but where the operator has listed the very address or host", () => {
    const rules = { pointer: "/authentication/tokenUrl", tls: "required" } as const;
    const listed = createAddressGuard({
      allowNetworks: ["127.0.0.0/8", "10.1.0.0/16"],
      allowPorts: "any",
      allowHosts: ["login.lan"],
    });
    for (const url of ["https://login.example.com/", "https://10.1.0.1/", "http://10.1.0.1/"]) {
      listed.checkUrl(url, rules);
    }
    for (const url of [
      "http://login.lan/",
      "http://LOGIN.lan./",
      "http://127.0.0.1:9/",
      "http://localhost/",
    ]) {
      listed.checkUrl(url, rules);
    }
    for (const url of ["http://login.example.com/", "http://1.1.1.1/", "http://other.lan/"]) {
      listed.checkUrl(url);
      assert.throws(() => listed.checkUrl(url, rules), {
        code: "invalid_url",
        pointer: "/authentication/tokenUrl",
        message: /^\/authentication\/tokenUrl: .*https:\/\/.*POSTHORN_ALLOW_(HOSTS|NETWORKS)/,
      });
    }
  });

  test("a password in a URL is refused and not repeated", () => {
    const error = refusal(() => guard.checkUrl("https://user:hunter2@example.com/"));
    assert.match(error.message, /user name or password/);
    assert.doesNotMatch(`${error.message} ${error.value}`, /hunter2/);
  });
});

describe("what the operator lists", () => {
  test("a listed network admits its addresses, and nothing else that is private", () => {
    const guard = createAddressGuard({ allowNetworks: ["10.1.0.0/16"], allowPorts: [9000] });
    assert.equal(guard.checkUrl("http://10.1.2.3:9000/").port, "9000");
    assert.equal(guard.isAllowed("10.1.2.3"), true);
    assert.equal(guard.isAllowed("::ffff:10.1.2.3"), true);
    assert.equal(guard.isAllowed("10.2.0.1"), false);
    refusal(() => guard.checkUrl("http://10.2.0.1/"));
    refusal(() => guard.checkUrl("http://10.1.2.3:9001/"));
  });

  test("localhost is where loopback is listed", async () => {
    const guard = createAddressGuard(loopbackListed);
    guard.checkUrl("http://localhost:5000/");
    assert.deepEqual(await lookup(guard, "localhost"), [
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ]);
    assert.equal(guard.admits("localhost", "127.0.0.1", 443), true);
    const ipv4Only = createAddressGuard({ allowNetworks: ["127.0.0.0/8"], allowPorts: "any" });
    assert.deepEqual(await lookup(ipv4Only, "LOCALHOST."), [{ address: "127.0.0.1", family: 4 }]);
    await assert.rejects(lookup(createAddressGuard(nothingListed), "localhost"), AddressRefusedError);
  });

  test("a private name must resolve wholly into what is listed", async () => {
    const inside = createAddressGuard({ ...loopbackListed, resolver: resolvesTo("127.0.0.1") });
    assert.equal(inside.checkUrl("http://receiver:5000/").hostname, "receiver");
    assert.deepEqual(await lookup(inside, "receiver"), [{ address: "127.0.0.1", family: 4 }]);
    const outside = createAddressGuard({
      ...loopbackListed,
      resolver: resolvesTo("127.0.0.1", "93.184.215.14"),
    });
    await assert.rejects(lookup(outside, "receiver"), AddressRefusedError);
    assert.equal(outside.admits("receiver", "93.184.215.14", 443), false);
  });

  test("a listed name may resolve to anything", async () => {
    const guard = createAddressGuard({
      ...nothingListed,
      allowHosts: ["receiver.internal"],
      resolver: resolvesTo("10.0.0.9"),
    });
    guard.checkUrl("https://Receiver.Internal./");
    assert.deepEqual(await lookup(guard, "receiver.internal"), [{ address: "10.0.0.9", family: 4 }]);
    refusal(() => guard.checkUrl("https://other.internal/"));
    await assert.rejects(lookup(guard, "example.com"), AddressRefusedError);
  });

  test("a network or port that is none is named", () => {
    for (const network of ["10.0.0.0", "10.0.0.0/33", "example.com/8", "fe80::1%lo/64", "10.0.0.0/8/8"]) {
      assert.throws(() => createAddressGuard({ allowNetworks: [network], allowPorts: [] }), {
        name: "PosthornError",
        value: network,
      });
    }
    assert.throws(
      () => createAddressGuard({ allowNetworks: [], allowPorts: [70_000] }),
      /70000 is not a port/,
    );
  });
});

describe("this server's own listener", () => {
  const ownInterfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const own = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "::1",
    "::",
    "::ffff:7f00:1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
  ];
  const everything = { allowNetworks: ["0.0.0.0/0", "::/0"], allowPorts: "any" } as const;

  test("is reached on no address of this machine, whatever is listed", async () => {
    const guard = createAddressGuard({
      ...everything,
      allowHosts: ["me.internal"],
      resolver: resolvesTo("::1"),
    });
    guard.ownListener(8071);
    for (const address of [...own, ...ownInterfaces.map(({ address }) => address)]) {
      assert.equal(guard.admits("me.example.com", address, 8071), false, address);
      assert.throws(() => guard.checkTarget(address, 8071), AddressRefusedError, address);
    }
    await assert.rejects(lookup(guard, "me.example.com", { port: 8071 }), AddressRefusedError);
    await assert.rejects(lookup(guard, "me.internal", { port: 8071 }), AddressRefusedError);
    await assert.rejects(lookup(guard, "localhost", { port: 8071 }), AddressRefusedError);
  });

  test("cannot be registered where the URL shows it", () => {
    const guard = createAddressGuard(everything);
    guard.checkUrl("http://127.0.0.1:8071/");
    guard.ownListener(8071);
    for (const host of ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"]) {
      const { message } = refusal(() => guard.checkUrl(`http://${host}:8071/`));
      assert.match(message, /leads back to this server.*POSTHORN_ALLOW_SELF/);
    }
  });

  test("is one port of this machine, and the same port elsewhere is not", async () => {
    const guard = createAddressGuard({ ...everything, resolver: resolvesTo("93.184.215.14") });
    guard.ownListener(8071);
    guard.checkUrl("http://127.0.0.1:8072/");
    guard.checkTarget("127.0.0.1", 8072);
    assert.equal(guard.admits("127.0.0.1", "127.0.0.1", 8072), true);
    assert.equal(guard.admits("other.example.com", "93.184.215.14", 8071), true);
    assert.ok(await lookup(guard, "other.example.com", { port: 8071 }));
  });

  test("is let through when the operator says so", () => {
    const guard = createAddressGuard({ ...everything, allowSelf: true });
    guard.ownListener(8071);
    guard.checkUrl("http://127.0.0.1:8071/");
    guard.checkTarget("127.0.0.1", 8071);
  });

  test("is not opened by allowSelf alone: its network must be listed as well", () => {
    const guard = createAddressGuard({ allowNetworks: [], allowPorts: "any", allowSelf: true });
    guard.ownListener(8071);
    assert.throws(() => guard.checkTarget("127.0.0.1", 8071), AddressRefusedError);
  });
});

describe("names that a proxy resolves", () => {
  const guard = createAddressGuard({
    allowNetworks: ["10.0.0.0/8", "127.0.0.0/8"],
    allowPorts: [],
    allowHosts: ["receiver.internal"],
    resolvesNames: false,
    resolver: () => assert.fail("was asked"),
  });

  test("pass by their form: private ones only if the operator lists the name itself", () => {
    for (const host of ["example.com", "receiver.internal", "10.0.0.1"]) {
      guard.checkUrl(`https://${host}/`);
      guard.checkTarget(host, 443);
    }
    for (const host of ["localhost", "other.internal", "intranet", "169.254.169.254"]) {
      refusal(() => guard.checkUrl(`https://${host}/`));
      assert.throws(() => guard.checkTarget(host, 443), AddressRefusedError, host);
    }
    assert.match(refusal(() => guard.checkUrl("https://intranet/")).message, /POSTHORN_ALLOW_HOSTS/);
  });
});

describe("connecting", () => {
  test("one refused address among many refuses the name", async () => {
    const guard = createAddressGuard({ ...nothingListed, resolver: resolvesTo("93.184.215.14", "10.0.0.1") });
    await assert.rejects(lookup(guard, "mixed.attacker.com"), AddressRefusedError);
  });

  test("a private name is refused without asking anyone", async () => {
    const guard = createAddressGuard({ ...nothingListed, resolver: () => assert.fail("was asked") });
    await assert.rejects(lookup(guard, "intranet"), AddressRefusedError);
  });

  test("IPv6 is dialled first, and an IPv4 address last", async () => {
    const guard = createAddressGuard({
      ...nothingListed,
      resolver: resolvesTo("2606:4700::1", "2606:4700::2", "93.184.215.14"),
    });
    assert.deepEqual(await lookup(guard, "dual.example.com"), [
      { address: "2606:4700::1", family: 6 },
      { address: "93.184.215.14", family: 4 },
    ]);
    assert.equal(await lookup(guard, "dual.example.com", { all: false }), "2606:4700::1");
  });

  test("a thousand addresses are all checked, and few are dialled", async () => {
    const many = Array.from({ length: 1000 }, (_, i) => `93.184.${i >> 8}.${i & 255}`);
    const guard = createAddressGuard({ ...nothingListed, resolver: resolvesTo(...many) });
    assert.equal(((await lookup(guard, "many.example.com")) as unknown[]).length, 4);
    const bad = createAddressGuard({ ...nothingListed, resolver: resolvesTo(...many, "127.0.0.1") });
    await assert.rejects(lookup(bad, "many.example.com"), AddressRefusedError);
  });

  test("a name server that never answers is given up at the deadline", async () => {
    const guard = createAddressGuard({
      ...nothingListed,
      resolver: () => new Promise<never>(() => {}),
      resolveTimeoutMs: 20,
    });
    await assert.rejects(lookup(guard, "slow.example.com"), (error: unknown) => {
      assert.ok(error instanceof NameUnresolvedError);
      return /within 20 ms/.test(error.message);
    });
  });

  test("a name without an address says so", async () => {
    const guard = createAddressGuard({
      ...nothingListed,
      resolver: () => Promise.reject(Object.assign(new Error(), { code: "ENOTFOUND" })),
    });
    await assert.rejects(
      lookup(guard, "gone.example.com"),
      /gone\.example\.com has no address \(ENOTFOUND\)/,
    );
  });

  test("ports and literal addresses are checked again, for no lookup sees them", () => {
    const guard = createAddressGuard(nothingListed);
    guard.checkTarget("example.com", 443);
    guard.checkTarget("1.1.1.1", 80);
    assert.throws(() => guard.checkTarget("example.com", 6379), AddressRefusedError);
    assert.throws(() => guard.checkTarget("169.254.169.254", 80), AddressRefusedError);
    assert.throws(() => guard.checkTarget("[::ffff:7f00:1]", 80), AddressRefusedError);
    assert.equal(guard.admits("example.com", "127.0.0.1", 443), false);
  });
});

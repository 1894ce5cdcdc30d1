import assert from "node:assert/strict";
import { createHmac, createPublicKey, createSecretKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, test } from "node:test";
import type { VerificationErrorCode } from "../index.ts";
import { parseDictionary } from "../structured-fields.ts";
import { type Message, signatureBase, verifyMessageSignature } from "./message-signature.ts";

// RFC 9421 B.2: the request that its examples sign, and the shared secret of B.1.5.
const REQUEST = {
  method: "POST",
  url: "https://example.com/foo?param=Value&Pet=dog",
  headers: {
    Host: "example.com",
    Date: "Tue, 20 Apr 2021 02:07:55 GMT",
    "Content-Type": "application/json",
    "Content-Length": "18",
  },
};
const SHARED_SECRET = createSecretKey(
  "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
  "base64",
);
const B25 = {
  "signature-input":
    'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
  signature: "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
};

const baseOf = (components: string, message: Message = REQUEST) => {
  const covered = parseDictionary("signature-input", `sig=${components}`).get("sig");
  assert.ok(covered && "items" in covered);
  return signatureBase(message, covered).toString();
};
const refused = (code: VerificationErrorCode, run: () => unknown) => assert.throws(run, { code });
const verify = (
  headers: Record<string, string | string[]>,
  changes: Partial<Message> = {},
  key = SHARED_SECRET,
) =>
  verifyMessageSignature({ ...REQUEST, headers: { ...REQUEST.headers, ...headers }, ...changes }, () => key);

/** Headers of a message whose base is signed as the RFC says, by hand. */
function signed(input: string, key = SHARED_SECRET, message: Message = REQUEST): Record<string, string> {
  const base = baseOf(input, message);
  return {
    "signature-input": `sig=${input}`,
    signature: `sig=:${createHmac("sha256", key).update(base).digest("base64")}:`,
  };
}

describe("the signature base", () => {
  test("has a line per component and ends with the parameters, without a line feed (RFC 9421 2.5)", () => {
    assert.equal(
      baseOf(
        '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="k"',
      ),
      [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="k"',
      ].join("\n"),
    );
  });
  test("derives components from the URL (RFC 9421 2.2)", () => {
    const lines = (url: string) =>
      baseOf('("@target-uri" "@authority" "@scheme" "@path" "@query")', { method: "GET", url, headers: {} })
        .split("\n")
        .slice(0, 5)
        .map((line) => line.replace(/^"@[a-z-]+": /, ""));
    assert.deepEqual(lines("HTTPS://Example.COM:443/a%20b?q=1#part"), [
      ...["https://example.com/a%20b?q=1", "example.com", "https", "/a%20b", "?q=1"],
    ]);
    assert.deepEqual(lines("http://example.com:8080"), [
      ...["http://example.com:8080/", "example.com:8080", "http", "/", "?"],
    ]);
    assert.equal(baseOf('("@status")', { status: 200, headers: {} }).split("\n")[0], '"@status": 200');
  });
  test("trims the lines of a field and joins them (RFC 9421 2.1); an empty one counts", () => {
    const headers = { "X-List": [" one ", "two\t"], "x-empty": "" };
    assert.equal(
      baseOf('("x-list" "x-empty")', { headers }).split("\n").slice(0, 2).join("|"),
      '"x-list": one, two|"x-empty": ',
    );
  });
  test("the method is as it came", () => {
    assert.match(baseOf('("@method")', { ...REQUEST, method: "post" }), /^"@method": post\n/);
  });
  for (const [what, components] of [
    ["a component twice", '("date" "date")'],
    ["a component in upper case", '("Date")'],
    ["a component that is a token", "(date)"],
    ["a parameter of a component", '("date";sf)'],
    ["the parameters as a component", '("@signature-params")'],
    ["an unknown derived component", '("@query-param")'],
    ["a field of another line", '("x-broken")'],
    ["a field that is not ASCII", '("x-foreign")'],
  ] as const) {
    test(`${what} is refused`, () => {
      const headers = { ...REQUEST.headers, "x-broken": 'a\n"@method": GET', "x-foreign": "é" };
      refused("invalid_header", () => baseOf(components, { ...REQUEST, headers }));
    });
  }
  test("a component that the message has not is an error, not left out", () => {
    refused("missing_component", () => baseOf('("x-missing")'));
    refused("missing_component", () => baseOf('("@status")'));
    refused("missing_component", () => baseOf('("@method")', { status: 200, headers: {} }));
    refused("missing_component", () => baseOf('("@path")', { status: 200, headers: {} }));
  });
});

describe("verifying a message", () => {
  test("the RFC's signature with a shared secret holds (B.2.5), and covers what it says", () => {
    assert.equal(verify(B25).label, "sig-b25");
    // Neither the method nor the length is covered.
    verify({ ...B25, "Content-Length": "19" }, { method: "PUT" });
    refused("no_matching_signature", () => verify({ ...B25, Date: "Tue, 20 Apr 2021 02:07:56 GMT" }));
    refused("no_matching_signature", () => verify(B25, { url: "https://example.org/foo" }));
    for (const [from, to] of [
      ["1618884473", "1618884474"],
      ['"date" "@authority"', '"@authority" "date"'],
      ["test-shared-secret", "other"],
      [";created=1618884473;keyid=", ";keyid="],
    ] as const) {
      const changed = B25["signature-input"].replace(from, to);
      assert.notEqual(changed, B25["signature-input"]);
      refused("no_matching_signature", () => verify({ ...B25, "signature-input": changed }));
    }
  });
  test("what another hand has spaced differently is signed in its one serialisation (RFC 9421 2.3)", () => {
    verify({
      ...B25,
      "signature-input": B25["signature-input"]
        .replace('("date" ', '( "date"  ')
        .replace(";created", "; created"),
    });
  });
  test("the key says which algorithm, whatever the message says", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    // The classic: an HMAC made with the public key that everybody has.
    const raw = createSecretKey(Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url"));
    for (const input of [
      '("@method");alg="hmac-sha256"',
      '("@method");alg=ed25519',
      '("@method");alg="none"',
    ]) {
      refused("algorithm_mismatch", () => verify(signed(input, raw), {}, publicKey));
    }
    refused("no_matching_signature", () => verify(signed('("@method")', raw), {}, publicKey));
    refused("algorithm_mismatch", () => verify(signed('("@method");alg="ed25519"')));
    const base = baseOf('("@method");alg="ed25519"');
    const good = {
      "signature-input": 'sig=("@method");alg="ed25519"',
      signature: `sig=:${sign(null, Buffer.from(base), privateKey).toString("base64")}:`,
    };
    verify(good, {}, publicKey);
  });
  test("EC on P-256 is taken as r and s, other curves and RSA not at all", () => {
    for (const [namedCurve, code] of [
      ["P-256", undefined],
      ["P-384", "invalid_key"],
    ] as const) {
      const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve });
      const value = (dsaEncoding: "ieee-p1363" | "der") =>
        sign("sha256", Buffer.from(baseOf('("@method")')), { key: privateKey, dsaEncoding }).toString(
          "base64",
        );
      const headers = (text: string) => ({
        "signature-input": 'sig=("@method")',
        signature: `sig=:${text}:`,
      });
      if (code === undefined) {
        verify(headers(value("ieee-p1363")), {}, publicKey);
        refused("no_matching_signature", () => verify(headers(value("der")), {}, publicKey));
      } else {
        refused(code, () => verify(headers(value("ieee-p1363")), {}, publicKey));
      }
    }
    const jwk = { kty: "RSA", n: Buffer.alloc(256, 0xab).toString("base64url"), e: "AQAB" };
    refused("invalid_key", () => verify(B25, {}, createPublicKey({ key: jwk, format: "jwk" })));
  });
  test("a label stands in both headers, once, with a list here and bytes there", () => {
    const { "signature-input": input, signature } = B25;
    refused("missing_header", () => verify({ signature }));
    refused("missing_header", () => verify({ "signature-input": input }));
    for (const headers of [
      { "signature-input": input, signature: `${signature}, other=:AAAA:` },
      { "signature-input": `${input}, other=("date")`, signature },
      { "signature-input": input.replace("sig-b25", "sig-b26"), signature },
      { "signature-input": `${input}, ${input}`, signature },
      { "signature-input": input, signature: [signature, signature] },
      { "signature-input": "sig-b25=1", signature },
      { "signature-input": input, signature: 'sig-b25="AAAA"' },
      { "signature-input": input, signature: 'sig-b25=("AAAA")' },
      { "signature-input": input, signature: "sig-b25=:AAA:" },
    ]) {
      refused("invalid_header", () => verify(headers));
    }
  });
  test("signatures for others are skipped, and one good one is enough", () => {
    const headers = {
      "signature-input": [
        'proxy=("@query-param";name="Pet" "date";bs);x=1.5',
        'old=("@method");keyid="a"',
        B25["signature-input"],
      ],
      signature: ["proxy=:AAAA:, old=:AAAA:", B25.signature],
    };
    const message = { ...REQUEST, headers: { ...REQUEST.headers, ...headers } };
    const found = verifyMessageSignature(message, ({ covered }) =>
      covered.parameters.has("keyid") ? SHARED_SECRET : undefined,
    );
    assert.equal(found.label, "sig-b25");
    refused("no_matching_signature", () => verifyMessageSignature(message, () => undefined));
    refused("no_matching_signature", () =>
      verifyMessageSignature(message, ({ label }) => (label === "old" ? SHARED_SECRET : undefined)),
    );
  });
  test("a header full of signatures costs a bounded number of checks", () => {
    const many = (count: number) => {
      const labels = Array.from({ length: count }, (_, index) => `s${index}`);
      return {
        "signature-input": [...labels.map((label) => `${label}=("date")`), B25["signature-input"]].join(", "),
        signature: [...labels.map((label) => `${label}=:AAAA:`), B25.signature].join(", "),
      };
    };
    verify(many(15));
    refused("no_matching_signature", () => verify(many(16)));
  });
  test("32 components can be covered, and no more; the headers are read once for all signatures", () => {
    const names = (count: number) => Array.from({ length: count }, (_, index) => `x-${index}`);
    const covering = (count: number) =>
      `(${names(count)
        .map((name) => `"${name}"`)
        .join(" ")})`;
    const plain = Object.fromEntries(names(33).map((name) => [name.toUpperCase(), "1"]));
    const message = { ...REQUEST, headers: plain };
    const headers = signed(covering(32), SHARED_SECRET, message);
    let passes = 0;
    const counted = new Proxy(
      { ...plain, ...headers },
      {
        ownKeys(target) {
          passes += 1;
          return Reflect.ownKeys(target);
        },
      },
    );
    verifyMessageSignature({ ...REQUEST, headers: counted }, () => SHARED_SECRET);
    assert.equal(passes, 1);
    refused("invalid_header", () => baseOf(covering(33), message));
  });
});

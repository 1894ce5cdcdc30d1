import assert from "node:assert/strict";
import { createCipheriv, createHash, createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { decryptPayload, VerificationError, type VerificationErrorCode } from "../index.ts";
import { agreedKey } from "./key-agreement.ts";

const SECRET = randomBytes(32);
const PAYLOAD = '{"type":"invoice.paid"}';
const base64url = (data: Uint8Array | string) => Buffer.from(data).toString("base64url");

interface Sealing {
  header?: Record<string, unknown>;
  secret?: Uint8Array;
  encryptedKey?: string;
  ivBytes?: number;
  tagBytes?: number;
}
/** What a sender makes of a payload: each part as it is wanted. */
function seal({
  header = { alg: "dir", enc: "A256GCM" },
  secret = SECRET,
  encryptedKey = "",
  ivBytes = 12,
  tagBytes = 16,
}: Sealing = {}): string {
  const iv = randomBytes(ivBytes);
  const head = base64url(JSON.stringify(header));
  const cipher = createCipheriv(secret.length === 32 ? "aes-256-gcm" : "aes-128-gcm", secret, iv);
  cipher.setAAD(Buffer.from(head));
  const ciphertext = Buffer.concat([cipher.update(PAYLOAD), cipher.final()]);
  const tag = cipher.getAuthTag().subarray(0, tagBytes);
  return [head, encryptedKey, base64url(iv), base64url(ciphertext), base64url(tag)].join(".");
}

const CURVES = [
  ["ec", "P-256"],
  ["ec", "P-384"],
  ["ec", "P-521"],
  ["x25519", undefined],
] as const;
function pairOn(kind: "ec" | "x25519", namedCurve?: string) {
  return kind === "ec"
    ? generateKeyPairSync(kind, { namedCurve: namedCurve ?? "" })
    : generateKeyPairSync(kind);
}
/** Sealed for a public key, with an ephemeral key of the same curve. */
function sealFor([kind, curve]: (typeof CURVES)[number], more: Record<string, unknown> = {}) {
  const receiver = pairOn(kind, curve);
  const ephemeral = pairOn(kind, curve);
  const header = {
    alg: "ECDH-ES",
    enc: "A256GCM",
    epk: ephemeral.publicKey.export({ format: "jwk" }),
    ...more,
  };
  // Both sides of the agreement come to the same key.
  const theirs = { ...header, epk: receiver.publicKey.export({ format: "jwk" }) };
  const secret = agreedKey(ephemeral.privateKey, theirs, "A256GCM", 32);
  assert.ok(secret);
  return { receiver, header, secret, body: seal({ header, secret }) };
}

const open = (
  body: string | Uint8Array,
  keys: Parameters<typeof decryptPayload>[0]["keys"] = [{ secret: SECRET }],
) => Buffer.from(decryptPayload({ body, keys }).payload).toString();
function refused(code: VerificationErrorCode, run: () => unknown): string {
  let message = "";
  assert.throws(run, (error) => {
    assert.ok(error instanceof VerificationError, `${error}`);
    assert.equal(error.code, code, error.message);
    message = error.message;
    return true;
  });
  return message;
}
const FAILED = refused("decryption_failed", () => open(seal({ secret: randomBytes(32) })));

describe("decrypting with a shared key", () => {
  test("gives the payload and the header, from text and from bytes", () => {
    const header = { alg: "dir", enc: "A256GCM", kid: "k1", cty: "application/json" };
    const result = decryptPayload({ body: seal({ header }), keys: [{ secret: SECRET }] });
    assert.equal(Buffer.from(result.payload).toString(), PAYLOAD);
    assert.deepEqual(result.header, header);
    assert.equal(open(Buffer.from(seal())), PAYLOAD);
  });
  test("the key is chosen by kid; one without a kid opens any", () => {
    const body = seal({ header: { alg: "dir", enc: "A256GCM", kid: "new" } });
    const other = randomBytes(32);
    assert.equal(
      open(body, [
        { kid: "old", secret: other },
        { kid: "new", secret: SECRET },
      ]),
      PAYLOAD,
    );
    assert.equal(open(body, [{ secret: other }, { secret: SECRET }]), PAYLOAD);
    assert.equal(open(seal(), [{ kid: "any", secret: SECRET }]), PAYLOAD);
    assert.equal(
      refused("decryption_failed", () => open(body, [{ kid: "old", secret: SECRET }])),
      FAILED,
    );
  });
  test("one changed bit of any segment, the header included, is seen", () => {
    const segments = seal().split(".");
    for (const index of [2, 3, 4]) {
      const bytes = Buffer.from(segments[index] ?? "", "base64url");
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      assert.equal(
        refused("decryption_failed", () => open(segments.with(index, base64url(bytes)).join("."))),
        FAILED,
      );
    }
    const header = base64url(JSON.stringify({ alg: "dir", enc: "A256GCM", kid: "x" }));
    assert.equal(
      refused("decryption_failed", () => open(segments.with(0, header).join("."))),
      FAILED,
    );
  });
  test("A128GCM is opened only where it is allowed", () => {
    const secret = randomBytes(16);
    const body = seal({ header: { alg: "dir", enc: "A128GCM" }, secret });
    refused("invalid_key", () => open(body, [{ secret }]));
    refused("unsupported_encryption", () => open(body));
    const contentEncryptions = ["A256GCM", "A128GCM"] as const;
    const { payload } = decryptPayload({ body, keys: [{ secret: SECRET }, { secret }], contentEncryptions });
    assert.equal(Buffer.from(payload).toString(), PAYLOAD);
  });
});

describe("decrypting with the receiver's own key", () => {
  for (const curve of CURVES) {
    test(`on ${curve[1] ?? "X25519"}, as a KeyObject and as a JWK`, () => {
      const { receiver, body } = sealFor(curve, { kid: "k1", apu: "QWxpY2U", apv: "Qm9i" });
      const jwk = { ...receiver.privateKey.export({ format: "jwk" }), kid: "k1", use: "enc" } as never;
      assert.equal(open(body, [{ privateKey: receiver.privateKey }]), PAYLOAD);
      assert.equal(open(body, [{ kid: "k1", privateKey: jwk }]), PAYLOAD);
      const other = pairOn(curve[0], curve[1]).privateKey;
      assert.equal(
        refused("decryption_failed", () => open(body, [{ privateKey: other }])),
        FAILED,
      );
    });
  }
  test("an ephemeral key that is none, of another curve or off the curve fails like any other", () => {
    const { receiver, header, secret } = sealFor(CURVES[0]);
    const keys = [{ privateKey: receiver.privateKey }];
    const { epk } = header;
    const off = { ...epk, y: epk.x };
    const zero = { ...epk, x: base64url(Buffer.alloc(32)), y: base64url(Buffer.alloc(32)) };
    const others = [pairOn("ec", "P-384"), pairOn("x25519")].map(({ publicKey }) =>
      publicKey.export({ format: "jwk" }),
    );
    for (const bad of [undefined, null, 1, "x", [], {}, off, zero, { ...epk, kty: "OKP" }, ...others]) {
      const body = seal({ header: { ...header, epk: bad }, secret });
      assert.equal(
        refused("decryption_failed", () => open(body, keys)),
        FAILED,
        inspect(bad),
      );
    }
    for (const party of [1, null, "!", "QQ=="]) {
      const body = seal({ header: { ...header, apu: party }, secret });
      assert.equal(
        refused("decryption_failed", () => open(body, keys)),
        FAILED,
      );
    }
  });
  test("points of small order on X25519 lead to no key that others know", () => {
    const { receiver, header } = sealFor(CURVES[3]);
    const known = agreedKeyOfNothing();
    for (const x of [Buffer.alloc(32), Buffer.alloc(32).fill(1, 0, 1)]) {
      const body = seal({ header: { ...header, epk: { ...header.epk, x: base64url(x) } }, secret: known });
      assert.equal(
        refused("decryption_failed", () => open(body, [{ privateKey: receiver.privateKey }])),
        FAILED,
      );
    }
  });
  test("a shared key opens no ECDH-ES, and a private key no dir", () => {
    const { receiver, header, secret } = sealFor(CURVES[0]);
    assert.equal(
      refused("decryption_failed", () => open(seal({ header, secret }), [{ secret }])),
      FAILED,
    );
    assert.equal(
      refused("decryption_failed", () => open(seal(), [{ privateKey: receiver.privateKey }])),
      FAILED,
    );
  });
  test("A128GCM is refused, wherever it is allowed for shared keys", () => {
    const { receiver, body } = sealFor(CURVES[0], { enc: "A128GCM" });
    const contentEncryptions = ["A256GCM", "A128GCM"] as const;
    refused("unsupported_encryption", () =>
      decryptPayload({ body, keys: [{ privateKey: receiver.privateKey }], contentEncryptions }),
    );
  });
});

/** What whoever sends such a point would derive: the key of an agreed secret of zeros (RFC 7518 4.6.2). */
function agreedKeyOfNothing(): Uint8Array {
  const uint32 = (value: number) => Buffer.from([0, 0, 0, value]);
  const input = [
    uint32(1),
    Buffer.alloc(32),
    uint32(7),
    Buffer.from("A256GCM"),
    uint32(0),
    uint32(0),
    Buffer.from([0, 0, 1, 0]),
  ];
  return createHash("sha256").update(Buffer.concat(input)).digest();
}

describe("what is refused before any key is tried", () => {
  for (const [what, change] of [
    ["compression", { zip: "DEF" }],
    ["an extension", { crit: ["exp"], exp: 1 }],
    ["an empty list of extensions", { crit: [] }],
    ["RSA", { alg: "RSA-OAEP" }],
    ["a wrapped key", { alg: "A256KW" }],
    ["a wrapped agreed key", { alg: "ECDH-ES+A256KW" }],
    ["a password", { alg: "PBES2-HS256+A128KW", p2c: 10_000_000, p2s: "AAAA" }],
    ["none", { alg: "none" }],
    ["an alg in other letters", { alg: "DIR" }],
    ["an alg that is no text", { alg: ["dir"] }],
    ["no alg", { alg: undefined }],
    ["CBC", { enc: "A128CBC-HS256" }],
    ["A192GCM", { enc: "A192GCM" }],
    ["no enc", { enc: undefined }],
  ] as const) {
    test(`${what}`, () => {
      refused("unsupported_encryption", () =>
        open(seal({ header: { alg: "dir", enc: "A256GCM", ...change } })),
      );
    });
  }
  const good = seal();
  const segments = good.split(".");
  for (const [what, body] of [
    ["four segments", segments.slice(1).join(".")],
    ["six segments", `${good}.`],
    ["no segments", ""],
    ["the JSON form", JSON.stringify({ ciphertext: "AAAA" })],
    ["an encrypted key", seal({ encryptedKey: "AAAA" })],
    ["a short initialisation vector", seal({ ivBytes: 8 })],
    ["a long initialisation vector", seal({ ivBytes: 16 })],
    ["a short tag", seal({ tagBytes: 12 })],
    ["no tag", seal({ tagBytes: 0 })],
    ["a line feed behind it", `${good}\n`],
    ["padding", segments.with(4, `${segments[4]}==`).join(".")],
    ["the other base64", segments.with(3, "+/+/").join(".")],
    ["a header that is no JSON", segments.with(0, base64url("{")).join(".")],
    ["a header that is a list", segments.with(0, base64url("[]")).join(".")],
    ["a header that is null", segments.with(0, base64url("null")).join(".")],
    ["an empty header", segments.with(0, "").join(".")],
  ] as const) {
    test(`${what}`, () => {
      refused("invalid_encryption", () => open(body));
    });
  }
  test("a parsed body, and keys that open nothing", () => {
    refused("invalid_body", () => open(JSON.parse("{}") as string));
    refused("invalid_key", () => open(good, []));
    refused("invalid_key", () => open(good, [{ secret: randomBytes(31) }]));
    const { publicKey, privateKey } = pairOn("ec", "P-256");
    const { d, ...halfOnly } = privateKey.export({ format: "jwk" });
    const unusable = [
      publicKey,
      halfOnly,
      { kty: "oct", k: base64url(SECRET) },
      { ...halfOnly, d: "AAAA!" },
      generateKeyPairSync("ed25519").privateKey,
      generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
    ];
    for (const key of unusable) {
      const message = refused("invalid_key", () => open(good, [{ privateKey: key as never }]));
      assert.ok(!message.includes(d ?? "?"));
    }
    assert.ok(createPrivateKey({ key: { ...halfOnly, d } as never, format: "jwk" }));
  });
});

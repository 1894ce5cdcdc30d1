import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { describe, test } from "node:test";
import {
  contentDigest,
  generateStandardKey,
  type HeadersInput,
  importStandardKey,
  importStandardPublicKey,
  jwkOf,
  keyIdOf,
  signHttpMessage,
  VerificationError,
  type VerificationErrorCode,
  verifyHttpMessage,
} from "../index.ts";
import { parseDictionary } from "../structured-fields.ts";
import { signatureBase } from "./message-signature.ts";
import type { StandardKey } from "./standard-key.ts";

// The key pair of RFC 9421 B.1.4.
const KEY = importStandardKey(
  `whsk_${Buffer.concat([
    Buffer.from("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU", "base64url"),
    Buffer.from("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs", "base64url"),
  ]).toString("base64")}`,
);
const NOW = 1_700_000_000;
const URL_SENT = "https://receiver.example/hooks?x=1";
const BODY = '{"type":"invoice.paid"}';
const SENT = { "content-type": "application/json", "webhook-id": "msg_1" };

type Changes = Partial<Parameters<typeof verifyHttpMessage>[0]>;

const sign = (changes: Partial<Parameters<typeof signHttpMessage>[0]> = {}) => ({
  ...SENT,
  ...signHttpMessage({
    method: "POST",
    url: URL_SENT,
    headers: SENT,
    body: BODY,
    keys: [KEY],
    createdSeconds: NOW,
    expiresSeconds: NOW + 300,
    ...changes,
  }),
});
function verify(headers: HeadersInput, changes: Changes = {}) {
  return verifyHttpMessage({
    ...{ method: "POST", url: URL_SENT, headers, body: BODY, nowSeconds: NOW },
    publicKeys: [KEY.publicKey],
    ...changes,
  });
}
function refused(code: VerificationErrorCode, run: () => unknown, text = /./): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof VerificationError, `${error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });
}

const COMPONENTS = '"@method" "@target-uri" "content-type" "content-digest" "webhook-id"';
const parametersOf = (key: StandardKey) =>
  `;created=${NOW};expires=${NOW + 300};keyid="${key.keyId}";alg="ed25519";tag="webhook"`;
/** A message signed by the right key over whatever `input` says: what only a careless sender makes. */
function signAsSaid(input: string, more: Record<string, string> = {}, key = KEY) {
  const headers = { ...SENT, "content-digest": contentDigest(BODY), ...more };
  const covered = parseDictionary("signature-input", `wh=${input}`).get("wh");
  assert.ok(covered && "items" in covered);
  const value = key.signBytes(signatureBase({ method: "POST", url: URL_SENT, headers }, covered));
  return { ...headers, "signature-input": `wh=${input}`, signature: `wh=:${value.toString("base64")}:` };
}

describe("signing an HTTP message", () => {
  test("covers the profile's components, with its parameters in order", () => {
    const headers = sign();
    assert.equal(headers["signature-input"], `posthorn=(${COMPONENTS})${parametersOf(KEY)}`);
    assert.match(headers.signature, /^posthorn=:[A-Za-z0-9+/]{86}==:$/);
    const digest = createHash("sha256").update(BODY).digest("base64");
    assert.equal(headers["content-digest"], `sha-256=:${digest}:`);
  });
  test("makes the published signature of the profile, which another program made", () => {
    // The same message with the same key; only the name of the key is the sender's own.
    const input = `(${COMPONENTS})${parametersOf(KEY).replace(KEY.keyId, "test-key-ed25519")}`;
    assert.equal(
      signAsSaid(input).signature,
      "wh=:ogameS07teCsV+uVPyCP4kqRirFYtLvjz75G+Z9nooA3INu969wNsVj+4uB4azxQE9tfABhHJEkHzd4Q6AXlCg==:",
    );
  });
  test("each key has a label of its own, and a receiver with either accepts", () => {
    const next = importStandardKey(generateStandardKey());
    const headers = sign({ keys: [next, KEY] });
    assert.match(headers.signature, /^posthorn=:.*:, posthorn-2=:.*:$/);
    assert.equal(verify(headers).keyId, KEY.keyId);
    assert.equal(verify(headers, { publicKeys: [next.publicKey] }).keyId, next.keyId);
    assert.equal(verify(headers, { publicKeys: [KEY.publicKey, next.publicKey] }).keyId, next.keyId);
  });
  test("no key, times out of order or in fractions, and headers of two lines are refused", () => {
    assert.throws(() => sign({ keys: [] }), RangeError);
    assert.throws(() => sign({ expiresSeconds: NOW }), RangeError);
    assert.throws(() => sign({ createdSeconds: NOW + 0.5 }), RangeError);
    assert.throws(() => sign({ headers: { ...SENT, "webhook-id": 'a\n"@method": GET' } }), VerificationError);
  });
});

describe("verifying an HTTP message", () => {
  test("says which event, when and with which key", () => {
    const expected = { id: "msg_1", timestampSeconds: NOW, keyId: keyIdOf(KEY.publicKey) };
    assert.deepEqual(verify(sign()), expected);
    assert.deepEqual(verify(new Headers(sign())), expected);
    const shouted = Object.fromEntries(
      Object.entries(sign()).map(([name, value]) => [name.toUpperCase(), value]),
    );
    assert.deepEqual(verify(shouted, { body: Buffer.from(BODY) }), expected);
  });
  test("takes the key in each of its forms, and under the name that another sender gives it", () => {
    const { x } = jwkOf(KEY.publicKey);
    for (const key of [KEY.publicKey, importStandardPublicKey(KEY.publicKey), Buffer.from(x, "base64url")]) {
      verify(sign(), { publicKeys: [key] });
    }
    const named = signAsSaid(`(${COMPONENTS})${parametersOf(KEY).replace(KEY.keyId, "k1")}`);
    refused("no_matching_signature", () => verify(named));
    assert.equal(verify(named, { publicKeys: [{ keyId: "k1", publicKey: KEY.publicKey }] }).keyId, "k1");
  });
  test("a change of anything covered is seen", () => {
    const headers = sign();
    refused("no_matching_signature", () => verify(headers, { method: "PUT" }));
    refused("no_matching_signature", () => verify(headers, { method: "post" }));
    for (const url of [
      "https://receiver.example/hooks?x=2",
      "https://receiver.example/hooks",
      "https://receiver.example/Hooks?x=1",
      "https://other.example/hooks?x=1",
      "http://receiver.example/hooks?x=1",
      "https://receiver.example:8443/hooks?x=1",
    ]) {
      refused("no_matching_signature", () => verify(headers, { url }));
    }
    refused("no_matching_signature", () => verify({ ...headers, "content-type": "text/plain" }));
    refused("no_matching_signature", () => verify({ ...headers, "webhook-id": "msg_2" }));
    refused("no_matching_signature", () =>
      verify({ ...headers, "content-type": ["application/json", "text/plain"] }),
    );
    refused("no_matching_signature", () =>
      verify({ ...headers, "content-digest": contentDigest("{}") }, { body: "{}" }),
    );
    for (const [from, to] of [
      [`created=${NOW}`, `created=${NOW + 1}`],
      [`expires=${NOW + 300}`, `expires=${NOW + 301}`],
      [`;alg="ed25519";tag="webhook"`, `;tag="webhook";alg="ed25519"`],
      ['"@method" "@target-uri"', '"@target-uri" "@method"'],
    ] as const) {
      const input = headers["signature-input"].replace(from, to);
      assert.notEqual(input, headers["signature-input"]);
      refused("no_matching_signature", () => verify({ ...headers, "signature-input": input }));
    }
  });
  test("a question mark with nothing behind it is not sent, and makes no difference", () => {
    const [bare, marked] = ["https://receiver.example/hooks", "https://receiver.example/hooks?"];
    for (const url of [bare, marked]) {
      for (const seen of [bare, marked]) verify(sign({ url }), { url: seen });
    }
  });
  test("a URL that is not whole is the receiver's mistake, and it is told", () => {
    for (const url of ["/hooks?x=1", "receiver.example/hooks", ""]) {
      refused("invalid_url", () => verify(sign(), { url }), /https:\/\/example\.com\/hooks/);
    }
  });
  test("what covers hundreds of headers is refused at once, without a key", () => {
    const names = Array.from({ length: 6000 }, (_, index) => `h${index}`);
    const input = `(${COMPONENTS} ${names.map((name) => `"${name}"`).join(" ")})${parametersOf(KEY)}`;
    const headers = {
      ...Object.fromEntries(names.map((name) => [name, ""])),
      ...{ ...SENT, "content-digest": contentDigest(BODY), "signature-input": `wh=${input}` },
      signature: `wh=:${Buffer.alloc(64).toString("base64")}:`,
    };
    const startedAt = performance.now();
    refused("invalid_header", () => verify(headers), /more than 32/);
    // Looking for each in all of them took two seconds.
    assert.ok(performance.now() - startedAt < 500);
  });
  test("the body is held against the digest that is signed", () => {
    refused("digest_mismatch", () => verify(sign(), { body: `${BODY} ` }));
    refused("invalid_body", () => verify(sign(), { body: JSON.parse(BODY) as string }));
  });
  test("a header that is covered and gone is an error", () => {
    for (const name of ["content-type", "content-digest", "webhook-id"]) {
      refused("missing_component", () => verify({ ...sign(), [name]: undefined }), new RegExp(name));
    }
    refused("missing_header", () => verify({ ...sign(), signature: undefined }));
  });
  for (const name of COMPONENTS.split(" ")) {
    test(`a good signature that does not cover ${name} is refused`, () => {
      const input = `(${COMPONENTS.split(" ")
        .filter((one) => one !== name)
        .join(" ")})${parametersOf(KEY)}`;
      refused("missing_component", () => verify(signAsSaid(input)), new RegExp(name.replaceAll('"', "")));
    });
  }
  test("more than the profile asks for may be covered", () => {
    verify(signAsSaid(`(${COMPONENTS} "@authority" "x-more")${parametersOf(KEY)}`, { "x-more": "1" }));
  });
  for (const [parameter, code] of [
    [`;created=${NOW}`, "invalid_timestamp"],
    [`;expires=${NOW + 300}`, "invalid_timestamp"],
    [`;keyid="${KEY.keyId}"`, "no_matching_signature"],
    [';alg="ed25519"', "algorithm_mismatch"],
    [';tag="webhook"', "no_matching_signature"],
  ] as const) {
    test(`a good signature without ${parameter.split("=")[0]} is refused`, () => {
      refused(code, () => verify(signAsSaid(`(${COMPONENTS})${parametersOf(KEY).replace(parameter, "")}`)));
    });
  }
  test("a good signature for another purpose, or with a parameter of another type, is refused", () => {
    for (const [from, to, code] of [
      ['tag="webhook"', 'tag="login"', "no_matching_signature"],
      ['tag="webhook"', "tag=webhook", "no_matching_signature"],
      ['alg="ed25519"', 'alg="hmac-sha256"', "algorithm_mismatch"],
      [`created=${NOW}`, `created="${NOW}"`, "invalid_timestamp"],
      [`created=${NOW}`, `created=${NOW}.0`, "invalid_timestamp"],
      [`created=${NOW}`, "created=-1", "invalid_timestamp"],
      [`expires=${NOW + 300}`, "expires=never", "invalid_timestamp"],
    ] as const) {
      const parameters = parametersOf(KEY);
      assert.ok(parameters.includes(from));
      refused(code, () => verify(signAsSaid(`(${COMPONENTS})${parameters.replace(from, to)}`)));
    }
  });
  test("an HMAC made with the public key, under the key's own name, is no signature", () => {
    for (const algorithm of ["hmac-sha256", "ed25519"]) {
      const headers = signAsSaid(`(${COMPONENTS})${parametersOf(KEY).replace("ed25519", algorithm)}`);
      const covered = parseDictionary("signature-input", headers["signature-input"]).get("wh");
      assert.ok(covered && "items" in covered);
      const base = signatureBase({ method: "POST", url: URL_SENT, headers }, covered);
      const forged = createHmac("sha256", KEY.publicKey).update(base).digest("base64");
      refused(algorithm === "ed25519" ? "no_matching_signature" : "algorithm_mismatch", () =>
        verify({ ...headers, signature: `wh=:${forged}:` }),
      );
    }
  });
  test("another key's signature under this key's name is refused", () => {
    const other = importStandardKey(generateStandardKey());
    refused("no_matching_signature", () =>
      verify(signAsSaid(`(${COMPONENTS})${parametersOf(KEY)}`, {}, other)),
    );
    refused("no_matching_signature", () => verify(sign({ keys: [other] })));
    refused("invalid_key", () => verify(sign(), { publicKeys: [] }));
  });
  test("it counts from 300 s before to 300 s after it was made, and never from when it expires", () => {
    verify(sign(), { nowSeconds: NOW - 300 });
    refused("timestamp_too_new", () => verify(sign(), { nowSeconds: NOW - 301 }));
    const longer = sign({ expiresSeconds: NOW + 900 });
    verify(longer, { nowSeconds: NOW + 300 });
    refused("timestamp_too_old", () => verify(longer, { nowSeconds: NOW + 301 }));
    verify(longer, { nowSeconds: NOW + 899, toleranceSeconds: 900 });
    refused("signature_expired", () => verify(longer, { nowSeconds: NOW + 900, toleranceSeconds: 900 }));
    verify(sign({ expiresSeconds: NOW + 60 }), { nowSeconds: NOW + 59 });
    refused("signature_expired", () => verify(sign({ expiresSeconds: NOW + 60 }), { nowSeconds: NOW + 60 }));
    assert.throws(() => verify(sign(), { toleranceSeconds: Number.NaN }), RangeError);
  });
  test("signatures of others stand beside ours, before or behind", () => {
    const ours = sign();
    const theirs = { input: 'proxy=("@query-param";name="x");keyid="cdn"', value: "proxy=:AAAA:" };
    for (const order of [1, -1]) {
      const lines = (...two: string[]) => (order === 1 ? two : two.reverse());
      verify({
        ...ours,
        "signature-input": lines(ours["signature-input"], theirs.input),
        signature: lines(ours.signature, theirs.value),
      });
    }
  });
});

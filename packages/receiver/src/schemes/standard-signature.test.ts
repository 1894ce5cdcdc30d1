import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import {
  generateStandardSecret,
  type HeadersInput,
  importStandardSecret,
  signStandard,
  VerificationError,
  type VerificationErrorCode,
  verifyStandard,
} from "../index.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const NOW = 1_614_265_330;
const BODY = '{"test": 2432232314}';
const SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const HEADERS = { "webhook-id": ID, "webhook-timestamp": String(NOW), "webhook-signature": SIGNATURE };

function verify(changes: Partial<Parameters<typeof verifyStandard>[0]> = {}) {
  return verifyStandard({ headers: HEADERS, body: BODY, secrets: [SECRET], nowSeconds: NOW, ...changes });
}

function refused(code: VerificationErrorCode, run: () => unknown): VerificationError {
  let caught: unknown;
  try {
    run();
  } catch (error) {
    caught = error;
  }
  assert.ok(caught instanceof VerificationError, `expected a VerificationError ${code}, got ${caught}`);
  assert.equal(caught.code, code);
  return caught;
}

describe("against the reference library", () => {
  const secretBytes = fc.uint8Array({ minLength: 1, maxLength: 80 });
  const body = fc.oneof(fc.json(), fc.string({ unit: "binary", maxLength: 300 }));
  const serialise = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString("base64")}`;
  const nowSeconds = () => Math.floor(Date.now() / 1000);

  test("it accepts what we sign, bytes or text", () => {
    fc.assert(
      fc.property(secretBytes, body, fc.uuid(), fc.boolean(), (key, text, id, asBytes) => {
        const timestampSeconds = nowSeconds();
        const signature = signStandard({
          id,
          timestampSeconds,
          body: asBytes ? Buffer.from(text) : text,
          secrets: [serialise(key)],
        });
        const headers = {
          "webhook-id": id,
          "webhook-timestamp": String(timestampSeconds),
          "webhook-signature": signature,
        };
        new Webhook(serialise(key)).verify(text, headers, { jsonParse: false });
      }),
    );
  });

  test("we accept what it signs, and refuse it with one character of the body changed", () => {
    fc.assert(
      fc.property(secretBytes, body, fc.uuid(), (key, text, id) => {
        const timestampSeconds = nowSeconds();
        const headers = {
          "webhook-id": id,
          "webhook-timestamp": String(timestampSeconds),
          "webhook-signature": new Webhook(serialise(key)).sign(id, new Date(timestampSeconds * 1000), text),
        };
        const secrets = [serialise(key)];
        assert.deepEqual(verifyStandard({ headers, body: text, secrets }), { id, timestampSeconds });
        refused("no_matching_signature", () => verifyStandard({ headers, body: `${text} `, secrets }));
      }),
    );
  });
});

describe("signing", () => {
  const sign = (changes: Partial<Parameters<typeof signStandard>[0]> = {}) =>
    signStandard({ id: ID, timestampSeconds: NOW, body: BODY, secrets: [SECRET], ...changes });

  test("the signed content is id, timestamp and the exact body (SW-01)", () => {
    assert.equal(sign(), SIGNATURE);
    assert.notEqual(sign({ body: '{"test":2432232314}' }), SIGNATURE);
  });
  test("two attempts of one event have another timestamp and another signature (SW-03)", () => {
    assert.notEqual(sign({ timestampSeconds: NOW + 5 }), sign());
  });
  test("the key is the decoded secret: with prefix, without, unpadded, as bytes, prepared (SW-05)", () => {
    const base64 = SECRET.slice("whsec_".length);
    for (const secret of [base64, Buffer.from(base64, "base64"), importStandardSecret(SECRET)]) {
      assert.equal(sign({ secrets: [secret] }), SIGNATURE);
    }
    assert.equal(sign({ secrets: ["whsec_YWJjZA=="] }), sign({ secrets: ["whsec_YWJjZA"] }));
  });
  test("during a rotation both secrets sign, and a receiver with either accepts (SW-04, SW-07)", () => {
    const next = generateStandardSecret();
    const header = sign({ secrets: [next, SECRET] });
    assert.equal(header.split(" ").length, 2);
    for (const secret of [next, SECRET]) {
      assert.equal(
        verify({ headers: { ...HEADERS, "webhook-signature": header }, secrets: [secret] }).id,
        ID,
      );
    }
  });
  test("an id with a dot, a timestamp in fractions or no secret is refused (SW-08)", () => {
    assert.throws(() => sign({ id: "msg.1" }), RangeError);
    assert.throws(() => sign({ timestampSeconds: NOW + 0.5 }), RangeError);
    assert.throws(() => sign({ secrets: [] }), RangeError);
  });
  test("an id with a dot is refused however it is signed: the parts could be cut elsewhere (SW-08)", () => {
    const body = `${NOW}.5`;
    const old = { id: ID, timestampSeconds: NOW - 9_000_000, body, secrets: [SECRET] };
    const headers = {
      "webhook-id": `${ID}.${old.timestampSeconds}`,
      "webhook-timestamp": String(NOW),
      "webhook-signature": signStandard(old),
    };
    refused("invalid_header", () => verify({ headers, body: "5" }));
  });
});

describe("secrets", () => {
  test("a generated one is whsec_ and 24 bytes, and never the same twice (SW-05)", () => {
    const secret = generateStandardSecret();
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{32}$/);
    assert.notEqual(generateStandardSecret(), secret);
    importStandardSecret(secret, { strict: true });
  });
  test("empty, not base64, or an ed25519 key is refused without showing it (SW-05, SW-10)", () => {
    for (const secret of [
      "",
      "whsec_",
      "whsec_not base64!",
      "whsec_AAAAA",
      "whpk_1SiA4o9hyqTC",
      "whsk_6Xb/dCcH",
    ]) {
      const error = refused("invalid_secret", () => importStandardSecret(secret));
      if (secret.length > 6) assert.ok(!error.message.includes(secret.slice(6)), error.message);
    }
  });
  test("what is wrong with one is said as it is", () => {
    const said = (secret: string, options = {}) =>
      refused("invalid_secret", () => importStandardSecret(secret, options)).message;
    for (const strict of [false, true]) {
      for (const secret of ["", "whsec_"]) assert.match(said(secret, { strict }), /secret is empty/);
    }
    assert.match(said("whsec_not base64!"), /not base64 after whsec_\./);
    assert.match(said("not base64!"), /not base64\./);
  });
  test("short and long ones are refused only when strict", () => {
    for (const bytes of [1, 23, 65]) {
      const secret = Buffer.alloc(bytes, 7).toString("base64");
      importStandardSecret(secret);
      refused("invalid_secret", () => importStandardSecret(secret, { strict: true }));
    }
  });
  test("a prepared secret shows nothing to a logger", () => {
    const prepared = importStandardSecret(SECRET);
    assert.equal(JSON.stringify(prepared), "{}");
    assert.ok(!JSON.stringify(Object.entries(prepared)).includes("MfKQ"));
  });
});

describe("verifying", () => {
  test("header names may come in any case, from fetch or from Node (SW-02)", () => {
    const shouted = Object.fromEntries(
      Object.entries(HEADERS).map(([key, value]) => [key.toUpperCase(), value]),
    );
    const inputs: HeadersInput[] = [
      shouted,
      new Headers(HEADERS),
      { ...HEADERS, "webhook-signature": [SIGNATURE] },
    ];
    for (const headers of inputs) assert.deepEqual(verify({ headers }), { id: ID, timestampSeconds: NOW });
  });
  test("several signature lines count as one list", () => {
    const headers = { ...HEADERS, "webhook-signature": ["v1,AAAA", SIGNATURE] };
    assert.equal(verify({ headers }).id, ID);
  });
  test("a second id is refused rather than guessed", () => {
    refused("duplicate_header", () => verify({ headers: { ...HEADERS, "webhook-id": [ID, "msg_other"] } }));
  });
  for (const name of Object.keys(HEADERS)) {
    test(`without ${name} it says which header is missing`, () => {
      const error = refused("missing_header", () => verify({ headers: { ...HEADERS, [name]: undefined } }));
      assert.ok(error.message.includes(name));
    });
  }
  test("exactly 300 s in either direction pass, one more does not (SW-12)", () => {
    verify({ nowSeconds: NOW + 300 });
    verify({ nowSeconds: NOW - 300 });
    refused("timestamp_too_old", () => verify({ nowSeconds: NOW + 301 }));
    refused("timestamp_too_new", () => verify({ nowSeconds: NOW - 301 }));
    verify({ nowSeconds: NOW + 900, toleranceSeconds: 900 });
  });
  test("a timestamp that is not plain digits is refused (SW-13)", () => {
    for (const timestamp of [`${NOW}x`, "1e9", "-1", "1614265330.0", "0x60381c32", "1234567890123"]) {
      refused("invalid_timestamp", () => verify({ headers: { ...HEADERS, "webhook-timestamp": timestamp } }));
    }
  });
  test("a tolerance that is not a number does not open the door", () => {
    assert.throws(() => verify({ toleranceSeconds: Number.NaN, nowSeconds: NOW + 9999 }), RangeError);
  });
  test("the id and the timestamp are signed too", () => {
    refused("no_matching_signature", () => verify({ headers: { ...HEADERS, "webhook-id": "msg_other" } }));
    refused("no_matching_signature", () =>
      verify({ headers: { ...HEADERS, "webhook-timestamp": `${NOW + 1}` } }),
    );
  });
  test("unknown versions are skipped, and a v1 value under another name counts for nothing (SW-07, SW-10)", () => {
    const value = SIGNATURE.slice(3);
    verify({ headers: { ...HEADERS, "webhook-signature": `v2,${value} v1a,${value} ${SIGNATURE}` } });
    for (const header of [`v1a,${value}`, `v2,${value}`, value, `v1 ${value}`, "v1,"]) {
      refused("no_matching_signature", () =>
        verify({ headers: { ...HEADERS, "webhook-signature": header } }),
      );
    }
  });
  test("an empty body verifies (SW-15)", () => {
    const signature = signStandard({ id: ID, timestampSeconds: NOW, body: "", secrets: [SECRET] });
    verify({ headers: { ...HEADERS, "webhook-signature": signature }, body: new Uint8Array() });
  });
  test("a parsed body gets the advice to keep the raw one", () => {
    const error = refused("invalid_body", () => verify({ body: JSON.parse(BODY) as string }));
    assert.match(error.message, /raw/);
  });
  test("no secret at all accepts nothing", () => {
    refused("invalid_secret", () => verify({ secrets: [] }));
  });
});
